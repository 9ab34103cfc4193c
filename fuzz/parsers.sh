#!/bin/sh
# parsers.sh [SECONDS [FOLDER]] - fuzzes the parsers of untrusted text, the case line, safetensors files
# and PTX, with libFuzzer under AddressSanitizer and UBSan, SECONDS each (60). New inputs go to FOLDER (a
# temporary one), crashes too; a crash makes the exit status 1. Seeds are fuzz/seeds/.
#
# Everything is compiled from source here, since libFuzzer steers by instrumentation.

set -eu
seconds=${1:-60}
top=$(cd "$(dirname "$0")/.." && pwd)
folder=${2:-$(mktemp -d)}
clang=$(command -v clang || command -v clang-14) || { echo "parsers.sh needs clang"; exit 77; }
mkdir -p "$folder"

ref="act dtype draw draw_edges draw_exact draw_lists draw_values models philox problem problem_keys problem_names
     problem_number problem_validate status tensor"
verify="aside convert safetensors_read safetensors_write tensors"
sources=$(for name in $ref; do echo "$top/ref/$name.c"; done
    for name in $verify; do echo "$top/verify/$name.c"; done
    for file in "$top"/gpu/ptx/*.c; do
        case $file in */device_*.c | */run.c) ;; *) echo "$file" ;; esac
    done)

failed=0
for harness in case_line safetensors ptx; do
    # shellcheck disable=SC2046,SC2086
    $clang -std=gnu11 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
        -I"$top" $(pkg-config --cflags jansson) "$top/fuzz/fuzz_$harness.c" $sources \
        $(pkg-config --libs jansson) -lm -o "$folder/fuzz_$harness"
    mkdir -p "$folder/$harness"
    echo "$harness: $seconds s"
    "$folder/fuzz_$harness" -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=4096 \
        -print_final_stats=1 -dict="$top/fuzz/seeds/$harness.dict" -artifact_prefix="$folder/" \
        "$folder/$harness" "$top/fuzz/seeds/$harness" >"$folder/$harness.log" 2>&1 || failed=1
    grep -E 'stat::|ERROR|SUMMARY|Test unit' "$folder/$harness.log"
done
echo "inputs and logs: $folder"
exit $failed
