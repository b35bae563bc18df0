#!/usr/bin/env bash
# Install what the tests need of a Debian or Ubuntu, where it is missing. As root, or with sudo.
set -euo pipefail

missing=()
need() { command -v "$1" >/dev/null || PATH="/usr/sbin:/sbin:$PATH" command -v "$1" >/dev/null || missing+=("$2"); }
need bwrap bubblewrap
need busybox busybox-static
need curl curl
need chromium chromium
need debootstrap debootstrap
command -v firefox >/dev/null || need firefox-esr firefox-esr
need ip iproute2
need iptables iptables
need podman podman
need crun crun
need nginx nginx
need ps procps
# Another package's engine is as good, and Debian's would not go beside it.
need dockerd docker.io
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
# Tests start nginx themselves; its package would do so at once, on port 80.
if [[ " ${missing[*]} " == *" nginx "* ]] && [ ! -e /usr/sbin/policy-rc.d ]; then
    trap '"${as_root[@]}" rm -f /usr/sbin/policy-rc.d' EXIT
    printf '#!/bin/sh\ncase "$1" in nginx*) exit 101 ;; esac\n' | "${as_root[@]}" tee /usr/sbin/policy-rc.d >/dev/null
    "${as_root[@]}" chmod 755 /usr/sbin/policy-rc.d
fi
echo "Installing for the tests: ${missing[*]}"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
