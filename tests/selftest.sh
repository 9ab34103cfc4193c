#!/bin/sh
# selftest.sh - moecheck selftest: a subset of the planted faults is caught, clean models are not
# accused, the output and the exit status say so.

. "${srcdir:-.}/tests/head.sh"
cd "$folder" || exit 99

clean=200
test "${MOE_TEST_SIZE-full}" = full || clean=40

status 0 selftest --fault 'writes-*' --clean $clean
says out '^  writes-zeros  *impostor  *[1-9]'
says out '^faults  *3 caught of 3 planted'
says out "^clean  *0 alarms in [1-9][0-9]* cases"

status 0 selftest --fault '*-missing-z' --json
tail -n 1 out | grep -qx '{"caught":[0-9]*,"planted":[0-9]*,"alarms":0,"clean":0}' || fail "last line: $(tail -n 1 out)"

# The same seed draws the same cases, whatever the number of workers.
status 0 selftest --fault 'score-*' --seed 3 --jobs 1
cp out one
status 0 selftest --fault 'score-*' --seed 3 --jobs 3
cmp -s out one || fail "the number of workers changes the matrix"

# What other checks leave to relations; and relations alone, which see one misreading and not another.
status 0 selftest --fault 'ds-of-zero-score'
says out '^  ds-of-zero-score .* relations [1-9]'
status 0 selftest --fault 'score-squared' --check relations
says out '^  score-squared .* relations [1-9]'
grep -q 'score-squared .* bound' out && fail "--check leaves bound in"
status 1 selftest --fault 'sigmoid-1-072' --check relations
status 2 selftest --check bounds

status 2 selftest --fault 'no such fault'
says err 'matches no fault'
status 2 selftest --clean -1
status 2 selftest surplus

# Models are selftest's own.
"$moecheck" list >out
grep -q model- out && fail "list shows the models"
status 2 verify --variant model-forward T=3

exit $((failures > 0))
