#!/usr/bin/env bash
# Prints the alerts as the Prometheus operator takes them, so that they are written once:
#   deploy/kubernetes/components/monitoring/rule.sh | kubectl -n crewsync apply -f -
# Another file of rules than deploy/prometheus/crewsync.rules.yml may be given.
set -euo pipefail
rules=${1:-$(dirname "${BASH_SOURCE[0]}")/../../../prometheus/crewsync.rules.yml}
[[ -r $rules ]] || {
  echo "rule.sh: there is no $rules" >&2
  exit 64
}
printf '%s\n' 'apiVersion: monitoring.coreos.com/v1' 'kind: PrometheusRule' 'metadata: {name: crewsync}' 'spec:'
sed -e '/^---$/d' -e 's/^./  &/' "$rules"
