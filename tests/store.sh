#!/bin/sh
# store.sh - moecheck fuzz --store: what is kept, what the next campaign begins with, shards, a store
# that is locked, full, or none; and a build without SQLite, which says so.

. "${srcdir:-.}/tests/head.sh"
size=${MOE_TEST_SIZE:-full}
cp tests/.libs/misbehave.so "$folder" || exit 99
cd "$folder" || exit 99

# is QUERY WANTED: of the store `store`.
is() {
    got=$("$build/tests/sql" store "$1")
    test "$got" = "$2" || fail "$1: '$got', not '$2'"
}

if ! test -x "$build/tests/sql"; then
    status 2 fuzz --store store --cases 0
    says err 'built without SQLite'
    test $failures -eq 0 || exit 1
    echo "SKIP: built without SQLite"
    exit 77
fi

# ---- what is kept --------------------------------------------------------------------------------

fuzz="fuzz --store store --variant naive --check bound --jobs 2 -q"
# shellcheck disable=SC2086 # $fuzz is several words
{
status 0 $fuzz --cases 6 --seed 18446744073709551615 --shard 1/3 --commit abc
is "SELECT seed, options, commit_id, shard, shards, resumed, ended >= started FROM campaign" \
    '18446744073709551615|--variant naive --check bound --cases 6|abc|1|3|0|1'
corpus=$("$build/tests/sql" store "SELECT count(*) FROM case_ WHERE origin = 'corpus'")
is "SELECT count(*) FROM case_ WHERE origin = 'array'" 2
is "SELECT count(*), count(DISTINCT number) FROM result" "$(((corpus + 1) / 3 + 2))|$(((corpus + 1) / 3 + 2))"
is "SELECT count(*) FROM result WHERE verdict <> 'PASS' OR device <> 'cpu' OR ratio > 1" 0
is "SELECT count(*) FROM ratio WHERE tensor = 'o' AND ratio <= 1 AND ratio > 0.01" \
    "$("$build/tests/sql" store "SELECT count(*) FROM ratio WHERE tensor = 'o' AND ratio > 0.01")"
test "$("$build/tests/sql" store "SELECT count(*) FROM ratio WHERE tensor = 'o'")" -gt 3 ||
    fail "no ratios of o"

# The shards are all the cases between them, and none twice.
if test "$size" = full; then
    for shard in 0 2; do status 0 $fuzz --cases 6 --seed 18446744073709551615 --shard $shard/3; done
    is "SELECT count(*), count(DISTINCT number) FROM result" "$((corpus + 6))|$((corpus + 6))"
fi
}

# ---- what failed comes first ---------------------------------------------------------------------

rm -f store*
fuzz="fuzz --store store --plugin ./misbehave.so --variant wrong --check bound --cases 2 --jobs 2"
# shellcheck disable=SC2086
{
status 1 $fuzz --seed 1 --shrink-budget 0 --shard 0/16
kinds=$(grep -c '^wrong: ' out)
test "$kinds" -gt 0 || fail "no kinds of failures"
is "SELECT count(*) FROM failure" "$kinds"
is "SELECT sum(count) FROM failure" "$("$build/tests/sql" store "SELECT count(*) FROM result WHERE verdict = 'FAIL'")"
is "SELECT count(*) FROM finding WHERE verdict = 'FAIL' AND check_ = 'bound' AND tensor IS NULL" 0
is "SELECT count(*) > 0, max(length(cells) <> rows * cols), max(rows > 64) FROM picture JOIN finding USING(campaign, number, variant, ordinal) WHERE geometry <> ''" '1|0|0'
first=$("$build/tests/sql" store "SELECT count(DISTINCT line) FROM failure JOIN case_ USING(campaign) WHERE number = first")
before=$("$build/tests/sql" store "SELECT count(*) FROM case_ WHERE origin = 'corpus'")
# those of the corpus are there already; a case of the array is new
new=$("$build/tests/sql" store "SELECT count(DISTINCT line) FROM failure JOIN case_ USING(campaign) WHERE number = first AND origin <> 'corpus'")
status 1 $fuzz --seed 2 --shrink-budget 2s --shard 1/16
is "SELECT count(*) FROM case_ WHERE campaign = 2 AND origin = 'failure'" "$new"
is "SELECT count(*) FROM case_ WHERE campaign = 2 AND origin = 'corpus'" "$before"
test "$first" -ge "$new" || fail "$first first cases, $new of them new"
# What failures were shrunk to comes first in the next campaign, of whatever shard.
minimal=$("$build/tests/sql" store "SELECT minimal FROM failure WHERE campaign = 2 AND minimal IS NOT NULL LIMIT 1")
test -n "$minimal" || fail "nothing was shrunk"
is "SELECT count(*) > 0 FROM failure WHERE minimal = '$minimal' AND again > 0 AND command LIKE 'moecheck verify --plugin ./misbehave.so --variant wrong --check bound ''$minimal'''" 1
if test "$size" = full; then
    status 1 $fuzz --seed 3 --shrink-budget 0 --shard 2/16
    is "SELECT count(*) FROM case_ JOIN result USING(campaign, number) WHERE campaign = 3 AND origin = 'failure' AND line = '$minimal'" 1
fi

# A failure that the ledger knows.
if test "$size" = full; then
rm -f store*
echo 'variant=wrong check=bound issue=x mode=tolerate T=5 H=8 I=8 E=2 K=1 dtype=bf16 seed=3' >ledger
"$moecheck" $fuzz --seed 1 --shrink-budget 0 --shard 0/50 --ledger ledger >out 2>err
is "SELECT verdict, origin FROM result JOIN case_ USING(campaign, number) WHERE number = 0" 'KNOWN|ledger'
fi
}

