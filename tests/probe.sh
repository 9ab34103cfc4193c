#!/bin/sh
# probe.sh - gpu/probe.c tells apart what can be wrong with a driver: it is shown a made libcuda
# (fake_cuda.c) that fails in each way, and none at all.

set -u
version=$(sed -n 's/^#define MOE_CUDA_VERSION //p' config.h)
archs=$(sed -n 's/^#define MOE_GPU_ARCHS "\(.*\)"/\1/p' config.h)
folder=$(mktemp -d) || exit 99
trap 'rm -rf "$folder"' EXIT
failed=0

# expect STATE WORDS FAKE_CUDA: the probe's answer has the state's number and the words.
expect()
{
    answer=$(FAKE_CUDA=$3 LD_LIBRARY_PATH=$folder ./tests/t_gpu print 2>&1)
    case $answer in
    "state $1, "*"$2"*) ;;
    *)
        printf 'FAKE_CUDA=%s: wanted state %s, "%s"; got\n%s\n' "$3" "$1" "$2" "$answer"
        failed=1
        ;;
    esac
}

if test "$version" = 0; then
    ln -s "$PWD/.libs/fake_cuda.so" "$folder/libcuda.so.1"
    expect 1 "built without CUDA: " "0 13000 1 90"
    exit $failed
fi

# The toolkit's version and first architecture stand for a driver and a device that fit.
new=$version
old=$((version / 1000 * 1000 - 1000))
arch=$(echo "$archs" | sed 's/[^0-9].*//')

ln -s /dev/null "$folder/libcuda.so.1"
expect 2 "libcuda.so.1 not found" "0 $new 1 $arch"
rm "$folder/libcuda.so.1"
ln -s "$PWD/.libs/fake_cuda.so" "$folder/libcuda.so.1"

expect 0 "Fake 7, sm_$arch, code" "0 $new 1 $arch"
expect 0 "count 2" "0 $new 2 $arch"
expect 2 "stub" "34 $new 1 $arch"
expect 4 "too old: for CUDA $((old / 1000))" "0 $old 1 $arch"
expect 5 "no device" "0 $new 0 $arch"
expect 6 "no code for sm_75 in this build ($archs)" "0 $new 1 75"
if test -e /dev/nvidiactl || test -e /dev/dxg; then
    expect 5 "no device" "100 $new 0 $arch"
    expect 7 "different versions" "803 $new 1 $arch"
    expect 7 "CUDA error 999" "999 $new 1 $arch"
else
    expect 3 "/dev/nvidiactl" "100 $new 0 $arch"
fi
exit $failed
