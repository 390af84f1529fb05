#!/usr/bin/env bash
# Checks that this machine can build and run the lab, before a build that takes minutes. Ends with 2 and one sentence if not.
set -euo pipefail
cd "$(dirname "$0")/../.."

refuse() {
  echo "$1" >&2
  exit 2
}

system=$(uname -s)
[ "$system" = Linux ] ||
  refuse "the lab runs on Linux only, because it runs the Lambda functions as processes of this machine, which is $system: use a Linux machine or container"
case $(uname -m) in
  x86_64 | amd64 | aarch64 | arm64) ;;
  *) refuse "the lab runs on x86_64 and arm64 only, Lambda's architectures, and this machine is $(uname -m)" ;;
esac
infra/tools/find-python.sh >/dev/null || exit 2

wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
command -v "${CARGO:-cargo}" >/dev/null || refuse "Rust: cargo is not installed; install Rust $wanted or newer with rustup"
found=$(rustc --version 2>/dev/null | cut -d ' ' -f 2) || true
[ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -1)" = "$wanted" ] ||
  refuse "Rust: $wanted or newer is needed, and this machine has ${found:-none that works}; run \`rustup update stable\`"
# A compiler without the headers or libraries of C is as bad as none.
echo '#include <stdlib.h>
int main(void) { return EXIT_SUCCESS; }' | "${CC:-cc}" -x c - -o /dev/null 2>/dev/null ||
  refuse "C compiler: \`${CC:-cc}\` cannot build a program; on Debian and Ubuntu, install gcc and libc6-dev"
