#!/bin/sh
# seeds.sh - the parsers' fuzz harnesses over all seeds: inputs that once were found, or that a hostile
# file or line would try. A harness aborts where a parser does not keep its word.

set -u
: "${srcdir:=.}"
for harness in case_line safetensors ptx; do
    # Inputs are not echoed unless something fails: the last line then names the culprit.
    log=$(fuzz/fuzz_$harness "$srcdir/fuzz/seeds/$harness" 2>&1) || {
        printf '%s\n' "$log" | tail -n 20
        echo "fuzz_$harness failed"
        exit 1
    }
    echo "fuzz_$harness: $(printf '%s\n' "$log" | tail -n 1)"
done
