#!/bin/sh
# gpu_worker.sh - a worker on a GPU meets an illegal address, one that comes late, or a kernel that never
# ends, in the third of five cases: that case alone fails, with the call named, and the cases before and
# behind it pass.

set -u
plugin=$PWD/tests/.libs/order_faults.so
test -x tests/t_gpu || { echo "no tests/t_gpu"; exit 99; }
grep -q '^#define MOE_CUDA_VERSION 0$' config.h && { echo "built without CUDA"; exit 77; }
why=$(./tests/t_gpu print | sed -n '1s/^state 0,.*//; 1s/.*count [0-9]*: //p')
if test -n "$why"; then
    echo "$why"
    test -z "${MOE_REQUIRE_GPU-}" && exit 77
    exit 1
fi
out=$(mktemp) || exit 99
trap 'rm -f "$out"' EXIT
failed=0

# third VARIANT WORDS...: seeds 1, 2, 4, 5 pass, 3 fails, and all the words are said of it.
third()
{
    variant=$1
    shift
    ./moecheck verify --plugin "$plugin" --variant "$variant" --jobs 1 --timeout 20 \
        --check inputs,guards,bound \
        "T=64 H=48 I=40 E=3 K=2 dtype=f32 act=relu2 router=lists seed=1" \
        "T=64 H=48 I=40 E=3 K=2 dtype=f32 act=relu2 router=lists seed=2" \
        "T=64 H=48 I=40 E=3 K=2 dtype=f32 act=relu2 router=lists seed=3" \
        "T=64 H=48 I=40 E=3 K=2 dtype=f32 act=relu2 router=lists seed=4" \
        "T=64 H=48 I=40 E=3 K=2 dtype=f32 act=relu2 router=lists seed=5" >"$out" 2>&1
    status=$?
    verdicts=$(sed -n 's/^\(PASS\|FAIL\|ERROR\|SKIP\)  .*/\1/p' "$out" | tr '\n' ' ')
    if test $status -ne 1 || test "$verdicts" != "PASS PASS FAIL PASS PASS "; then
        echo "$variant: exit status $status, $verdicts"
        failed=1
    fi
    for words in "$@"; do
        tr -s ' \n' '  ' <"$out" | grep -qF -- "$words" && continue
        echo "$variant: not told: $words"
        failed=1
    done
    echo "== $variant"
    sed 's/^/    /' "$out"
}

third order-illegal-3 "run: order-illegal-3: forward returned" "CUDA_ERROR_ILLEGAL_ADDRESS"
third order-late-3 "run: order-late-3: "
third order-hangs-3 "isolation: hung: no answer within 20 s inside the variant, in forward" "the same"
exit $failed