# ---- gone on with --------------------------------------------------------------------------------

# As if it had been cut: what has no result is judged, the rest is not, and both are counted.
rm -f store*
fuzz="fuzz --store store --variant naive --check bound --cases 4 --budget 500s --shard 0/8 --jobs 2"
# shellcheck disable=SC2086
{
status 0 $fuzz --seed 5
sed '/^cases/d' out >whole
cases=$(sed -n 's/^cases  *\(.*\) in .*/\1/p' out)
"$build/tests/sql" store "UPDATE campaign SET ended = NULL; DELETE FROM result WHERE number > 20;
    UPDATE result SET worker = 'before'"
status 0 $fuzz # whatever its seed is
says out '^campaign 1 of store goes on: [1-9]'
sed '/^cases/d; /goes on/d' out >resumed
cmp whole resumed || diff whole resumed
cmp -s whole resumed || fail "gone on with it is not the same"
says out "^cases  *$cases in .*; seed 5\$"
is "SELECT min(worker = 'before') FROM result WHERE number <= 20" 1
is "SELECT max(worker = 'before') FROM result WHERE number > 20" 0
is "SELECT count(*), max(resumed) FROM campaign" '1|1'
# The budget is of all runs together; what it had room for is judged.
results=$("$build/tests/sql" store "SELECT count(*) FROM result")
"$build/tests/sql" store "UPDATE campaign SET ended = NULL, seconds = 500;
    DELETE FROM result WHERE number IN (8, 24) OR number > 70"
status 0 $fuzz
is "SELECT count(*), max(number) < 71 FROM result WHERE number <= 70" \
    "$("$build/tests/sql" store "SELECT count(*) FROM case_ WHERE number <= 70 AND number % 8 = 0")|1"
test "$("$build/tests/sql" store "SELECT count(*) FROM result")" -lt "$results" ||
    fail "a budget that is spent leaves time for more"
if test "$size" = full; then
"$build/tests/sql" store "DELETE FROM campaign"
# Another seed, option, commit, version, or one at its end: a new campaign.
status 0 $fuzz --seed 5
"$build/tests/sql" store "UPDATE campaign SET ended = NULL"
status 0 $fuzz --seed 6 --commit x
is "SELECT count(*), max(resumed) FROM campaign" '2|0'
status 0 $fuzz --seed 6
is "SELECT count(*), max(resumed) FROM campaign" '3|0'
"$build/tests/sql" store "DELETE FROM campaign WHERE id = 3; UPDATE campaign SET version = '0.0.1'"
status 0 $fuzz --seed 5
is "SELECT count(*), max(resumed) FROM campaign" '3|0'
fi
}

# ---- locked --------------------------------------------------------------------------------------

