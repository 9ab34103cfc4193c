#!/bin/sh
# command.sh - the command as a user meets it: exit status, what stands on which stream, and that nothing
# stays behind, for every sub-command, for bad input, and for variants that misbehave.

set -u
moecheck=$PWD/moecheck
folder=$(mktemp -d) || exit 99
trap 'rm -rf "$folder"' EXIT
# A copy, so that its workers can be told from everybody else's by their command line.
plugin=$folder/misbehave.so
cp tests/.libs/misbehave.so "$plugin" || exit 99
out=$folder/out
err=$folder/err
tests=0
failed=0
case='T=8 H=16 I=8 E=4 K=2 dtype=f32'

# fail WORDS...: counts and shows a failure of the last run.
fail()
{
    failed=$((failed + 1))
    echo "FAILED: moecheck $line: $*"
    sed 's/^/    stdout: /' "$out"
    sed 's/^/    stderr: /' "$err"
}

# run ARGUMENT...: the command, its streams in $out and $err, its exit status in $status.
run()
{
    line=$*
    tests=$((tests + 1))
    "$moecheck" "$@" >"$out" 2>"$err" </dev/null
    status=$?
}

# ends STATUS ARGUMENT...: exits like that, and whatever is said on stderr is one line.
ends()
{
    wanted=$1
    shift
    run "$@"
    test $status -eq "$wanted" || fail "exit status $status, not $wanted"
    test "$(wc -l <"$err")" -le 1 || fail "more than one line on stderr"
}

# refused WORDS ARGUMENT...: exit status 2, nothing on stdout, one line with these words on stderr.
refused()
{
    words=$1
    shift
    ends 2 "$@"
    test -s "$out" && fail "output for a usage error"
    test "$(wc -l <"$err")" -eq 1 || fail "no line on stderr"
    grep -qF -- "$words" "$err" || fail "no '$words' on stderr"
}

# prints WORDS: they stand on stdout of the last run.
prints()
{
    grep -qF -- "$1" "$out" || fail "no '$1' on stdout"
}

# says WORDS: the same, wherever lines are broken.
says()
{
    tr -s ' \n' '  ' <"$out" | grep -qF -- "$1" || fail "no '$1' on stdout"
}

# alone: no worker with our plug-in is left, now or within five seconds.
alone()
{
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        grep -lsF "$plugin" /proc/[0-9]*/cmdline >"$folder/left" || return
        sleep 0.5
    done
    fail "processes are left: $(cat "$folder/left")"
}

# ---- help, version, usage

ends 0 --version
grep -qE '^moecheck [0-9]+\.[0-9]+' "$out" || fail "no version"
ends 0 --help
for command in list verify run judge replay fuzz bench; do
    run --help
    prints " $command "
    ends 0 $command --help
    prints "Usage: moecheck $command"
    prints "--plugin"
    ends 0 $command --version
    ends 0 $command --usage
    refused "--no-such-option" $command --no-such-option
    refused "--jobs" $command --jobs=0
    refused "--jobs" $command --jobs=many
    refused "--timeout" $command --timeout=-1
    refused "--timeout" $command --timeout
    refused "--device" $command --device=abacus
done
run --help
grep -q ' worker ' "$out" && fail "the hidden command is shown"
refused "no command"
refused "no command 'sing'" sing
refused "no command" --no-such-option
refused "no case" verify
refused "no case" verify --json
refused "is not" verify nonsense=1
refused "T" verify T=1 T=2
refused "dtype" verify dtype=bf17
refused "empty" verify ""
refused "no variant matches 'nobody'" verify --variant nobody "$case"
for command in verify replay fuzz; do
    refused "no check 'nobody'; allowed: inputs, guards, " $command --check bound,nobody
    refused "no check ''; allowed: " $command --check bound,
done
refused "no variant matches 'nobody'" list --variant nobody
refused "No such file" verify --plugin "$folder/none.so" "$case"
refused "No such file" list --plugin "$folder/none.so"
echo 'no plug-in' >"$folder/text.so"
refused "text.so" verify --plugin "$folder/text.so" "$case"
refused "No such file" verify --load "$folder/none" "$case"
refused "text.so" verify --load "$folder/text.so" "$case"
refused "list takes options only" list "$case"
refused "suite" bench --suite none
refused "one of them" bench --suite cpu "$case"

# ---- verify

