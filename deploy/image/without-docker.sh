#!/usr/bin/env bash
# Carries out the Dockerfile's steps without Docker, in a new folder that is removed at the end: builds the wheel
# twice and compares the bytes, installs by the locks with hashes, and tries the program as another user to whom
# everything but its state's folder is read-only (that part as root only). PYTHON is the Python to use; as root one that other users may run.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
readonly root UID_IN_IMAGE=10001 INSTALL_LIMIT_S=300 TRY_LIMIT_S=120
export PIP_DISABLE_PIP_VERSION_CHECK=1
SOURCE_DATE_EPOCH=$(sed -n 's/^ARG SOURCE_DATE_EPOCH=//p' "$root/deploy/image/Dockerfile")
export SOURCE_DATE_EPOCH

work=$(mktemp -d "${TMPDIR:-/tmp}/crewsync-image.XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"

as_user=()
if ((EUID == 0)); then
  as_user=(setpriv --reuid "$UID_IN_IMAGE" --regid "$UID_IN_IMAGE" --clear-groups --no-new-privs
    --bounding-set=-all)
fi

# root's own Python may lie where nobody else comes.
for PYTHON in "${PYTHON:-python3}" /usr/bin/python3 ''; do
  if [[ -n $PYTHON ]] && "${as_user[@]}" "$PYTHON" -c \
    'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then break; fi
done
[[ -n $PYTHON ]] || {
  echo "image: no Python 3.11 with venv that uid $UID_IN_IMAGE may run: set PYTHON, or install python3-venv" >&2
  exit 69
}

step() { echo "image: $*"; }

context() { # context DIR: what the Dockerfile copies
  mkdir -p "$1"
  cp -R "$root"/{consumer,schemas,pyproject.toml,README.md,LICENSE,requirements-run.lock} "$1"
  cp "$root/deploy/image/build.lock" "$1"
  find "$1" -name __pycache__ -prune -exec rm -rf {} +
}

install_locked() { # install_locked VENV LOCK [OPTION...]
  timeout "$INSTALL_LIMIT_S" "$PYTHON" -m venv "$1"
  timeout "$INSTALL_LIMIT_S" "$1/bin/pip" install --quiet --require-hashes "${@:3}" -r "$2"
}

wheel() { # wheel SOURCE DIR
  (cd "$1" && timeout "$INSTALL_LIMIT_S" "$work/build/bin/pip" wheel --quiet --no-deps --no-build-isolation \
    --wheel-dir "$2" .)
}

step "building the wheel, twice"
context "$work/first"
install_locked "$work/build" "$work/first/build.lock"
wheel "$work/first" "$work/dist"
sleep 2 # a zip knows time by two seconds: were the clock in it, the second wheel would differ
context "$work/second"
find "$work/second" -exec touch {} +
wheel "$work/second" "$work/dist-again"
for built in "$work"/dist/*.whl; do
  cmp "$built" "$work/dist-again/$(basename "$built")" || {
    echo "image: two builds of the same sources differ" >&2
    exit 1
  }
done

step "installing what runs"
venv=$work/crewsync
install_locked "$venv" "$work/first/requirements-run.lock" --only-binary :all:
"$venv/bin/pip" install --quiet --no-deps "$work"/dist/crewsync-*.whl
"$venv/bin/pip" check
"$venv/bin/python" -m compileall -q --invalidation-mode unchecked-hash "$venv/lib"
"$venv/bin/pip" uninstall --yes --quiet pip setuptools
install -m 0555 "$root/deploy/image/healthcheck.py" "$venv/healthcheck.py"

state=$work/state
mkdir -m 0750 "$state"
if ((EUID == 0)); then
  chown "$UID_IN_IMAGE:$UID_IN_IMAGE" "$state"
  chmod -R a-w,a+rX "$venv"
else
  echo "image: not root, so it is not tried as another user"
fi

# Nothing of the caller's environment: what the image does not set must not be needed.
port=
set_environment() {
  environment=("${as_user[@]}" env -i PATH="$venv/bin:/usr/bin:/bin" PYTHONDONTWRITEBYTECODE=1
    PYTHONUNBUFFERED=1 CREWSYNC_METRICS_PORT="$port" CREWSYNC_LOG_DIR="$state/sync-logs"
    CREWSYNC_SANDBOX_STATE="$state/sandbox.db")
}
try() { timeout "$TRY_LIMIT_S" "${environment[@]}" "$@"; }
cd "$state"
set_environment

if ((EUID == 0)) && try touch "$venv/lib/written" 2> "$work/refused"; then
  echo "image: the program's own files can be written to" >&2
  exit 1
fi
step "crewsync --help, doctor, demo"
try crewsync --help > "$work/help.txt"
grep -q 'SmartBarrel' "$work/help.txt"
try crewsync doctor
try crewsync demo > "$work/demo.txt"
grep -q '^The logs are in:' "$work/demo.txt"

step "crewsync run, its health check, and a stop"
port=$("$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
set_environment
# Not through a function, so that the process id is the program's own.
"${environment[@]}" crewsync run > "$work/run.txt" 2>&1 &
running=$!
trap 'kill -KILL "$running" 2> /dev/null || true; rm -rf "$work"' EXIT
well=no
for _ in $(seq 120); do
  if try python "$venv/healthcheck.py" 2> /dev/null; then well=yes; break; fi
  kill -0 "$running" 2> /dev/null || break
  sleep 0.5
done
kill -TERM "$running" 2> /dev/null || true
status=0
wait "$running" || status=$?
if [[ $well != yes || $status != 0 ]]; then
  echo "image: run was well: $well; it ended with $status" >&2
  cat "$work/run.txt" >&2
  exit 1
fi
if try python "$venv/healthcheck.py" 2> /dev/null; then
  echo "image: the health check is well though nothing runs" >&2
  exit 1
fi
step "all of it holds"
