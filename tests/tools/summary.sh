#!/usr/bin/env bash
# The last line of `make test`: what ran, and loudly what did not.
set -euo pipefail
cd "$(dirname "$0")/../.."

skipped=.cache/skipped-tests
if [ -s "$skipped" ]; then
    echo "SKIPPED, not passed:"
    sed 's/^/  /' "$skipped"
    rm -f "$skipped"
fi
echo "every test that could run here passed"
