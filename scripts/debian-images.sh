#!/usr/bin/env bash
# Makes the images of deploy/docker-compose.local-images.yml out of Debian's
# programs: from scratch, with the users and defaults of the public images.
set -euo pipefail

cd "$(dirname "$0")/.."
scripts/debian-programs.sh

image() { # program; the Dockerfile's end comes by standard input
  { echo "FROM scratch"; echo "COPY . /"; cat; } |
    docker build -q -t "stemedb-test/$1" -f - ".cache/debian/$1/root" >"$log" 2>&1 || { cat "$log" >&2; return 1; }
  echo "stemedb-test/$1"
}
# An empty folder for where a named volume is mounted: a new volume takes over its
# owner.
mkdir -p .cache/debian/{prometheus,alertmanager}/root/.empty
log=$(mktemp)
trap 'rm -f "$log"' EXIT

image haproxy <<'D'
USER 99:99
STOPSIGNAL SIGUSR1
CMD ["/usr/sbin/haproxy", "-W", "-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]
D
image prometheus <<'D'
COPY --chown=65534:65534 .empty /prometheus
USER 65534:65534
VOLUME /prometheus
ENTRYPOINT ["/usr/bin/prometheus"]
D
image alertmanager <<'D'
COPY --chown=65534:65534 .empty /alertmanager
USER 65534:65534
VOLUME /alertmanager
ENTRYPOINT ["/usr/bin/prometheus-alertmanager"]
D