ends 0 verify "$case"
prints "PASS  naive  $case"
prints "PASS  ref  $case"
grep -qE '^naive +1 +0 +0 +0$' "$out" || fail "no table"
ends 0 verify --variant naive T=8 H=16 I=8 E=4 --variant=naive K=2 dtype=f32
test "$(grep -c '^PASS' "$out")" -eq 1 || fail "words of one case are not one case"
ends 0 verify --variant naive "$case" "$case seed=2" T=3 H=8
test "$(grep -c '^PASS' "$out")" -eq 3 || fail "not three cases"
ends 0 verify --variant 'ref*' -q "$case"
test -s "$out" && fail "-q says that all is well"
ends 77 verify --variant ref-f32 dtype=f64 T=4
prints "SKIP  ref-f32"
ends 77 verify --device cuda --variant naive "$case"
prints "SKIP"
ends 0 verify --jobs 3 --variant naive "$case" "$case seed=2" "$case seed=3"
test "$(sed -n 's/^PASS.*seed=\([0-9]\).*/\1/p' "$out" | tr -d '\n')" = 23 ||
    fail "not in the order of the cases"

# ---- JSON: nothing but objects, and a summary that ends them

ends 0 verify --json "$case" --variant 'ref*'
test "$(grep -vc '^{.*}$' "$out")" -eq 0 || fail "a line is no object"
tail -n 1 "$out" | grep -q '"summary".*"exit":0' || fail "no summary"
ends 0 list --json
grep -q '"variant":"naive"' "$out" || fail "no variant"
ends 1 verify --json --plugin "$plugin" --variant wrong "$case"
grep -q '"verdict":"FAIL".*"allowed_hex":"0x' "$out" || fail "no finding in hex"

# ---- verdicts of variants that misbehave

for variant in prints reads closes; do
    run verify --plugin "$plugin" --variant $variant "$case" "$case seed=2"
    test $status -eq 0 || fail "exit status $status, not 0"
    test "$(grep -c "^PASS  $variant" "$out")" -eq 2 || fail "not two passes"
done
run verify --plugin "$plugin" --variant prints "$case"
grep -q '"job":1' "$err" || fail "what the variant prints is not on stderr"

ends 1 verify --plugin "$plugin" --variant wrong "$case"
prints "FAIL  wrong  $case"
prints "tensor   o, row 0, column 3"
prints "found    0x1.388p+13 (10000)"
prints "wrong    1 of 128 elements"
again=$(sed -n "s/^    again    moecheck //p" "$out")
eval "ends 1 $again"
prints "FAIL  wrong  $case"

ends 1 verify --plugin "$plugin" --variant wrong --check inputs,bound "$case"
prints "check    bound: o"
prints "moecheck verify --plugin $plugin --variant wrong --check bound '$case"
ends 0 verify --plugin "$plugin" --variant wrong --check inputs "$case"
prints "PASS  wrong  $case"

ends 1 verify --plugin "$plugin" --variant crash "$case"
says "isolation: killed by SIGSEGV (Segmentation fault) inside the variant, in forward; run again alone: the same"
ends 1 verify --plugin "$plugin" --variant overreads "$case"
says "isolation: memory fault 0 bytes behind the end of x inside the variant"
ends 1 verify --plugin "$plugin" --variant leave "$case"
prints "isolation: exited with status 0 inside the variant"
ends 1 verify --plugin "$plugin" --variant supports-crash "$case"
prints "isolation: killed by SIGFPE"
ends 1 verify --plugin "$plugin" --variant hang --timeout 0.5 "$case"
says "isolation: hung: no answer within 0.5 s inside the variant, in forward; run again alone: the same"
alone
MISBEHAVE_ONCE=$folder/once
export MISBEHAVE_ONCE
ends 1 verify --plugin "$plugin" --variant once "$case"
says "isolation: killed by SIGABRT (Aborted) inside the variant, in forward; run again alone: PASS"
ends 1 verify --plugin "$plugin" --variant refuses "$case"
prints "not today"
# A crash is not the next case's.
run verify --plugin "$plugin" --variant '[cn]*s*' --jobs 1 "$case"
test $status -eq 1 || fail "exit status $status, not 1"
prints "FAIL  crash"
prints "PASS  closes"

# ---- ended from outside

# hanging SIGNAL: sends the signal to a verify that hangs, and waits for it. The first case has passed.
hanging()
{
    line="verify (hangs; $1)"
    tests=$((tests + 1))
    : >"$out" # what the run before printed would end the wait below at once
    "$moecheck" verify --plugin "$plugin" --jobs 1 --variant '[hn]a*' "$case" >"$out" 2>"$err" &
    pid=$!
    waited=0
    until grep -q PASS "$out" || test $((waited += 1)) -gt 60; do
        sleep 0.5
    done
    kill "-$1" $pid
    wait $pid 2>/dev/null
    status=$?
}

hanging TERM
test $status -eq 99 || fail "exit status $status, not 99"
prints "PASS  naive"
prints "variant"
grep -q "interrupted, 1 of 2 judged" "$err" || fail "not told"
alone
hanging KILL
alone

# ---- standard output that cannot be written

