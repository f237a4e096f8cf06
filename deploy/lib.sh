# Shared by the scripts that start a local server for tests: sourced, never run.
# Linux (or another system with ps and GNU-like tools) and bash 5.
# shellcheck shell=bash

readonly UNAVAILABLE=69 # EX_UNAVAILABLE of sysexits(3)
readonly USAGE=64       # EX_USAGE
readonly STOP_LIMIT_S=15

say() { printf '%s\n' "$*" >&2; }

fail() { # fail STATUS MESSAGE
  say "$2"
  exit "$1"
}

((BASH_VERSINFO[0] >= 5)) || fail "$UNAVAILABLE" "bash 5 or newer is needed, this is $BASH_VERSION: install it first."

project_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cache_root=${CREWSYNC_CACHE_DIR:-$project_root/.cache}
[[ $cache_root == /* ]] || cache_root=$PWD/$cache_root

now_us() { printf '%s' "${EPOCHREALTIME/[.,]/}"; }

seconds_since() { # seconds_since MICROSECONDS -> "3.2"
  local tenths=$((($(now_us) - $1) / 100000))
  printf '%d.%d' $((tenths / 10)) $((tenths % 10))
}

# Sets `java` and `java_version`, or ends the script: 17 is the oldest Java that the servers run on.
need_java() {
  java=${JAVA_HOME:+$JAVA_HOME/bin/}java
  local advice='install one, for example with: apt-get install openjdk-17-jre-headless'
  java_version=$("$java" -version 2>&1 | sed -n 's/^.* version "\([^"]*\)".*$/\1/p') || true
  [[ -n $java_version ]] || fail "$UNAVAILABLE" "Java 17 or newer is needed, and '$java' does not run: $advice"
  ((${java_version%%[!0-9]*} >= 17)) ||
    fail "$UNAVAILABLE" "Java 17 or newer is needed, and '$java' is $java_version: $advice"
}

# prepare NAME POM CACHE: makes sure of Java and of the files that POM brings from Maven Central, in CACHE/files,
# and sets `archive`. The files appear whole or not at all, so that an interrupted fetch, or a second one at
# the same time, does no harm.
prepare() {
  local name=$1 pom=$2 cache=$3
  need_java
  # A class data archive is good for one Java and one place of the classes.
  archive=$cache/classes-$(printf '%s' "$java_version $cache" | cksum | cut -d' ' -f1).jsa
  [[ ! -d $cache/files ]] || return 0
  command -v mvn >/dev/null ||
    fail "$UNAVAILABLE" "Maven is needed to fetch $name: install it, for example with: apt-get install maven"
  say "Fetching $name (once) ..."
  mkdir -p "$cache"
  (
    partial=$(mktemp -d "$cache/partial.XXXXXX")
    trap 'rm -rf -- "$partial"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    mvn --quiet --batch-mode --strict-checksums --file "$pom" generate-resources "-Dtarget=$partial/files" \
      >"$partial/log" 2>&1 </dev/null || {
      cat "$partial/log" >&2
      fail "$UNAVAILABLE" "$name could not be fetched with Maven: its messages are above."
    }
    [[ -d $cache/files ]] || mv -T "$partial/files" "$cache/files" || [[ -d $cache/files ]]
  )
}

# set_jvm DIR ARCHIVE_OPTION OPTION...: sets `jvm`, a command line up to the main class, for a server that lives
# in DIR. The options favour a quick start over speed later on. A class data archive spares loading and verifying
# classes, about a third of the start; Java carries on without one that does not fit (Xshare:auto), and need
# not say so (Xlog).
set_jvm() {
  local dir=$1
  shift
  jvm=("$java" "$(mark "$dir")" -Xshare:auto -Xlog:disable -Xlog:all=error:stderr "$@"
    -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData -XX:+ExitOnOutOfMemoryError
    -Djava.awt.headless=true -Djava.net.preferIPv4Stack=true)
}

# The first server that ends in an orderly way leaves the archive in its folder DIR, and stop_server keeps it.
archive_option() { # archive_option DIR
  if [[ -f $archive ]]; then
    printf -- '-XX:SharedArchiveFile=%s' "$archive"
  else
    printf -- '-XX:ArchiveClassesAtExit=%s/classes.jsa' "$1"
  fi
}

# An argument that tells the server of DIR from a stranger that was given its old process number, and from a
# zombie, which has no arguments.
mark() { printf -- '-Dcrewsync.server=%s' "$1"; }

# Prints a loopback port that nothing listens on. It lies below the range that systems take outgoing ports
# from: a client that keeps trying to reach a stopped server could otherwise be given that very port as its
# own, connect to itself, and keep the server from coming back.
free_port() {
  local port
  while port=$((20000 + RANDOM % 10000)); do
    (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
  done
  printf '%s' "$port"
}

is_running() { # is_running DIR
  local pid arguments
  pid=$(cat "$1/pid" 2>/dev/null) && [[ -n $pid ]] || return 1
  arguments=$(ps -ww -o args= -p "$pid" 2>/dev/null || tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline") || return 1
  [[ "$arguments " == *" $(mark "$1") "* ]]
}

announce() { # announce NAME: to be called before the first thing that takes time
  began=$(now_us)
  printf 'Starting %s ...' "$1" >&2
}

# start_server NAME DIR LIMIT_S READY COMMAND...: runs COMMAND in DIR, apart from this script's terminal and
# process group, so that Ctrl-C does not reach it, and returns once its log has READY. Ends the script with the
# log's last lines if COMMAND ends first or the limit passes. Leaves DIR/pid and DIR/server.log.
start_server() {
  local name=$1 dir=$2 limit_s=$3 ready=$4 pid why=''
  shift 4
  : >"$dir/server.log" # an earlier log would have READY
  set -m # gives the job a process group of its own
  (
    cd "$dir"
    printf '%s' "$BASHPID" >pid
    exec "$@"
  ) </dev/null >>"$dir/server.log" 2>&1 9>&- &
  pid=$!
  set +m
  until grep -q "$ready" "$dir/server.log"; do
    kill -0 "$pid" 2>/dev/null || why='ended while starting'
    (($(now_us) - began < limit_s * 1000000)) || why="was not ready in $limit_s s"
    [[ -z $why ]] || fail_with_log "$name $why" "$dir"
    sleep 0.05
  done
  disown "$pid"
  say " ready in $(seconds_since "$began") s"
}

fail_with_log() { # fail_with_log MESSAGE DIR
  say ' failed'
  say "$1. The last lines of its log:"
  tail -n 20 "$2/server.log" >&2
  exit 1
}

# stop_server NAME DIR: SIGTERM, and SIGKILL when that has not ended it in time.
stop_server() {
  local name=$1 dir=$2 stop_began waited_us told=''
  stop_began=$(now_us)
  ! is_running "$dir" || kill -TERM "$(cat "$dir/pid")" 2>/dev/null || true
  while is_running "$dir"; do
    waited_us=$(($(now_us) - stop_began))
    if ((waited_us > STOP_LIMIT_S * 1000000)); then
      say "$name did not stop in $STOP_LIMIT_S s and is killed."
      kill_server "$dir"
    elif ((waited_us > 1000000)) && [[ -z $told ]]; then
      say "Stopping $name ..."
      told=yes
    fi
    sleep 0.05
  done
  if [[ -f $dir/classes.jsa ]]; then
    mv -f "$dir/classes.jsa" "$archive.$$" && mv -f "$archive.$$" "$archive"
  fi
  rm -f "$dir/pid"
}

kill_server() { # kill_server DIR
  while is_running "$1"; do
    kill -KILL "$(cat "$1/pid")" 2>/dev/null || true
    sleep 0.02
  done
  rm -f "$1/classes.jsa" # perhaps half written
}

# guard NAME DIR [keep]: once this script is gone, however it ended, stops the server of DIR and removes DIR,
# unless it is to be kept. The guard
# is a process of its own that waits for the end of a pipe which only this script holds open (as descriptor 9),
# so that it learns even of a SIGKILL.
guard() {
  local name=$1 dir=$2 keep=${3-}
  rm -f -- "$dir/alive"
  mkfifo "$dir/alive"
  set -m
  (
    trap '' INT TERM HUP
    set +e
    read -r _ <"$dir/alive"
    stop_server "$name" "$dir"
    [[ $keep == keep ]] || rm -rf -- "$dir"
  ) </dev/null &
  guard_pid=$!
  set +m
  exec 9>"$dir/alive"
  trap 'exec 9>&-; wait "$guard_pid"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
}

# run_command COMMAND...: runs it and sets `status` to its exit status. Ctrl-C reaches COMMAND from the terminal
# itself, so here it is only outlived; a SIGTERM or SIGHUP sent to this script is passed on.
run_command() {
  local command interrupted
  # An asynchronous command would ignore SIGINT and read from /dev/null: both are undone.
  (
    trap - INT QUIT TERM HUP
    exec "$@"
  ) <&0 9>&- &
  command=$!
  trap 'interrupted=yes' INT
  trap 'interrupted=yes; kill -TERM "$command" 2>/dev/null || true' TERM HUP
  while :; do
    interrupted=''
    status=0
    wait "$command" || status=$?
    [[ -n $interrupted ]] || break
  done
}
