#!/usr/bin/env bash
# Prints the name of a Python 3.10 or newer that can make virtual environments; PYTHON=... selects one.
set -euo pipefail
candidates=(python3 python3.14 python3.13 python3.12 python3.11 python3.10)
[ -z "${PYTHON:-}" ] || candidates=("$PYTHON")
for candidate in "${candidates[@]}"; do
  if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
    echo "$candidate"
    exit
  fi
done
found=$("${candidates[0]}" --version 2>/dev/null || echo "no ${candidates[0]}")
echo "Python: 3.10 or newer with the module venv is needed, and this machine has $found; on Debian and Ubuntu, install" \
  "python3-venv, or name another Python with PYTHON=/path/to/python3" >&2
exit 1
