#!/bin/sh
# mpi.sh - a campaign over several ranks: it judges what one process judges; after a rank, or mpirun,
# was killed the same command goes on with it.

. "${srcdir:-.}/tests/head.sh"
test -e .libs/moecheck-mpi.so || {
    # without the module it says so
    OMPI_COMM_WORLD_SIZE=2 "$moecheck" fuzz --cases 0 2>&1 | grep -q 'its module for that is not to be had' || {
        echo "FAIL: not a word of the missing module"
        exit 1
    }
    echo "SKIP: built without Open MPI"
    exit 77
}
command -v mpirun >/dev/null || { echo "SKIP: no mpirun"; exit 77; }
test -x tests/sql || { echo "SKIP: built without SQLite"; exit 77; }
cp tests/.libs/misbehave.so "$folder" || exit 99
cd "$folder" || exit 99

# Open MPI's own memory at its end is not ours.
ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0 TMPDIR=$folder
export ASAN_OPTIONS TMPDIR
kills=4
test "${MOE_TEST_SIZE:-full}" = small && kills=2

fuzz="fuzz --plugin ./misbehave.so --variant [nw][ar][io][vn]* --check bound --jobs 1 --cases 20
    --shard 1/3 --seed 11 --shrink-budget 0 -q --store"
ranks() {
    # shellcheck disable=SC2086 # several words
    exec mpirun -n 3 --oversubscribe --allow-run-as-root --mca btl self,vader,tcp "$moecheck" $fuzz "$1"
}
verdicts() {
    "$build/tests/sql" "$1" "SELECT number, line, variant, result.verdict, check_, tensor, text
        FROM result JOIN case_ USING(campaign, number) LEFT JOIN finding USING(campaign, number, variant)
        ORDER BY number, variant, ordinal; SELECT class_, variant, count FROM failure ORDER BY 1, 2"
}
children() {
    sed -n "s/^\([0-9]*\) ([^)]*) [A-Z] $1 .*/\1/p" /proc/[0-9]*/stat 2>/dev/null
}
has_ended() {
    test -e "$1" && test "$("$build/tests/sql" "$1" \
        "SELECT count(*) FROM campaign WHERE ended IS NOT NULL" 2>/dev/null)" = 1
}
same() {
    verdicts "$1" >other.txt
    cmp -s one.txt other.txt || {
        echo "FAIL: $1: the ranks say something else:"
        diff one.txt other.txt | head -40
        exit 1
    }
}

# shellcheck disable=SC2086
"$moecheck" $fuzz one >out 2>err
status=$?
test $status -eq 1 || { echo "FAIL: one process: exit $status, not 1"; cat out err; exit 1; }
verdicts one >one.txt

# Undisturbed.
(ranks whole) >out 2>err
status=$?
test $status -eq 1 || { echo "FAIL: ranks: exit $status, not 1"; cat out err; exit 1; }
same whole
for rank in 1 2; do
    test "$("$build/tests/sql" whole "SELECT count(*) > 0 FROM result WHERE worker LIKE '%:$rank'")" = 1 ||
        { echo "FAIL: rank $rank has judged nothing"; exit 1; }
done

# Killed, by turns: a rank, and mpirun, which takes the others with it.
awk -v kills=$kills 'BEGIN {
    srand(5)
    for (i = 0; i < kills; i++)
        printf "%s %d %.2f\n", i % 2 ? "mpirun" : "rank", 1 + int(3 * rand()), 1 + 1.5 * rand()
}' >plan
while read -r what which moment; do
    (ranks cut) >out 2>err </dev/null &
    pid=$!
    sleep "$moment"
    # shellcheck disable=SC2046 # one word a rank
    set -- $(children $pid)
    if test "$what" = mpirun; then
        kill -KILL $pid 2>/dev/null
    else
        shift $((which < $# ? which : 0))
        test $# -eq 0 || kill -KILL "$1" 2>/dev/null
    fi
    wait $pid 2>/dev/null
    if has_ended cut; then break; fi
done <plan
# In the end without mpirun: it is the same campaign.
if ! has_ended cut; then
    # shellcheck disable=SC2086
    "$moecheck" $fuzz cut >out 2>err
    status=$?
    test $status -eq 1 || { echo "FAIL: in the end: exit $status, not 1"; cat out err; exit 1; }
fi
same cut
"$build/tests/sql" cut "SELECT 'resumed ' || resumed || ' times' FROM campaign"

# A rank that cannot start its workers is told once, and nobody waits for ever.
mpirun -n 2 --oversubscribe --allow-run-as-root --mca btl self,vader,tcp "$moecheck" fuzz --plugin ./none.so \
    --store none >out 2>err </dev/null
status=$?
test $status -eq 2 || { echo "FAIL: no such plug-in: exit $status, not 2"; cat out err; exit 1; }
grep -q '^moecheck fuzz: rank 1: .*none.so' err || { echo "FAIL: not told:"; cat err; exit 1; }
test ! -e none || { echo "FAIL: a store was made for nothing"; exit 1; }
