#!/usr/bin/env bash
# Installs one group of tools into .tools, pinned by hash: lab, validate or cross. Does nothing where that is done.
set -euo pipefail
cd "$(dirname "$0")/../.."

usage() {
  echo "usage: infra/tools/install.sh lab|validate|cross" >&2
  exit 2
}

# Any Python from 3.10 on will do; PYTHON=... chooses one.
find_python() {
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
    if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "install.sh: no Python 3.10 or newer with venv (on Debian and Ubuntu: the package python3-venv)" >&2
  exit 1
}

[ $# = 1 ] || usage
group=$1
requirements=infra/tools/$group.txt
inputs=(infra/tools/install.sh "$requirements")
case $group in
  lab) venv=.tools/venv ;;
  cross) venv=.tools/cross ;;
  validate)
    venv=.tools/validate
    inputs+=(infra/tools/asl/package.json infra/tools/asl/package-lock.json)
    ;;
  *) usage ;;
esac

# The stamp names what was installed and where (a venv cannot be moved); it is written last, so half an installation
# is never taken for a whole one.
stamp=$venv/.installed
wanted="$(pwd -P) $(cat "${inputs[@]}" | cksum)"
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && "$venv/bin/python" -c '' 2>/dev/null; then
  exit 0
fi

python=$(find_python)
echo "installing the tools of '$group' into $venv"
rm -rf "$venv"
mkdir -p .tools
"$python" -m venv "$venv"
# Wheels only: an installation runs no code of the packages.
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes \
  --requirement "$requirements"

if [ "$group" = validate ]; then
  mkdir "$venv/asl"
  cp infra/tools/asl/package.json infra/tools/asl/package-lock.json "$venv/asl"
  # npm is a script that looks for node on the path.
  (cd "$venv/asl" && PATH="$PWD/../bin:$PATH" npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null)
fi

echo "$wanted" >"$stamp"
