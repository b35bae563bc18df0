#!/usr/bin/env bash
# Install what the tests need of a Debian or Ubuntu, where it is missing. As root, or with sudo.
set -euo pipefail
cd "$(dirname "$0")/.."

# JupyterHub's proxy, for the Node.js that builds the browser's part.
hub_proxy() {
    local version=5.3.0 folder=.cache/configurable-http-proxy
    local module=$folder/node_modules/configurable-http-proxy
    if ! grep -q "\"version\": \"$version\"" "$module/package.json" 2>/dev/null; then
        echo "Installing for the tests: configurable-http-proxy $version"
        mkdir -p "$folder"
        PATH="$(scripts/node.sh):$PATH" npm install --silent --no-save --no-audit --no-fund \
            --prefix "$folder" "configurable-http-proxy@$version"
    fi
}
hub_proxy

missing=()
need() { command -v "$1" >/dev/null || PATH="/usr/sbin:/sbin:$PATH" command -v "$1" >/dev/null || missing+=("$2"); }
need bwrap bubblewrap
need busybox busybox-static
need curl curl
need caddy caddy
need chromium chromium
need debootstrap debootstrap
command -v firefox >/dev/null || need firefox-esr firefox-esr
need ip iproute2
need iptables iptables
need podman podman
need crun crun
need nginx nginx
need ps procps
need systemd-analyze systemd
# Another package's engine is as good, and Debian's would not go beside it.
need dockerd docker.io
# Podman's network; its package is as content with another.
compgen -G "/usr/*lib*/podman/netavark" >/dev/null || missing+=(netavark)
[ -f /usr/share/keyrings/debian-archive-keyring.gpg ] || missing+=(debian-archive-keyring)
compgen -G "/usr/lib/*/faketime/libfaketimeMT.so.1" >/dev/null || missing+=(libfaketime)
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
    as_root=(sudo)
fi
if ! command -v apt-get >/dev/null || { [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; }; then
    echo "Tests that need these packages will be skipped, since they cannot be installed from here:" >&2
    echo "    ${missing[*]}" >&2
    exit 0
fi
# Tests start web servers themselves; their packages would do so at once, on port 80.
if [[ " ${missing[*]} " == *" nginx "* || " ${missing[*]} " == *" caddy "* ]] && [ ! -e /usr/sbin/policy-rc.d ]; then
    trap '"${as_root[@]}" rm -f /usr/sbin/policy-rc.d' EXIT
    printf '#!/bin/sh\ncase "$1" in nginx*|caddy*) exit 101 ;; esac\n' | "${as_root[@]}" tee /usr/sbin/policy-rc.d >/dev/null
    "${as_root[@]}" chmod 755 /usr/sbin/policy-rc.d
fi
echo "Installing for the tests: ${missing[*]}"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
