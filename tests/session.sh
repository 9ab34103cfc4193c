#!/bin/sh
# session.sh - gpu_session runs its stages whatever became of the one before, tells of each, and ends
# with 1 where one failed, was cut or had no time: shown to it in a folder of made programs.

set -u
: "${srcdir:=..}"
script=$(cd "$srcdir" && pwd)/tests/gpu_session.sh
corpus=$(cd "$srcdir" && pwd)/fuzz/corpus
folder=$(mktemp -d) || exit 99
trap 'rm -rf "$folder"' EXIT
failed=0

fail()
{
    echo "FAILED: $*"
    sed 's/^/    /' "$folder/here/out/summary.txt"
    failed=1
}

# session STATUS ARGUMENT...: in a folder where everything answers as $answers tells, a line a program:
# NAME STATUS; 0 for those that are not told.
session()
{
    wanted=$1
    shift
    rm -rf "$folder/here"
    mkdir -p "$folder/here/tests" "$folder/here/fuzz" "$folder/here/bin" || exit 99
    cp -R "$corpus" "$folder/here/fuzz/corpus" && chmod -R u+w "$folder/here" || exit 99
    cp "$script" "$folder/here/gpu_session"
    for program in run moecheck tests/t_gpu_faults bin/compute-sanitizer bin/nvidia-smi; do
        cat >"$folder/here/$program" <<'END'
#!/bin/sh
echo "$MOE_REQUIRE_GPU $(basename "$0") $*" >>"$CALLS"
case $0 in
*/run) mkdir -p logs; printf '%s\n' 'ok 1 - none: PASS ' 'ok 2 - leak: FAIL by footprint on case 1: words' >logs/tests_t_gpu_faults.log ;;
esac
echo "$(basename "$0") said"
exit "$(echo "$ANSWERS" | awk -v name="$(basename "$0") ${1-} ${2-}" 'index(name, $1) { status = $2 } END { print status + 0 }')"
END
        chmod +x "$folder/here/$program"
    done
    : >"$folder/calls"
    CALLS=$folder/calls ANSWERS=$answers PATH=$folder/here/bin:$PATH sh "$folder/here/gpu_session" \
        -o "$folder/here/out" "$@" >"$folder/stdout"
    status=$?
    test $status -eq "$wanted" || fail "$*: exit status $status, not $wanted"
    cmp -s "$folder/stdout" "$folder/here/out/summary.txt" || fail "$*: summary.txt is not what was said"
}

tells()
{
    grep -q "$1" "$folder/here/out/summary.txt" || fail "the summary does not tell: $1"
}

answers=
session 0
for stage in tests large fuzz memcheck racecheck synccheck initcheck small models; do
    tells "^$stage: ok"
done
tells '^faults on a GPU: 1 found'
grep -q '^leak  *FAIL by footprint' "$folder/here/out/faults.txt" || fail "no table of faults"
test -s "$folder/here/out/logs.tar.gz" || fail "no logs"
test "$(wc -l <"$folder/here/out/small.cases")" -ge 10 || fail "few small cases"
grep -qv '^1 ' "$folder/calls" && grep -v 'nvidia-smi' "$folder/calls" | grep -qv '^1 ' &&
    fail "something was run that may do without a GPU"
answers='run 1'
session 1
tells '^tests: FAILED, exit status 1'
tells '^models: ok'
answers='fuzz 124'
session 1 fuzz small
tells '^fuzz: cut after'
tells '^small: ok'
grep -q '^tests:' "$folder/here/out/summary.txt" && fail "a stage that was not asked for"
answers='racecheck 9'
session 1 racecheck
tells '^racecheck: FAILED, exit status 9'
answers=
session 1 -t 1 small
tells '^small: not run, no time is left'
exit $failed
