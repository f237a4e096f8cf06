#!/usr/bin/env bash
# A local schema registry with the Confluent API, for tests and trials: see usage below.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=../lib.sh
source "$here/../lib.sh"

usage() {
  cat <<'USAGE'
Usage: registry.sh COMMAND

  run -- PROGRAM [ARGUMENT...]  start Apicurio Registry, which keeps its schemas in memory, run PROGRAM with
                                CREWSYNC_SCHEMA_REGISTRY_URL set, then stop it; exits with PROGRAM's status
  fetch                         only fetch Apicurio Registry (150 MB)

It needs Java 17 or newer, and Maven for the first fetch. The files are kept in .cache/registry, or under
CREWSYNC_CACHE_DIR. Exit status: 64 for wrong usage, 69 where Java or Maven is missing or cannot fetch.
USAGE
}

readonly READY_LIMIT_S=60

version=$(sed -n 's:.*<apicurio.version>\(.*\)</apicurio.version>.*:\1:p' "$here/pom.xml")
name="Apicurio Registry $version"
cache=$cache_root/registry/$version

run() {
  local dir port
  prepare "$name" "$here/pom.xml" "$cache"
  dir=$(mktemp -d "${TMPDIR:-/tmp}/crewsync-registry.XXXXXX")
  guard "$name" "$dir"
  announce "$name"
  port=$(free_port)
  set_jvm "$dir" "$(archive_option "$dir")" -Xms64m -Xmx256m \
    -Dquarkus.http.host=127.0.0.1 "-Dquarkus.http.port=$port" "-Djava.io.tmpdir=$dir"
  start_server "$name" "$dir" "$READY_LIMIT_S" 'Listening on: ' \
    "${jvm[@]}" -jar "$cache/files/apicurio-registry-app-$version-runner.jar"
  export CREWSYNC_SCHEMA_REGISTRY_URL=http://127.0.0.1:$port/apis/ccompat/v7
  run_command "$@"
  exit "$status"
}

case ${1-} in
  run)
    shift
    [[ ${1-} != -- ]] || shift
    (($# > 0)) || fail "$USAGE" "$(usage)"
    run "$@"
    ;;
  fetch)
    (($# == 1)) || fail "$USAGE" "$(usage)"
    prepare "$name" "$here/pom.xml" "$cache"
    ;;
  -h | --help | help) usage ;;
  *) fail "$USAGE" "$(usage)" ;;
esac
