#!/usr/bin/env bash
# A local single-node Apache Kafka for tests and trials: see usage below.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=../lib.sh
source "$here/../lib.sh"

usage() {
  cat <<'USAGE'
Usage: kafka.sh COMMAND

  run -- PROGRAM [ARGUMENT...]  start a broker in a temporary folder, run PROGRAM with CREWSYNC_BROKER_URL set,
                                then stop the broker and remove the folder; exits with PROGRAM's status
  run --keep DIR -- PROGRAM...  the same in DIR, which keeps the data for the next time
  start DIR                     start a broker that keeps its data and ports in DIR, and print its URL
  stop DIR                      stop it; its data stay for the next start
  kill DIR                      end it at once, as a crash would
  fetch                         only fetch Apache Kafka

It needs Java 17 or newer, and Maven for the first fetch. The jars are kept in .cache/kafka, or under
CREWSYNC_CACHE_DIR. Exit status: 64 for wrong usage, 69 where Java or Maven is missing or cannot fetch.
USAGE
}

readonly CLUSTER_ID=crewsync-local-kafka-w # a UUID in base64url, as the format tool wants it
readonly READY_LIMIT_S=60

version=$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$here/pom.xml")
name="Apache Kafka $version"
cache=$cache_root/kafka/$version

prepare_broker() { prepare "$name" "$here/pom.xml" "$cache"; }

set_broker_jvm() { # set_broker_jvm DIR ARCHIVE_OPTION
  set_jvm "$1" "$2" -Xms64m -Xmx384m "-Dlog4j2.configurationFile=$here/log4j2.properties" -cp "$cache/files/*"
}

broker_url() { # broker_url DIR
  sed -n 's:^advertised.listeners=PLAINTEXT\://\([^,]*\).*:kafka\://\1:p' "$1/server.properties"
}

start_broker() { # start_broker DIR
  local dir=$1
  announce "$name"
  if [[ ! -f $dir/server.properties ]]; then
    sed -e "s/@BROKER_PORT@/$(free_port)/g" -e "s/@CONTROLLER_PORT@/$(free_port)/g" \
      "$here/server.properties" >"$dir/server.properties.new"
    mv "$dir/server.properties.new" "$dir/server.properties"
  fi
  if [[ ! -f $dir/data/meta.properties ]]; then
    set_broker_jvm "$dir" "-XX:SharedArchiveFile=$archive"
    (cd "$dir" && "${jvm[@]}" kafka.tools.StorageTool format --standalone -t "$CLUSTER_ID" -c server.properties) \
      >"$dir/server.log" 2>&1 </dev/null 9>&- || fail_with_log "$name could not format its folder" "$dir"
  fi
  set_broker_jvm "$dir" "$(archive_option "$dir")"
  start_server "$name" "$dir" "$READY_LIMIT_S" 'Kafka Server started' "${jvm[@]}" kafka.Kafka server.properties
}

run() {
  local dir keep=''
  if [[ $1 == --keep ]]; then
    mkdir -p "$2"
    dir=$(cd "$2" && pwd -P) keep=keep
    shift 2
    if is_running "$dir"; then fail 1 "A broker is running in $dir already."; fi
  fi
  [[ $1 != -- ]] || shift
  (($# > 0)) || fail "$USAGE" "$(usage)"
  prepare_broker
  [[ -n $keep ]] || dir=$(mktemp -d "${TMPDIR:-/tmp}/crewsync-kafka.XXXXXX")
  guard "$name" "$dir" "$keep"
  start_broker "$dir"
  CREWSYNC_BROKER_URL=$(broker_url "$dir")
  export CREWSYNC_BROKER_URL
  run_command "$@"
  exit "$status"
}

case ${1-} in
  run)
    shift
    (($# > 1)) || fail "$USAGE" "$(usage)"
    run "$@"
    ;;
  start | stop | kill)
    (($# == 2)) || fail "$USAGE" "$(usage)"
    [[ $1 != start ]] || mkdir -p "$2"
    [[ -d $2 ]] || fail "$USAGE" "There is no folder $2."
    dir=$(cd "$2" && pwd -P)
    case $1 in
      start)
        if ! is_running "$dir"; then
          prepare_broker
          start_broker "$dir"
        fi
        broker_url "$dir"
        ;;
      stop)
        prepare_broker
        stop_server "$name" "$dir"
        ;;
      *) kill_server "$dir" ;;
    esac
    ;;
  fetch)
    (($# == 1)) || fail "$USAGE" "$(usage)"
    prepare_broker
    ;;
  -h | --help | help) usage ;;
  *) fail "$USAGE" "$(usage)" ;;
esac
