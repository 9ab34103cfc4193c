#!/bin/sh
# safetensors_python.sh - another program's reader and writer: the file that `moecheck run` saves loads
# in the Python package safetensors with the same shapes and bytes, and what that package writes is
# taken here. PYTHON names the interpreter; SKIP without the package or numpy.

set -u
: "${PYTHON:=python3}"
$PYTHON -c 'import numpy, safetensors.numpy' 2>/dev/null || {
    echo "no Python with numpy and safetensors"
    exit 77
}
folder=$(mktemp -d ./safetensors_python-XXXXXX) || exit 99
trap 'rm -rf "$folder"' EXIT

case='T=9 H=6 I=4 E=5 K=3 dtype=f32 router=lists routing=ragged'
./moecheck run "$case" --variant ref --save "$folder/ours" || { echo "moecheck run failed"; exit 1; }

# Reads ours, checks what can be known without us, and writes the inputs and outputs anew: another order
# of the tensors, lists as int64, x and the weights as they are.
$PYTHON - "$folder/ours" "$folder/theirs" "$folder/broken" <<'PYTHON' || exit 1
import sys
import numpy
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

ours, theirs, broken = sys.argv[1:]
with safe_open(ours, framework="numpy") as file:
    metadata = file.metadata()
assert metadata["variant"] == "ref", metadata
assert "routing=ragged" in metadata["case"], metadata
tensors = load_file(ours)
entries = int(tensors["offsets"][-1])
assert tensors["x"].shape == (9, 6) and tensors["x"].dtype == numpy.float32
assert tensors["w1"].shape == (5, 8, 6)
assert tensors["offsets"].dtype == numpy.int64 and tensors["offsets"][0] == 0
assert tensors["picks"].shape == tensors["scores"].shape == tensors["ds"].shape == (entries,)
assert tensors["z"].shape == ((tensors["picks"] >= 0).sum(), 8)

# One row of z, by the definition: by expert, then by token.
token = numpy.repeat(numpy.arange(9), numpy.diff(tensors["offsets"]))
order = numpy.lexsort((token, tensors["picks"]))
rows = [i for i in order if tensors["picks"][i] >= 0]
for row, entry in enumerate(rows):
    want = tensors["w1"][tensors["picks"][entry]].astype(float) @ tensors["x"][token[entry]]
    assert abs(tensors["z"][row] - want).max() <= 1e-5 * (1 + abs(want).max()), row

tensors["picks"] = tensors["picks"].astype(numpy.int64)
save_file({name: tensors[name] for name in sorted(tensors, reverse=True)}, theirs)
tensors["o"] = tensors["o"] + 1
save_file(tensors, broken)
PYTHON

./moecheck judge "$case" "$folder/theirs" || { echo "their file was not accepted"; exit 1; }
./moecheck judge "$case" "$folder/broken" >"$folder/log" 2>&1
status=$?
test $status -eq 1 || { cat "$folder/log"; echo "a wrong o was not found: exit $status"; exit 1; }
