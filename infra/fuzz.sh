#!/usr/bin/env bash
# Runs each fuzz target for some seconds: infra/fuzz.sh [SECONDS]. It needs a C++ compiler, which builds libFuzzer.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
host=$(rustc -vV | sed -n 's/^host: //p')
# LLVM's coverage for libFuzzer works with the stable compiler too. With --target, build scripts are built without it.
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
  -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg fuzzing"
folder=target/fuzz
cargo build --release --locked --manifest-path tests/fuzz/Cargo.toml --target "$host" --target-dir "$folder"
for target in faults http; do
  mkdir -p "$folder/corpus/$target" "$folder/artifacts"
  # Findings are kept in artifacts. To see one again, pass its file as an argument.
  status=0
  "$folder/$host/release/$target" "$folder/corpus/$target" "tests/fuzz/seeds/$target" -max_total_time="$seconds" \
    -timeout=30 -max_len=1024 -artifact_prefix="$folder/artifacts/$target-" -print_final_stats=1 \
    >"$folder/$target.log" 2>&1 || status=$?
  if [ "$status" != 0 ]; then
    tail -n 40 "$folder/$target.log"
    exit 1
  fi
  echo "$target: $(grep -oE 'stat::number_of_executed_units: +[0-9]+' "$folder/$target.log" | grep -oE '[0-9]+$') inputs in $seconds s, no failure"
done
