#!/usr/bin/env bash
# Runs fuzz targets, guided by coverage, on the stable toolchain: each for some seconds, or for some executions.
# Usage: scripts/fuzz.sh [--seconds N | --runs N] [TARGET...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

limit=-max_total_time=20
# The same chance each time, so that a gate does not fail by it; a long run takes its own (0), which it prints.
seed=1
case ${1:-} in
    --seconds) limit=-max_total_time=${2:?how many seconds} && shift 2 ;;
    --runs) limit=-runs=${2:?how many executions} seed=0 && shift 2 ;;
    -*)
        echo "usage: scripts/fuzz.sh [--seconds N | --runs N] [TARGET...]" >&2
        exit 2
        ;;
esac
for name; do
    if ! compgen -G "*/*/fuzz/fuzz_targets/$name.rs" >/dev/null; then
        echo "there is no fuzz target $name; there are:" */*/fuzz/fuzz_targets/*.rs >&2
        exit 2
    fi
done

host=$(rustc -vV | sed -n 's/^host: //p')
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/fuzz
found=$(mktemp -d)
trap 'rm -rf "$found"' EXIT

# The flags of libFuzzer's coverage, which cargo-fuzz would pass. Safe Rust needs no sanitizer.
coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
--cfg fuzzing -Ccodegen-units=1"
compares=-Cllvm-args=-sanitizer-coverage-trace-compares

for source in */*/fuzz/fuzz_targets/*.rs; do
    name=$(basename "$source" .rs)
    [[ $# -eq 0 || " $* " == *" $name "* ]] || continue
    folder=${source%/fuzz_targets/*}
    case $name in
        # Any byte is an operation: there are no values to be learned from compares, which cost a third of the speed.
        # Its corpus is large; to weigh each entry by how rare its features are would take more time than the playing.
        operations) flags=$coverage options=(-max_len=192 -entropic=0) ;;
        *) flags="$coverage $compares" options=(-max_len=512) ;;
    esac
    RUSTFLAGS=$flags cargo build --release --locked --quiet --target "$host" --target-dir "$target" \
        --manifest-path "$folder/Cargo.toml" --bin "$name"
    mkdir -p "$found/$name"
    echo "fuzzing $folder: $name with $limit"
    began=$SECONDS
    if ! "$target/$host/release/$name" "$limit" -seed="$seed" "${options[@]}" -print_final_stats=1 \
        -artifact_prefix="$target/" "$found/$name" "$folder/corpus/$name" >"$found/$name.log" 2>&1; then
        tail -n 40 "$found/$name.log" >&2
        echo "the failing input lies in $target; make it a test under the clause it breaks" >&2
        exit 1
    fi
    grep -E 'INFO: Seed|DONE|number_of_executed_units' "$found/$name.log"
    echo "it took $((SECONDS - began)) s"
done
