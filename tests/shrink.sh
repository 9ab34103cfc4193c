#!/bin/sh
# shrink.sh - moecheck shrink: what fails, crashes, hangs or fails now and then becomes small.

. "${srcdir:-.}/tests/head.sh"
verb=shrink
cp tests/.libs/misbehave.so "$folder" || exit 99
cd "$folder" || exit 99

plugin=--plugin=./misbehave.so
case='T=37 H=64 I=32 E=8 K=2 dtype=f16 router=sigmoid renorm=1 bias=1 beta=1 seed=99'

# ---- a wrong element -----------------------------------------------------------------------------

# It spoils element 3 of o: four elements are the least that have one.
status 1 $plugin --variant wrong "$case"
says out '^FAIL  wrong  T=[124] H=[124] I=1 E=1 K=1 dtype=bf16 (ratio'
says out '^    tensor   o, '
says out "^    shrunk   $case\$"
says out '^  *[0-9]* cases tried in [0-9.]* s; nothing smaller fails$'
test "$(grep -c '^FAIL' out)" -eq 1 || fail "more than one case is printed"

# The command that it prints repeats it.
again=$(sed -n "s/^    again  *moecheck //p" out)
eval "\"\$moecheck\" $again" >repeated 2>&1
got=$?
test $got -eq 1 || { fail "$again: exit $got, not 1"; cat repeated; }

# The number of workers does not change what comes out.
for jobs in 1 3; do
    status 1 $plugin --variant wrong --jobs $jobs --json "$case"
    grep -v '^{.*}$' out && fail "--json printed what is no object"
    sed -n 's/.*"to":"\([^"]*\)".*/\1/p' out >jobs.$jobs
done
test -s jobs.1 || fail "--json tells no minimal case"
cmp -s jobs.1 jobs.3 || fail "the number of workers changes the minimal case"
says out '^{"shrunk":{"from":"T=37 '
says out '"again":3,"runs":3,'
says out '"whole":true'

# Only the check that is asked for counts.
status 0 $plugin --variant wrong --check inputs "$case"

# ---- the end of the process ----------------------------------------------------------------------

status 1 $plugin --variant crash "$case"
says out '^FAIL  crash  T=0 H=1 I=1 E=1 K=1 dtype=bf16 (ratio'
says out '^    check    isolation: killed by SIGSEGV'
says out '^    shrunk   T=37'
status 1 $plugin --variant hang --timeout 0.2 "$case"
says out '^FAIL  hang  T=0 H=1 I=1 E=1 K=1 dtype=bf16 (ratio'
says out '^    check    isolation: hung'

# ---- now and then --------------------------------------------------------------------------------

status 1 $plugin --variant flaky --jobs 1 --check bound "$case"
says out '^FAIL  flaky  T=1 H=1 I=1 E=1 K=1 dtype=bf16 (ratio'
says out 'nothing smaller fails; at first 1 of 3 runs failed$'

# ---- nothing to shrink ---------------------------------------------------------------------------

status 0 --variant naive T=3 H=8 I=8 E=2 K=1
says out '^PASS  naive  T=3'
says err 'there is nothing to shrink$'
status 77 --variant ref-f32 T=3 dtype=f64
says out '^SKIP  ref-f32  T=3'

# ---- interrupted ---------------------------------------------------------------------------------

# A hang under a long limit cannot be shrunk in the time that we wait; the case stands as it is.
"$moecheck" shrink $plugin --variant hang --timeout 1 --shrink-budget 10m "$case" >out 2>err &
pid=$!
sleep 4
kill -TERM $pid
wait $pid
got=$?
says out '^FAIL  hang  T='
says err 'interrupted$'
test $got -eq 1 || test $got -eq 99 || fail "interrupted: exit $got"

# ---- what is not allowed -------------------------------------------------------------------------

for words in '' 'T=3 T=4' '"T=3 H=8" "T=4 H=8"' '--shrink-budget=soon T=3' '--shrink-budget=0 T=3' \
    '--variant=nobody T=3' '--variant=naive --check=none T=3' 'T=3'; do
    eval "status 2 $words"
    test "$(wc -l <err)" -eq 1 || { fail "$words: not one line on stderr:"; cat err; }
    test ! -s out || fail "$words: printed"
done

test $failures -eq 0
