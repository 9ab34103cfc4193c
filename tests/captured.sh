#!/bin/sh
# A layer that another program captured: judged as it is, judged again after one bit of it was
# changed, and its inputs given to our variants. Then a layer of ours, its picks given as lists.
set -u
: "${srcdir:=.}"
moecheck=$PWD/moecheck
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
failures=0

# expect STATUS WHAT COMMAND...
expect()
{
    wanted=$1 what=$2
    shift 2
    "$@" >"$work/out" 2>&1
    status=$?
    if [ "$status" -ne "$wanted" ]; then
        echo "$what: exit $status, not $wanted" >&2
        cat "$work/out" >&2
        failures=$((failures + 1))
    fi
}

# flip NAME: the top exponent bit of the first element of a tensor of the file
flip()
{
    python3 - "$work/layer.st" "$work/changed.st" "$1" <<'PYTHON'
import json, struct, sys
data = bytearray(open(sys.argv[1], "rb").read())
length = struct.unpack("<Q", data[:8])[0]
first = json.loads(data[8:8 + length])[sys.argv[3]]["data_offsets"][0]
data[8 + length + first + 3] ^= 0x40
open(sys.argv[2], "wb").write(data)
PYTHON
}

case='T=12 H=16 I=8 E=4 K=2 dtype=f32 router=lists'
if command -v python3 >/dev/null 2>&1; then
    python3 "$srcdir/doc/examples/captured/capture.py" "$work/layer.st" || exit 99
    expect 0 "a captured layer" "$moecheck" judge "$case" "$work/layer.st"
    expect 0 "its inputs" "$moecheck" verify "$case" --load "$work/layer.st"
    for tensor in o z dx ds dw1 dw2; do
        flip "$tensor" || exit 99
        expect 1 "$tensor changed" "$moecheck" judge "$case" "$work/changed.st"
    done
    expect 2 "another shape" "$moecheck" judge "T=13 ${case#* }" "$work/layer.st"
else
    echo "no python3: the captured layer is not judged" >&2
fi

# A small model's layer: routed by us, then by its own lists.
case='model=qwen3-30b-a3b T=24 H=64 I=32 dtype=bf16'
lists='T=24 H=64 I=32 E=128 K=8 dtype=bf16 router=lists'
expect 0 "run" "$moecheck" run "$case" --variant ref --save "$work/model.st"
expect 0 "judge what was run" "$moecheck" judge "$case" "$work/model.st"
all=
test "${MOE_TEST_SIZE-full}" = full || all='--check inputs,guards,routing,bound,determinism'
# shellcheck disable=SC2086 # two words or none
expect 0 "its picks as lists" "$moecheck" verify "$lists" --load "$work/model.st" $all
expect 1 "other inputs" "$moecheck" judge "$lists seed=2 weight=before-w2 bias=1" "$work/model.st"

exit $((failures > 0))
