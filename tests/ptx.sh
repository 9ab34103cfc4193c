#!/bin/sh
# ptx.sh - moecheck ptx as a user meets it: kernels of another compiler, memory from files and into
# files, what it refuses, exit status.

. "${srcdir:-.}/tests/head.sh"
verb=ptx
triton=$srcdir/tests/ptx/triton
cd "$folder" || exit 99

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

# ---- many orders ---------------------------------------------------------------------------------

# shellcheck disable=SC2086
status 0 $add --args=file:x,file:zeros,unknown:16,4,zeros:16,zeros:16 --seeds=9
says out '^argument 2: 16 bytes, [0-9a-f]*, 0 of them unknown'
test "$(wc -l <out)" -eq 5 || { fail "more than the five buffers of one run:"; cat out; }
# shellcheck disable=SC2086
status 1 $add --args=file:x,file:zeros,unknown:16,5,zeros:16,zeros:16 --seeds=3
says out "^seed 2: FAIL: outside: .* byte 1 behind 'argument 0'"

# Who comes first is in the memory: other orders leave other bytes.
cat >order.ptx <<'END'
.version 8.0
.target sm_90a
.address_size 64
.visible .entry order(.param .u64 place)
{
.reg .u64 %q<3>; .reg .u32 %r<3>;
ld.param.u64 %q1, [place];
mov.u32 %r1, %ctaid.x;
atom.global.exch.b32 %r2, [%q1], %r1;
ret;
}
END
status 0 order.ptx --grid=8 --args=zeros:4 --seeds=9
says out '^seed [1-8]: memory is left with other bytes than under seed 0$'
status 2 order.ptx --args=zeros:4 --seeds=9 --time=lazy
refused

# ---- tensor maps ---------------------------------------------------------------------------------

# A kernel that copies a box of 16 x 2 through shared memory; rows of 64 bytes, 96 apart.
cat >box.ptx <<'END'
.version 8.0
.target sm_90a
.address_size 64
.visible .entry box(.param .align 64 .b8 map[128], .param .u64 out)
{
.reg .b64 %q<4>; .reg .b32 %r<8>; .reg .pred %p;
.shared .align 128 .b8 room[128];
.shared .align 8 .b64 bar;
mov.b64 %q0, map; cvta.param.u64 %q0, %q0; ld.param.u64 %q1, [out];
mov.u32 %r0, room; mov.u32 %r1, bar; mov.u32 %r2, %tid.x;
mbarrier.init.shared::cta.b64 [%r1], 1;
fence.mbarrier_init.release.cluster;
mbarrier.arrive.expect_tx.shared::cta.b64 %q2, [%r1], 128;
cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%r0], [%q0, {0, 1}], [%r1];
W: mbarrier.try_wait.parity.shared::cta.b64 %p, [%r1], 0;
@!%p bra W;
mov.u32 %r3, 0;
L: ld.shared.u32 %r4, [%r0]; st.global.u32 [%q1], %r4;
add.u32 %r0, %r0, 4; add.u64 %q1, %q1, 4; add.u32 %r3, %r3, 1;
setp.lt.u32 %p, %r3, 32; @%p bra L;
ret;
}
END
# Three rows; row 1 and 2 are wanted.
head -c 96 /dev/zero >rows
printf '%064d' 1 >one && printf '%064d' 2 >two
{ cat one; head -c 32 /dev/zero; cat two; head -c 32 /dev/zero; } >>rows
cat one two >want
status 0 box.ptx --block=1 --args='map:f32:16x3*96:16x2:0@file:rows,unknown:128' --save=1:got
cmp want got || fail "the box is another"
for wrong in map:f32:16x3*96:16x2:0 map:f99:16x3*96:16x2:0@file:rows map:f32:16x3*96:16:0@file:rows \
    map:f32:16x3*90:16x2:0@file:rows map:f32:16x9*96:16x2:0@file:rows map:f32:16x3*96:16x2:16@file:rows \
    map:f32:16x3*96:16x2:0@7 map:f32:0x3*96:16x2:0@file:rows map:f32:16x18446744073709551615*96:16x2:0@file:rows 5; do
    status 2 box.ptx --block=1 --args="$wrong,unknown:128"
    refused
done
# shellcheck disable=SC2086
status 2 $add --args=map:f32:16x3*96:16x2:0@file:rows,zeros:16,unknown:16,4,zeros:16,zeros:16
refused

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
