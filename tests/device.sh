#!/bin/sh
# device.sh - gpu/device_cuda.c says what went wrong, in the driver's words and its own, and gives
# everything back: it is shown a made libcuda (fake_cuda.c) that fails in one function at a time.

set -u
version=$(sed -n 's/^#define MOE_CUDA_VERSION //p' config.h)
arch=$(sed -n 's/^#define MOE_GPU_ARCHS "\([0-9]*\).*"/\1/p' config.h)
test "$version" != 0 || { echo "built without CUDA"; exit 77; }
test "$arch" -ge 90 || { echo "the kernels of this test need sm_90 or later"; exit 77; }
folder=$(mktemp -d) || exit 99
trap 'rm -rf "$folder"' EXIT
ln -s "$PWD/.libs/fake_cuda.so" "$folder/libcuda.so.1"
failed=0

# expect STATUS WORDS FUNCTION ERROR: where FUNCTION fails with ERROR the walk ends with that status, the
# words, and nothing left behind.
expect()
{
    answer=$(FAKE_CUDA="0 $version 1 $arch" FAKE_CUDA_FAIL="$3 $4" LD_LIBRARY_PATH=$folder \
        ./tests/t_device walk 2>"$folder/stderr")
    case $answer in
    "status $1: "*"$2"*) ;;
    *)
        printf '%s %s: wanted status %s, "%s"; got\n%s\n' "$3" "$4" "$1" "$2" "$answer"
        failed=1
        ;;
    esac
    if grep "fake_cuda: left" "$folder/stderr"; then
        printf '%s %s: not everything was given back\n' "$3" "$4"
        failed=1
    fi
}

expect 0 "" none 0
for launched in "reverse_shared<<<1,256,80000>>>, 0 attributes" "cluster_ranks<<<32,32,0>>>, 2 attributes"; do
    grep -q "$launched" "$folder/stderr" || { echo "not launched: $launched"; failed=1; }
done
# Statuses: -2 no memory, -4 not supported, -5 internal.
expect -4 "opening the primary context of device 0, Fake 7: CUDA_ERROR_FAKE (CUDA error 46: " \
    cuDevicePrimaryCtxRetain 46
expect -2 "opening the primary context of device 0, Fake 7: CUDA_ERROR_OUT_OF_MEMORY" \
    cuDevicePrimaryCtxRetain 2
expect -5 "making the context of Fake 7 current" cuCtxSetCurrent 201
expect -5 "memory of Fake 7" cuMemGetInfo 700
expect -2 "allocating 80000 bytes on Fake 7: CUDA_ERROR_OUT_OF_MEMORY (CUDA error 2: out of memory)" cuMemAlloc 2
expect -5 "making a stream of Fake 7" cuStreamCreate 700
expect -5 "making an event of Fake 7" cuEventCreate 700
expect -5 "copying 1000 bytes to Fake 7" cuMemcpyHtoDAsync 700
expect -5 "waiting for a stream of Fake 7" cuStreamSynchronize 719
expect -5 "filling 500 bytes on Fake 7" cuMemsetD8Async 700
expect -5 "copying 500 bytes on Fake 7" cuMemcpyDtoDAsync 700
expect -5 "copying 1000 bytes from Fake 7" cuMemcpyDtoHAsync 700
expect -4 " code of device_kernel.cu on Fake 7" cuModuleLoadData 209
expect -5 "kernel 'reverse_shared' in the sm_$arch" cuModuleGetFunction 500
expect -5 "allowing 'reverse_shared' 80000 bytes of dynamic shared memory" cuFuncSetAttribute 1
expect -5 "launching 'reverse_shared', grid 1 x 1 x 1, block 256 x 1 x 1, cluster 0 x 0 x 0, 80000 bytes" \
    cuLaunchKernelEx 701
expect -5 "recording an event of Fake 7" cuEventRecord 400
expect -5 "waiting for an event of Fake 7" cuEventSynchronize 700
expect -5 "time between two events of Fake 7" cuEventElapsedTime 600
expect -5 "encoding a tensor map: type 9, rank 2" cuTensorMapEncodeTiled 1
expect -2 "allocating 64 bytes for the host and Fake 7" cuMemHostAlloc 2
expect -5 "beginning a capture on Fake 7" cuStreamBeginCapture 900
expect -5 "ending a capture on Fake 7" cuStreamEndCapture 901
expect -5 "making a graph runnable on Fake 7" cuGraphInstantiate 910
expect -5 "launching a graph on Fake 7" cuGraphLaunch 700
expect -5 "unknown error (CUDA error 999: no description)" cuLaunchKernelEx 999

# Surroundings of a variant's calls are made and taken down; nothing is computed here, so the same bytes
# come back from every run.
for check in stream dependent graph contention fence again,determinism,batch; do
    answer=$(FAKE_CUDA="0 $version 1 $arch" LD_LIBRARY_PATH=$folder ./moecheck verify \
        --plugin tests/.libs/order_faults.so --variant order --check $check \
        'T=64 H=48 I=40 E=3 K=2 dtype=f32 act=relu2 router=lists seed=5' 2>"$folder/stderr")
    case $answer in
    PASS*) ;;
    *)
        printf 'checks %s: %s\n' "$check" "$answer"
        failed=1
        ;;
    esac
done

# A word that a kernel reads beside a tensor, and nothing comes of, is what the fence is for.
FAKE_CUDA="0 $version 1 $arch" LD_LIBRARY_PATH=$folder ./tests/t_gpu_order 'read-*' >"$folder/order" 2>"$folder/stderr"
status=$?
if test $status -ne 0 || test "$(grep -c '^ok .*: FAIL by fence: ' "$folder/order")" -ne 2; then
    echo "the fence: t_gpu_order ends with $status"
    cat "$folder/order"
    failed=1
fi
exit $failed
