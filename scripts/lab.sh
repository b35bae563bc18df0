#!/usr/bin/env bash
# Start JupyterLab in ./notebooks: scripts/lab.sh VENV [JUPYTER LAB'S OPTIONS].
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$(cd "$1/bin" && pwd)
shift

options=(--ServerApp.root_dir="$PWD/notebooks")
[ "$(id -u)" != 0 ] || options+=(--allow-root)
code=0
"$bin/jupyter" sessmgr image build >/dev/null || code=$?
case $code in
0) ;;
4) echo "Remote kernels will run as processes of this machine: no Docker engine answers." ;;
130) exit 130 ;;
*)
    echo "Remote kernels will run as processes of this machine: the image for containers could not be"
    echo "built (see above). After mending that, run: make image"
    options+=(--ComputeSessionManager.engine=process)
    ;;
esac
if [ ! -d notebooks ]; then
    mkdir notebooks
    # Root's containers run as user 1000, who is to write in the working folder as root does.
    [ "$(id -u)" != 0 ] || chown 1000:1000 notebooks
fi
exec "$bin/jupyter" lab "${options[@]}" "$@"
