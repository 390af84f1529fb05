#!/usr/bin/env bash
# Writes each GROUP.txt from its GROUP.in: every version pinned, and the hash of every wheel of it, for any Python from
# 3.10 on. Needs uv; the result needs only pip. Run it after a change to a .in file, and commit both.
set -euo pipefail
cd "$(dirname "$0")"

lock() {
  local group=$1
  shift
  uv pip compile --quiet --universal --python-version 3.10 --only-binary :all: --generate-hashes --no-header \
    --upgrade "$@" "$group.in" --output-file "$group.txt"
}

for group in lab validate cross runtimes ledger; do
  lock "$group"
done
# One file of it is used, and nothing that it depends on.
lock rie --no-deps

# No registry is named in the lock file: npm uses the one that the machine is set up for.
for folder in asl ric; do
  (cd "$folder" && npm install --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved --no-audit --no-fund)
done
