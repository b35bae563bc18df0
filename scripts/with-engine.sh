#!/usr/bin/env bash
# Run a command where a Docker engine answers: scripts/with-engine.sh COMMAND…
# Where none does and nothing else would start it, root's own is started for the time of the command.
# Its data stays in the cache folder, so that images need not be built again.
set -euo pipefail

socket=/var/run/docker.sock
answers() { curl --silent --fail --max-time 10 --unix-socket "$socket" http://docker/_ping >/dev/null 2>&1; }

engine=
stop() {
    trap - EXIT INT TERM
    [ -n "$engine" ] || return 0
    kill -TERM "$engine" 2>/dev/null || true
    for _ in $(seq 150); do
        kill -0 "$engine" 2>/dev/null || return 0
        sleep 0.2
    done
    kill -KILL "$engine" 2>/dev/null || true
}

start() {
    local data=${XDG_CACHE_HOME:-$HOME/.cache}/jupyter-sessmgr/docker
    mkdir -p "$data"
    setsid dockerd --host "unix://$socket" --data-root "$data" --exec-root /run/jupyter-sessmgr-docker \
        --pidfile /run/jupyter-sessmgr-docker.pid >"$data/../docker.log" 2>&1 </dev/null &
    engine=$!
    trap stop EXIT
    trap 'exit 130' INT TERM
    for _ in $(seq 300); do
        answers && return 0
        kill -0 "$engine" 2>/dev/null || break
        sleep 0.2
    done
    echo "The Docker engine did not start; see $data/../docker.log" >&2
    tail -n 20 "$data/../docker.log" >&2
    return 1
}

if [ -z "${DOCKER_HOST:-}" ] && ! answers; then
    if [ -d /run/systemd/system ]; then
        echo "No Docker engine answers; start it with: sudo systemctl start docker" >&2
    elif pgrep -x dockerd >/dev/null; then
        echo "A dockerd runs but does not answer at $socket; a second one would break its network." >&2
    elif [ "$(id -u)" = 0 ] && command -v dockerd >/dev/null; then
        start
    else
        echo "No Docker engine answers, and starting one needs root; its tests will be skipped." >&2
    fi
fi
"$@"
