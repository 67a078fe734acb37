#!/usr/bin/env bash
# Runs every fuzz target for some seconds, guided by coverage, on the stable toolchain.
# Usage: scripts/fuzz.sh [SECONDS]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=${1:-20}
host=$(rustc -vV | sed -n 's/^host: //p')
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/fuzz
found=$(mktemp -d)
trap 'rm -rf "$found"' EXIT

# The flags of libFuzzer's coverage, which cargo-fuzz would pass. Safe Rust needs no sanitizer.
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Ccodegen-units=1"

for manifest in */*/fuzz/Cargo.toml; do
    folder=${manifest%/*}
    cargo build --release --locked --target "$host" --target-dir "$target" --manifest-path "$manifest"
    for source in "$folder"/fuzz_targets/*.rs; do
        name=$(basename "$source" .rs)
        corpus=()
        [[ -d $folder/corpus/$name ]] && corpus=("$folder/corpus/$name")
        mkdir -p "$found/$name"
        echo "fuzzing $folder: $name for $seconds s"
        if ! "$target/$host/release/$name" -max_total_time="$seconds" -max_len=512 -print_final_stats=1 \
            -artifact_prefix="$target/" "$found/$name" "${corpus[@]}" >"$found/$name.log" 2>&1; then
            tail -n 40 "$found/$name.log" >&2
            echo "the failing input lies in $target; make it a test under the clause it breaks" >&2
            exit 1
        fi
        grep -E 'INFO: Seed|number_of_executed_units' "$found/$name.log"
    done
done
