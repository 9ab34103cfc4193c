#!/bin/sh
# nights.sh - the recipes of doc/ci are run: a night of cron's, one that fails, two at once; a task of
# each shard of a Slurm array, and the report of all of them.

: "${CC:=cc}"
. "${srcdir:-.}/tests/head.sh"
MOECHECK=$moecheck
export MOECHECK
for program in sh flock sed; do
    command -v $program >/dev/null || { echo "no $program"; exit 77; }
done
cd "$folder" || exit 99
if "$MOECHECK" report no.store -o no.html 2>&1 | grep 'built without SQLite'; then
    exit 77
fi

says() { grep -qF -- "$2" "$1" || { fail "$1 lacks '$2':"; head -n 20 "$1"; }; }

# The template with a gate that is one percent off.
sed 's/return 1 \/ (1 + expf(-x));/return 0.99f \/ (1 + expf(-x));/' \
    "$srcdir/doc/examples/plugin/plugin.c" >plugin.c
$CC -std=gnu11 -O1 -I"$srcdir" -fPIC -shared -o plugin.so plugin.c -lm || exit 99

# night WANTED: a night of cron's, whose exit status is wanted.
night() {
    BUDGET=60s SHRINK=1s sh "$srcdir/doc/ci/night.sh" nights >out 2>&1
    got=$?
    test $got -eq "$1" || { fail "night.sh: exit $got, not $1"; cat out; }
}

# ---- cron ----------------------------------------------------------------------------------------

OPTIONS='--variant naive --cases 3' COMMIT=abc1234
export OPTIONS COMMIT
night 0
test ! -s out || { fail "a good night printed:"; cat out; }
says nights/latest.html '<header class="pass">'
says nights/latest.html 'commit abc1234'
says nights/night.xml '<testsuite name="moecheck.naive"'
says nights/night.jsonl '{"campaign":'

OPTIONS="--variant example --cases 0 --plugin $folder/plugin.so"
night 1
says out ' kinds'
says out 'again  '
says nights/latest.html 'example: bound of '
says nights/latest.html "moecheck verify --plugin $folder/plugin.so --variant example"
test "$(grep -o '<th scope="row">20[0-9-]*' nights/latest.html | wc -l)" -eq 2 ||
    fail "the page does not show both nights"

# The command that the page gives fails as it says.
sed -n 's|.*<pre><code>\(moecheck verify[^<]*\)</code>.*|\1|p' nights/latest.html | head -n 1 |
    sed "s/&#39;/'/g; s|^moecheck|\"\$MOECHECK\"|" >again.sh
sh again.sh >out 2>&1
test $? -eq 1 || { fail "the command of the page does not fail:"; cat again.sh out; }

# ---- Slurm ---------------------------------------------------------------------------------------

OPTIONS='--variant naive --cases 9'
SLURM_ARRAY_JOB_ID=4711 SLURM_ARRAY_TASK_COUNT=3 SLURM_CPUS_PER_TASK=2
export SLURM_ARRAY_JOB_ID SLURM_ARRAY_TASK_COUNT SLURM_CPUS_PER_TASK
for task in 0 1 2; do
    SLURM_ARRAY_TASK_ID=$task BUDGET=60s SHRINK=1s sh "$srcdir/doc/ci/night.sbatch" scratch >out 2>&1
    got=$?
    test $got -eq 0 || { fail "night.sbatch, task $task: exit $got"; cat out; }
done
cd scratch/4711 || exit 99
"$MOECHECK" report shard-*.store -o night.html >out || fail "no report of the shards"
says out 'Nothing failed: '
says night.html 'seed 4711'
says night.html '9 array' # every case once
"$MOECHECK" report shard-0.store shard-2.store -o some.html >out || fail "no report of two shards"
says out '; 2 of 3 shards'

test $failures -eq 0
