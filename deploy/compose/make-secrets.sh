#!/usr/bin/env bash
# Makes the secrets that compose.yaml mounts, each if it is not there yet, in deploy/compose/secrets. For real, write
# Procore's client id and secret and SmartBarrel's API key there yourself; the sandbox takes the last two as one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# The folder is closed to others; the files are open, since Compose mounts them with the modes that they have and
# the containers run as another user.
mkdir -p secrets
chmod 700 secrets

random() { head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'; }

write() { # write NAME VALUE
  [[ -s secrets/$1 ]] || printf '%s\n' "$2" > "secrets/$1"
  chmod 444 "secrets/$1"
}

write procore_client_id sandbox-client
write procore_client_secret "$(random)"
[[ -s secrets/smartbarrel_api_key ]] || cp secrets/procore_client_secret secrets/smartbarrel_api_key
for name in metrics_token console_token webhooks_token grafana_password; do write "$name" "$(random)"; done
chmod 444 secrets/*