mkfifo hold
"$build/tests/sql" store <hold >held &
exec 9>hold
until grep -q locked held 2>/dev/null; do sleep 0.1; done
# shellcheck disable=SC2086
status 2 $fuzz --seed 7 --store-wait 0
says err '^moecheck fuzz: store: another process has held it locked for 0 s$'
test "$(wc -l <err)" -eq 1 || fail "more than one line: $(cat err)"
exec 9>&-
wait

if test "$size" = full; then
is "SELECT count(*) FROM campaign" 3
# The same campaign twice at once: the second is refused.
"$build/tests/sql" store "UPDATE campaign SET ended = NULL, version = (SELECT version FROM result LIMIT 1) WHERE id = 3"
# shellcheck disable=SC2086
"$moecheck" $fuzz --seed 5 --cases 1000000 >first 2>&1 &
pid=$!
until grep -q '^seed 5' first 2>/dev/null; do sleep 0.1; done
# shellcheck disable=SC2086
status 2 $fuzz --seed 5 --cases 1000000 --store-wait 0
says err 'campaign 4 is being run by another process'
kill -KILL $pid
wait $pid 2>/dev/null
fi

# ---- a file that cannot grow ---------------------------------------------------------------------

# It stops with one line and without damage, and goes on once there is room.
rm -f store*
fuzz="fuzz --store store --variant naive --check bound --jobs 2 -q"
# shellcheck disable=SC2086
status 0 $fuzz --cases 0 --seed 2 --shard 0/50
fuzz="$fuzz --cases 60 --shard 0/2 --seed 3"
(
    ulimit -f 100 # 51,200 or 102,400 bytes, as the shell counts: not enough for all results
    # shellcheck disable=SC2086
    exec "$moecheck" $fuzz >out 2>err
)
got=$?
test $got -eq 99 || fail "a store that cannot grow: exit $got, not 99"
test "$(grep -c '^moecheck fuzz: store: ' err)" -eq 1 || { fail "not told in one line:"; cat err; }
says err 'the campaign stops here, and the same command goes on with it$'
is "PRAGMA integrity_check" ok
is "SELECT count(*) FROM campaign WHERE ended IS NULL AND seed = '3'" 1
some=$("$build/tests/sql" store "SELECT count(*) FROM result")
# shellcheck disable=SC2086
status 0 $fuzz
test "$("$build/tests/sql" store "SELECT count(*) FROM result")" -gt "$some" || fail "nothing more"
is "SELECT count(*), max(resumed) FROM campaign WHERE ended IS NOT NULL" '2|1'

# ---- times of benchmarks -------------------------------------------------------------------------

# Nothing is said of a first run. Of one beside runs that were, as it is written, a thousand times
# faster, it is.
if test "$size" = full; then
rm -f store*
bench="bench --variant naive --store store"
# shellcheck disable=SC2086
{
status 0 $bench 'T=1 H=8 I=8 E=1 K=1' --commit aaa
if grep -q 'of its time on' out; then fail "a first run has nothing to be beside"; fi
is "SELECT count(*), min(runs) > 2, max(device), min(commit_id), min(low <= median AND median <= high) FROM timing" '5|1|cpu|aaa|1'
is "SELECT part FROM timing WHERE variant = 'naive' ORDER BY 1" 'backward
forward'
"$build/tests/sql" store "UPDATE timing SET low = low / 1000, median = median / 1000, high = high / 1000"
status 0 $bench 'T=1 H=8 I=8 E=1 K=1' --commit bbb
says out '^        naive forward: slower [0-9.]* of its time on 20[0-9-]*, commits aaa\.\.bbb$'
says out '^        naive backward: slower '
is "SELECT count(*) FROM timing" 10
status 0 $bench 'T=1 H=8 I=8 E=1 K=1' --json -v
says out '^{"trend":{"case":"T=1 .*"variant":"naive","part":"forward","change":"[a-z]*"'
}
fi

# ---- what is not allowed -------------------------------------------------------------------------

for words in '--shard=1/1' '--shard=-1/2' '--shard=1' '--shard=0/2x' '--store-wait=soon' \
    '--store=no/such/folder/store'; do
    status 2 fuzz --cases 1 --variant naive "$words"
    test "$(wc -l <err)" -eq 1 || { fail "$words: not one line on stderr:"; cat err; }
done

test $failures -eq 0
