#!/usr/bin/env bash
# Run the tests on the engine that answers: scripts/test.sh VENV [PYTEST'S OPTIONS].
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$1/bin
shift
for recipe in python r; do
    code=0
    "$bin/jupyter" sessmgr image build "$recipe" >/dev/null || code=$?
    # 4: no engine answers. Its tests are skipped, but fail in CI.
    [ $code = 0 ] || [ $code = 4 ] || exit $code
done
# Two at a time: most tests wait for something most of the time. A file's tests stay together, since
# they share servers.
pytest=("$bin/python" -m pytest)
rm -f .cache/pytest/v/cache/lastfailed
code=0
"${pytest[@]}" -n 2 --dist loadfile "$@" || code=$?
[ $code = 1 ] || exit $code
# A few that failed are run once more with the machine to themselves: what fails again is at fault.
failed=$("$bin/python" -c 'import json; print(len(json.load(open(".cache/pytest/v/cache/lastfailed"))))')
[ "$failed" -le 10 ] || exit 1
echo "Once more, alone: the $failed that failed beside others"
"${pytest[@]}" --last-failed --last-failed-no-failures none
