#!/bin/sh
# fuzz.sh - moecheck fuzz: what it prints, what it covers, what it keeps, how it ends.

: "${CC:=cc}"
. "${srcdir:-.}/tests/head.sh"
cd "$folder" || exit 99

# What is asked of the cases in runs that are about something else; in the small size of all, and of a
# fifth of the cases.
little='--check inputs,bound'
all='' drawn=20 corpus=80
if test "${MOE_TEST_SIZE-full}" != full; then
    little="$little --shard 1/5"
    all='--check inputs,bound,exact,fence,stream --shard 1/5'
    drawn=4 corpus=16
fi

# ---- a short run ---------------------------------------------------------------------------------

# shellcheck disable=SC2086 # two words
status 0 fuzz --cases 20 --seed 5 --variant naive --jobs 2 $all
says out '^seed 5: '
says out '^naive  *[1-9][0-9]*  *0  *0  *0$'
says out "^cases  *[0-9]* of the corpus and $drawn drawn in "
says out '^values  *[0-9]* of [0-9]*$'
says out '^pairs  *[0-9]* of [0-9]* that can occur together ([0-9]* cannot)$'
says out '^check  *judged  *failed$'
says out '^bound  *[1-9][0-9]*  *0$'
says out '^exact  *[1-9][0-9]*  *0$'  # on exact data only
says out '^fence  *[1-9][0-9]*  *0$'  # in turn
says out '^stream  *0  *0$'           # on a GPU
says err 'fewer than the [0-9]* that have every pair'
test "$(wc -l <err)" -eq 1 || fail "more than one line on stderr"

# The same seed is the same cases, whatever the number of workers; another seed is others.
cases() {
    # shellcheck disable=SC2086 # two words
    "$moecheck" fuzz --json --cases 20 --variant naive $little "$@" 2>/dev/null |
        sed -n 's/.*"case":"\([^"]*\)".*/\1/p' | sort
}
cases --seed 5 --jobs 1 >one
cases --seed 5 --jobs 3 >three
cases --seed 6 --jobs 2 >other
test "$(wc -l <one)" -ge $corpus || fail "--json prints fewer results than the corpus has cases"
cmp -s one three || fail "the number of workers changes the cases"
cmp -s one other && fail "the seed does not change the cases"
# shellcheck disable=SC2086 # two words
"$moecheck" fuzz --json --cases 2 --seed 5 --variant naive $little 2>/dev/null >out
grep -v '^{.*}$' out && fail "--json printed what is no object"
says out '^{"campaign":{"seed":5,'
says out '"coverage":{"cases":'
says out '^{"checks":{"inputs":{"judged":[1-9][0-9]*,"failed":0},'

# ---- the budget ----------------------------------------------------------------------------------

# It ends by itself; how soon is for a quiet machine to say.
# shellcheck disable=SC2086 # two words
status 0 fuzz --budget 2s --variant naive --seed 1 -q $little
test ! -s out || { fail "-q printed:"; cat out; }

# ---- a variant that is wrong ---------------------------------------------------------------------

# The template with a gate that is one percent off.
sed 's/return 1 \/ (1 + expf(-x));/return 0.99f \/ (1 + expf(-x));/' \
    "$srcdir/doc/examples/plugin/plugin.c" >plugin.c
cmp -s plugin.c "$srcdir/doc/examples/plugin/plugin.c" && fail "no fault was planted"
$CC -std=gnu11 -O1 -I"$srcdir" -fPIC -shared -o plugin.so plugin.c -lm || exit 99
status 1 fuzz --plugin ./plugin.so --variant example --cases 60 --seed 5 --corpus found.cases \
    --shrink-budget 0
says out '^FAIL  example  T='
says out '^    again  *moecheck verify --plugin ./plugin.so --variant example '
says found.cases '^# example: '

# Each kind of failure stands once, with as many cases as failed; the first case of each is kept.
kept=$(grep -c '^T=' found.cases)
kinds=$(grep -c '^example: [a-z]* of [a-z0-9]*, .*; [a-z0-9]*, gated, lists: [0-9]* cases*$' out)
test "$kinds" -gt 1 || fail "$kinds kinds of failures"
test "$kept" -eq "$kinds" || fail "$kinds kinds of failures, $kept cases kept"
failed=$(sed -n 's/^example  *[0-9]*  *[0-9]*  *\([0-9]*\) .*/\1/p' out)
counted=$(sed -n 's/^example: .*: \([0-9]*\) cases*$/\1/p' out | awk '{n += $1} END {print n}')
test "$failed" -eq "$counted" || fail "$failed failures, $counted of them in kinds"
test "$(grep -c '^    smallest T=' out)" -eq "$kinds" || fail "not every kind has a smallest case"
grep '^    shrunk' out && fail "--shrink-budget 0 shrinks"

# What was kept comes next time too, before anything is drawn, and is not kept twice, in whatever order
# the workers end.
cp found.cases before.cases
for jobs in 1 2 3 7; do
    status 1 fuzz --plugin ./plugin.so --variant example --cases 0 --seed 6 --corpus found.cases \
        --shrink-budget 0 --jobs $jobs
    again=$(sed -n 's/^example  *[0-9]*  *[0-9]*  *\([0-9]*\) .*/\1/p' out)
    test "$again" -ge "$kept" || fail "$again of $kept kept cases failed again"
    cmp -s before.cases found.cases ||
        { fail "$jobs workers: cases were kept that were not there before:"; diff before.cases found.cases; }
done

# The commonest kind is shrunk, to a case that fails, and that case explains the others; it is kept
# with the one that it comes of.
status 1 fuzz --plugin ./plugin.so --variant example --cases 60 --seed 5 --corpus shrunk.cases
says out '^    shrunk  *T='
says out '^    minimal  *T=.*, as above$'
says shrunk.cases '^# example: .*; shrunk from T='
least=$(sed -n '/shrunk from/{n;p;q}' shrunk.cases)
status 1 verify --plugin ./plugin.so --variant example "$least"
"$moecheck" fuzz --plugin ./plugin.so --variant example --cases 60 --seed 5 --json >out 2>err
grep -v '^{.*}$' out && fail "--json printed what is no object"
says out '^{"failure":{"variant":"example","verdict":"FAIL","check":"bound",'
says out '^{"shrunk":{"from":"T='

# Failures that cannot be kept are said so, and remain failures.
status 1 fuzz --plugin ./plugin.so --variant example --cases 60 --seed 5 --corpus no/such/folder \
    --shrink-budget 0
says err 'no/such/folder: '

# ---- what is not allowed -------------------------------------------------------------------------

for words in '--budget=soon' '--budget=-1s' '--budget=0' '--cases=some' '--cases=-1' '--seed=x' \
    '--seed=18446744073709551616' 'T=3' '--variant=nobody' '--corpus=.' '--shrink-budget=soon' '--shrink-budget=-1'; do
    status 2 fuzz --cases 1 "$words"
    test "$(wc -l <err)" -eq 1 || { fail "$words: not one line on stderr:"; cat err; }
done

# ---- an interruption -----------------------------------------------------------------------------

"$moecheck" fuzz --variant naive --budget 60s --seed 1 >out 2>err &
pid=$!
tries=0 # the first line is printed once signals are taken care of
until grep -q '^seed' out || test $tries -eq 60; do
    sleep 1
    tries=$((tries + 1))
done
kill -TERM $pid
wait $pid
got=$?
test $got -eq 99 || fail "interrupted: exit $got, not 99"
says out '^pairs '
says err 'interrupted'

test $failures -eq 0
