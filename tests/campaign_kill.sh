#!/bin/sh
# campaign_kill.sh - a campaign whose processes are killed at random moments - the command, one of
# its workers, all of them together - and begun again each time: in the end it has judged the same
# cases with the same verdicts as one that nobody disturbed, each once.

test -x tests/sql || { echo "SKIP: built without SQLite"; exit 77; }
. "${srcdir:-.}/tests/head.sh"
cp tests/.libs/misbehave.so "$folder" || exit 99
cd "$folder" || exit 99

kills=20
test "${MOE_TEST_SIZE:-full}" = small && kills=3

# Two variants, one of them wrong, so that failures are among what must come through. In a subshell:
# that is then the command.
run() {
    exec "$moecheck" fuzz --store "$1" --plugin ./misbehave.so --variant '[nw][ar][io][vn]*' \
        --check bound --jobs 2 --cases 40 --shard 1/2 --seed 11 --shrink-budget 0 -q
}
verdicts() {
    "$build/tests/sql" "$1" "SELECT number, line, variant, result.verdict, check_, tensor, text
        FROM result JOIN case_ USING(campaign, number) LEFT JOIN finding USING(campaign, number, variant)
        ORDER BY number, variant, ordinal; SELECT class_, variant, count FROM failure ORDER BY 1, 2"
}

# Workers of a process.
children() {
    sed -n "s/^\([0-9]*\) ([^)]*) [A-Z] $1 .*/\1/p" /proc/[0-9]*/stat 2>/dev/null
}

(run whole) >whole.out 2>err
status=$?
test $status -eq 1 || { echo "FAIL: undisturbed: exit $status, not 1"; cat err; exit 1; }
verdicts whole >whole.txt
for variant in naive wrong; do
    grep -q "|$variant|" whole.txt || { echo "FAIL: no results of $variant"; exit 1; }
done

# kinds and moments of kills, always the same ones; what they meet is chance
awk -v kills=$kills 'BEGIN {
    srand(7)
    for (i = 0; i < kills; i++)
        printf "%s %.2f\n", substr("command worker  all     ", 8 * (i % 3) + 1, 8), 0.2 + 1.3 * rand()
}' >plan

# same STORE: its campaign is the undisturbed one.
same() {
    verdicts "$1" >cut.txt
    if ! cmp -s whole.txt cut.txt; then
        echo "FAIL: after $killed kills the results are others:"
        diff whole.txt cut.txt | head -40
        exit 1
    fi
    for table in result finding ratio; do
        query="SELECT count(*) FROM $table"
        one=$("$build/tests/sql" whole "$query") other=$("$build/tests/sql" "$1" "$query")
        test "$one" = "$other" || { echo "FAIL: $query: $one, $other"; exit 1; }
    done
    resumed=$("$build/tests/sql" "$1" "SELECT resumed FROM campaign")
    echo "judged as a whole, $resumed times gone on with"
}
# The command itself tells the same kinds of failures.
tells_same() {
    grep '^[a-z]*: ' whole.out | sort >one
    grep '^[a-z]*: ' out | sort >other
    test -s one || { echo "FAIL: no kinds of failures are told"; exit 1; }
    cmp -s one other || { echo "FAIL: it tells something else:"; diff one other; exit 1; }
}
has_ended() {
    test -e "$1" && test "$("$build/tests/sql" "$1" \
        "SELECT count(*) FROM campaign WHERE ended IS NOT NULL" 2>/dev/null)" = 1
}

# A campaign that has come to its end is followed by another, in a store of its own.
killed=0 number=1
while read -r what moment; do
    run cut$number >out 2>err &
    pid=$!
    sleep "$moment"
    workers=$(children $pid)
    case $what in
    worker)
        # shellcheck disable=SC2086 # one word a worker
        set -- $workers
        test $# -eq 0 || kill -KILL "$1" 2>/dev/null
        sleep 0.3
        kill -KILL $pid 2>/dev/null
        ;;
    command) kill -KILL $pid 2>/dev/null ;;
    all)
        # shellcheck disable=SC2086
        kill -KILL $pid $workers 2>/dev/null
        ;;
    esac
    wait $pid 2>/dev/null
    status=$?
    case $status in
    137) killed=$((killed + 1)) ;;
    1) tells_same ;;
    *) echo "FAIL: exit $status" && cat out err && exit 1 ;;
    esac
    if has_ended cut$number; then
        same cut$number
        number=$((number + 1))
    fi
done <plan
(run cut$number) >out 2>err
status=$?
test $status -eq 1 || { echo "FAIL: in the end: exit $status, not 1"; cat out err; exit 1; }
tells_same
same cut$number
echo "$killed kills, $number campaigns"
