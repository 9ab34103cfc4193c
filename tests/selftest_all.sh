#!/bin/sh
# selftest_all.sh - the whole of moecheck selftest: every planted fault is caught by a check that must, 3000
# clean cases pass without an alarm, and the floors are at least what doc/selftest.md claims.

. "${srcdir:-.}/tests/head.sh"
cd "$folder" || exit 99

floor() { # NAME PATTERN
    grep -q "^  $1 *$2" out || fail "floor of '$1': $(grep "^  $1" out)"
}

"$moecheck" selftest >out 2>err
status=$?
test $status -eq 0 || fail "exit $status: $(cat err)"
grep -q '^  .* SURVIVES' out && fail "faults survive"
grep -q '^faults  *\([0-9]*\) caught of \1 planted (0 more' out || fail "not all are caught"
planted=$(sed -n 's/^faults  *\([0-9]*\) caught.*/\1/p' out)
test "${planted:-0}" -ge 150 || fail "only ${planted:-0} faults are planted"
sed -n 's/^  \([a-z-]*\)  *[0-9]* of  *\([0-9]*\)  0\.[0-9]* .*elsewhere$/\1 \2/p' out >classes
test "$(wc -l <classes)" -eq 13 || fail "not 13 classes"
while read -r class count; do
    test "$count" -ge 10 || fail "class $class has $count faults"
done <classes
clean=$(sed -n 's/^clean  *0 alarms in \([0-9]*\) cases.*; 0 not decided$/\1/p' out)
test "${clean:-0}" -ge 2900 || fail "clean cases: $(grep ^clean out)"

# 1/2048 of a gate on exact data; 1.6 % of one on generic data by ten seeds of ten, 0.8 % by eight; one k.
floor 'one gate of one token, data=exact1' '.*11:10'
floor 'one gate of one token, generic data' '.* 6:10 7:\(10\|9\|8\)'
floor 'k missing of 1024, data=exact0' '1 k'
floor 'k missing of 1024, generic data' '1 k'

test $failures -eq 0 || cat out
exit $((failures > 0))
