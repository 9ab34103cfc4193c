#!/bin/sh
# ptx.sh - moecheck ptx as a user meets it: kernels of another compiler, memory from files and into
# files, what it refuses, exit status.

set -u
: "${srcdir:=.}"
case $srcdir in /*) ;; *) srcdir=$PWD/$srcdir ;; esac
moecheck=$PWD/moecheck
test -x "$moecheck" || { echo "no moecheck here"; exit 99; }
folder=$(mktemp -d "${TMPDIR:-/tmp}/moecheck-ptx.XXXXXX") || exit 99
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 99
triton=$srcdir/tests/ptx/triton

failures=0
fail() {
    echo "FAIL: $*"
    failures=$((failures + 1))
}

# status N ARGUMENT...: runs moecheck ptx, output in `out` and `err`, and wants exit status N.
status() {
    want=$1
    shift
    "$moecheck" ptx "$@" >out 2>err
    got=$?
    test $got -eq "$want" || { fail "moecheck ptx $*: exit $got, not $want"; cat out err; }
}
says() { grep -q -- "$2" "$1" || { fail "$1 lacks '$2':"; cat "$1"; }; }
refused() {
    test ! -s out || { fail "something on stdout:"; cat out; }
    test "$(wc -l <err)" -eq 1 || { fail "not one line on stderr:"; cat err; }
}

# ---- memory from files and into files ------------------------------------------------------------

printf 'aaaabbbbccccdddd' >x
printf '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0' >zeros
add="$triton/add_rows.ptx --block=128"
# shellcheck disable=SC2086 # words
status 0 $add --args=file:x,file:zeros,unknown:16,4,zeros:16,zeros:16 --save=2:y -v
cmp x y || fail "x + 0 is not x"
says out '^argument 2: 16 bytes, [0-9a-f]*, 0 of them unknown'
says out 'M of threads a second'

# The element beyond the end, and a result that nobody takes where something is wrong.
# shellcheck disable=SC2086
status 1 $add --args=file:x,file:zeros,unknown:16,5,zeros:16,zeros:16 --save=2:z
says out '^FAIL: outside: .*kernels\.py:'
test ! -e z || fail "a result was written in spite of a failure"

# shellcheck disable=SC2086
status 0 $add --args=file:x,file:zeros,unknown:16,4,zeros:16,zeros:16 -q
test ! -s out || fail "-q says something"
# shellcheck disable=SC2086
status 0 $add --args=file:x,file:zeros,unknown:16,4,zeros:16,zeros:16 --trace
says out 'st.global'

# ---- the alignment of shared memory --------------------------------------------------------------

# Zeros and a map in shared memory that is not where it believes to be.
product="$triton/described_product.ptx --grid=1,1 --block=128 --shared=49176"
args=zeros:8192,zeros:8192,unknown:8192,64,64,64,zeros:384,zeros:16
# shellcheck disable=SC2086
status 0 $product --args=$args --shared-align=1024 --schedule=random --time=lazy --seed=3
# shellcheck disable=SC2086
status 1 $product --args=$args
says out '^FAIL: misaligned'

# ---- what it refuses -----------------------------------------------------------------------------

# shellcheck disable=SC2086
for wrong in --args=1,2 --args=file:missing,1,1,1,1,1 --args=some:16,1,1,1,1,1 --save=2 --save=:y \
    --shared-align=2048 --schedule=none --kernel=none --grid=0 --trace=1; do
    status 2 $add --args=zeros:16,zeros:16,unknown:16,4,zeros:16,zeros:16 $wrong
    refused
done
# shellcheck disable=SC2086
status 2 $add --args=zeros:16,zeros:16,unknown:16,4,zeros:16,zeros:16 --save=3:y2
says err 'no memory'
test ! -e y2 || fail "a number was saved"
status 2 x
refused
status 2 missing.ptx
refused
status 2

test $failures -eq 0 && echo "moecheck ptx: all as told"
exit $((failures > 0))
