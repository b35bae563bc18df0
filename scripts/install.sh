#!/usr/bin/env bash
# Install this checkout and what it needs: scripts/install.sh VENV EXTRAS.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$1 extras=$2
if [ -z "${SKIP_JUPYTER_BUILDER:-}" ]; then
    PATH="$(scripts/node.sh):$PATH"
    export PATH
fi
echo "Installing jupyter-sessmgr[$extras] (a minute or two the first time)"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".[$extras]"
