#!/usr/bin/env bash
# Looks for known weaknesses in what is locked: `make audit`. Exit status 1 if there are any, 69 where nobody could
# be asked: then nothing is known, and that is said.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$root"
readonly TOOL=pip-audit==2.10.1 LIMIT_S=600
cache=${CREWSYNC_CACHE_DIR:-.cache}/audit
if [[ $(cat "$cache/installed" 2> /dev/null) != "$TOOL" ]]; then
  echo "audit: installing $TOOL (once)"
  "${PYTHON:-python3}" -m venv --clear "$cache"
  timeout "$LIMIT_S" "$cache/bin/pip" install --quiet --disable-pip-version-check "$TOOL" || {
    echo "audit: $TOOL cannot be installed" >&2
    exit 69
  }
  echo "$TOOL" > "$cache/installed"
fi
status=0
for lock in requirements-run.lock requirements.lock; do
  echo "audit: $lock"
  said=$(timeout "$LIMIT_S" "$cache/bin/pip-audit" -r "$lock" --disable-pip --progress-spinner off 2>&1) || status=1
  unknown=$(grep -c 'could not be audited' <<< "$said" || true)
  pinned=$(grep -cE '^[A-Za-z0-9._-]+==' "$lock")
  if ((unknown >= pinned)) || grep -qiE 'connection|timed out|max retries' <<< "$said"; then
    echo "audit: NOT DONE: no service that knows of weaknesses could be asked about $lock" >&2
    exit 69
  fi
  echo "$said"
done
exit "$status"