ends_unwritten()
{
    test $status -eq 99 || fail "exit status $status, not 99"
    grep -q "cannot write standard output" "$err" || fail "not told"
    test "$(wc -l <"$err")" -eq 1 || fail "more than one line on stderr"
}
for arguments in list --help --version "verify --variant naive T=2" "verify --help"; do
    line="$arguments, stdout closed"
    tests=$((tests + 2))
    : >"$out"
    # shellcheck disable=SC2086 # several words
    "$moecheck" $arguments 2>"$err" >&-
    status=$?
    ends_unwritten
    if test -c /dev/full; then
        line="$arguments, stdout full"
        # shellcheck disable=SC2086
        "$moecheck" $arguments 2>"$err" >/dev/full
        status=$?
        ends_unwritten
    fi
done
line="list, nobody reads"
tests=$((tests + 1))
{ "$moecheck" list 2>"$err"; echo $? >"$folder/status"; } | :
case $(cat "$folder/status") in 0 | 99) ;; *) fail "exit status $(cat "$folder/status")" ;; esac

# ---- run and judge

file=$folder/b.safetensors
ends 0 run "$case" --variant naive --save "$file"
test -s "$out" && fail "output"
ends 0 judge "$case" "$file"
prints "PASS  $file"
ends 0 judge T=8 H=16 I=8 E=4 K=2 dtype=f32 "$file" --json
grep -q '"verdict":"PASS"' "$out" || fail "no object"
ends 0 run "$case seed=9" --load "$file" --variant ref --save "$folder/c.safetensors"
ends 0 verify "$case seed=5" --load "$file" --variant naive
ends 0 judge "$case" "$folder/c.safetensors"
run run --plugin "$plugin" "$case" --variant wrong --save "$file"
test $status -eq 0 || fail "exit status $status"
ends 1 judge "$case" "$file"
prints "tensor   o, row 0, column 3"
prints "again    moecheck judge '$case' $file"
refused "--variant is missing" run "$case" --save "$file"
refused "--save is missing" run "$case" --variant naive
refused "0 cases" run --variant naive --save "$file"
refused "2 cases" run "$case" "$case" --variant naive --save "$file"
refused "matches 2 variants" run "$case" --variant 'ref*' --save "$file"
refused "wanted: one case and a file" judge "$file"
refused "No such file" judge "$case" "$folder/none"
refused "shape" judge "T=9 H=16 I=8 E=4 K=2 dtype=f32" "$file"
ends 77 run dtype=f64 --variant ref-f32 --save "$folder/none"
ends 1 run --plugin "$plugin" "$case" --variant crash --save "$folder/none"
prints "killed by SIGSEGV"
ends 99 run "$case" --variant naive --save "$folder/none/file"
grep -q "$folder/none/file" "$err" || fail "not told"
test -e "$folder/none" && fail "a file was left"
mkdir "$folder/limited"
(
    ulimit -f 1
    "$moecheck" run "$case" --variant naive --save "$folder/limited/file" >"$out" 2>"$err"
    echo $? >"$folder/status"
)
line="run, files limited to one block" status=$(cat "$folder/status") tests=$((tests + 1))
test "$status" -eq 99 || fail "exit status $status"
grep -q "limited/file: cannot be written" "$err" || fail "not told"
test -z "$(ls "$folder/limited")" || fail "something was left: $(ls "$folder/limited")"

# ---- replay

printf '# two cases\n%s # one\n\n%s seed=2\n' "$case" "$case" >"$folder/a.cases"
ends 0 replay "$folder/a.cases" --variant naive
test "$(grep -c '^PASS' "$out")" -eq 2 || fail "not two cases"
ends 1 replay --plugin "$plugin" --variant wrong "$folder/a.cases"
test "$(grep -c '^FAIL' "$out")" -eq 2 || fail "not two failures"
printf '%s\nT=1 U=2\n' "$case" >"$folder/b.cases"
refused "$folder/b.cases:2: " replay "$folder/a.cases" "$folder/b.cases"
refused "No such file" replay "$folder/none.cases"
ends 77 replay /dev/null
corpus=
test "${MOE_TEST_SIZE-full}" = full || corpus='--check routing,bound'
# shellcheck disable=SC2086 # two words or none
ends 0 replay -q --variant ref $corpus

# ---- bench

ends 0 bench "$case" --variant naive
prints "products by OpenBLAS"
grep -qE 'reference .* x products' "$out" || fail "no ratio"
grep -qE 'naive .*forward .*backward' "$out" || fail "no variant"
ends 0 bench --json "$case" --variant naive
test "$(grep -c '"measurement":"' "$out")" -eq 4 || fail "not four measurements"
ends 1 bench --plugin "$plugin" --variant crash "$case"
prints "FAIL: killed by SIGSEGV"

alone
echo "$tests runs of moecheck, $failed failed"
test $failed -eq 0
