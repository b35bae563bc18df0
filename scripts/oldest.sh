#!/usr/bin/env bash
# Run tests on the oldest versions that pyproject.toml allows: scripts/oldest.sh VENV [PYTEST'S OPTIONS].
# The versions are resolved from its lower bounds, so there is no second list of them.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$1/bin own=$PWD/.cache/oldest
shift
mkdir -p .cache
version=$("$bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
"$bin/uv" pip compile --quiet --resolution lowest-direct --python-version "$version" --no-annotate \
    --extra lab pyproject.toml --output-file .cache/oldest.txt >/dev/null
"$bin/uv" venv --quiet --clear --python "$bin/python" "$own"
"$bin/uv" pip install --quiet --python "$own/bin/python" --constraint .cache/oldest.txt \
    --requirement pyproject.toml --extra lab --extra test
# The package itself is the tree, with what an installation has besides: entry points, configuration.
SKIP_JUPYTER_BUILDER=1 "$bin/uv" pip install --quiet --python "$own/bin/python" --no-deps --editable .

tests=("$@")
if [ ${#tests[@]} = 0 ]; then
    # Everything small; then kernels, HTTP and services once through, for the libraries they speak.
    tests=(tests/unit tests/contract tests/integration/test_kernels_direct.py tests/integration/test_kernels_server.py
        tests/integration/test_durable.py tests/integration/test_rest_sessions.py tests/integration/test_rest_streams.py
        tests/integration/test_proxy.py tests/integration/test_proxy_sockets.py)
fi
# What they warn of, later versions have mended.
PATH="$own/bin:$PATH" exec "$own/bin/python" -m pytest -W default -o cache_dir=.cache/pytest-oldest -n 2 --dist loadfile "${tests[@]}"
