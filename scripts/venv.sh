#!/usr/bin/env bash
# Make a virtual environment: scripts/venv.sh FOLDER [PYTHON]. Says what is missing, and the remedy.
set -euo pipefail
folder=$1 wanted=${2:-}

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

python=
for candidate in ${wanted:-python3 python3.14 python3.13 python3.12 python3.11}; do
    if command -v "$candidate" >/dev/null && is_new_enough "$candidate"; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    found=$("${wanted:-python3}" --version 2>/dev/null || echo "no ${wanted:-python3}")
    echo "Python 3.11 or newer is needed; here is $found." >&2
    echo "Install one (Debian, Ubuntu: apt-get install python3.11 python3.11-venv), then: make lab PYTHON=python3.11" >&2
    exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    echo "$python cannot make virtual environments: the package python3-venv is missing." >&2
    echo "Install it, then try again: sudo apt-get install python3-venv    (or python$version-venv)" >&2
    exit 1
fi
echo "Making a virtual environment in $folder with $("$python" --version)"
rm -rf "$folder"
"$python" -m venv "$folder"
