#!/bin/sh
# bench_gpu.sh - moecheck bench on a GPU: what it says where there is none, or one with little memory (a
# made one, fake_cuda.c), and on a real one that a run has all its numbers and can be compared with itself.

set -u
: "${MOE_REQUIRE_GPU:=}"
folder=$(mktemp -d) || exit 99
trap 'rm -rf "$folder"' EXIT
out=$folder/out
failed=0
tiny='T=64 H=128 I=64 E=8 K=2'

fail()
{
    echo "$*"
    cat "$out"
    failed=1
}

# ends STATUS ARGUMENT...: moecheck bench with the arguments ends so.
ends()
{
    wanted=$1
    shift
    ./moecheck bench "$@" >"$out" 2>&1
    got=$?
    test $got -eq "$wanted" || fail "bench $*: wanted exit status $wanted, got $got"
}

has()
{
    grep -qE "$1" "$out" || fail "lacks: $1"
}

# ---- no GPU is needed

ends 2 --suite none
has "allowed: cpu, hopper, models, small"
ends 2 --suite small --device cpu
has "measured on a GPU"
ends 2 "$tiny" --variant naive --baseline /dev/null
ends 2 --suite small --baseline "$folder/none"

version=$(sed -n 's/^#define MOE_CUDA_VERSION //p' config.h)
arch=$(sed -n 's/^#define MOE_GPU_ARCHS "\([0-9]*\).*"/\1/p' config.h)
if test "$version" != 0; then
    ln -s "$PWD/.libs/fake_cuda.so" "$folder/libcuda.so.1"
    (
        FAKE_CUDA="0 $version 1 $arch" LD_LIBRARY_PATH=$folder
        export FAKE_CUDA LD_LIBRARY_PATH
        ends 77 "$tiny" --device cuda
        has "^Fake 7, sm_$arch, driver .*, CUDA "
        has "yardsticks +SKIP: needs 0\.[0-9]* GB of the GPU's memory and 0\.8 GB beside, 0\.067 GB are free"
        exit $failed
    ) || failed=1
fi

# ---- a GPU is

if ! ./tests/t_gpu print | grep -q '^state 0,'; then
    ends 77 --suite hopper
    has "^no usable GPU: ."
    ends 77 --variant cublas "$tiny" --json
    has '"verdict":"SKIP"'
    test $failed -eq 0 || exit 1
    test -z "$MOE_REQUIRE_GPU" || exit 1
    ./moecheck bench --suite small
    exit 77
fi

ends 0 --variant cublas "$tiny" "$tiny router=lists" "$tiny act=relu2 dtype=f64" -v
has "copy [0-9.]+ TB/s, dense chain [0-9.]+/[0-9.]+ TFLOP/s, ceiling [0-9.]+/[0-9.]+ TFLOP/s"
test "$(grep -cE '^    cublas +[0-9.]+/[0-9.]+ +[0-9.]+/' "$out")" -eq 3 || fail "not three rows"

ends 0 --variant cublas "$tiny" --json
cp "$out" "$folder/run.json"
for field in forward_seconds_hex backward_seconds_hex copy_bandwidth forward_ceiling_seconds \
    backward_chain_seconds forward_of_ceiling gpu_kept_bytes gpu_peak_bytes device date version; do
    has "\"measurement\":\"gpu\".*\"$field\"|\"$field\".*\"measurement\":\"gpu\""
done
ends 0 --variant cublas "$tiny" --baseline "$folder/run.json"
has "since .*forward (faster|same|slower|ambiguous) .*backward (faster|same|slower|ambiguous) "

# Larger than any GPU.
ends 77 --variant cublas "T=4194304 H=16384 I=16384 E=64 K=8"
has "cublas +SKIP: needs [0-9.]+ GB"
exit $failed
