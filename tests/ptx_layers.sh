#!/bin/sh
# ptx_layers.sh - the variant hopper, as the judge runs it, on the PTX machine: whole layers forward and backward, under
# several orders of its warps and times of what is asynchronous. No alarm, and every result right.
#
# MOE_TEST_SIZE: small, full, or every (make check-ptx): every configuration of every case under 20 schedules, and a table of
# what came of it in ptx-layers.md.

set -u
: "${MOE_TEST_SIZE:=full}"
test -x ./moecheck || { echo "no moecheck here"; exit 99; }
./moecheck verify --device ptx --variant hopper --check inputs T=1 >/dev/null
test $? -ne 77 || { echo "built without hopper"; exit 77; }
out=$(mktemp "${TMPDIR:-/tmp}/moecheck-ptx.XXXXXX") || exit 99
trap 'rm -f "$out"' EXIT

# Every activation, router, layout of W1, place of the weight and kind of routing is in one of them; so are sizes that are
# padded.
set -- \
    'T=9 H=64 I=72 E=2 K=1' \
    'T=33 H=72 I=104 E=4 K=2 dtype=f16 act=geglu w1=interleaved bias=1' \
    'T=24 H=128 I=64 E=3 K=2 router=lists act=relu2 grad=f32 beta=1' \
    'T=5 H=9 I=7 E=2 K=1 beta=1'
test "$MOE_TEST_SIZE" = small || set -- "$@" \
    'T=64 H=256 I=128 E=8 K=3 act=swiglu router=topk-softmax' \
    'T=40 H=128 I=96 E=5 K=2 router=sigmoid renorm=1 scale=2.5 sel-bias=1 shared=64 shared-gate=1' \
    'T=16 H=64 I=256 E=3 K=2 dtype=f16 act=swiglu-oai w1=interleaved8 weight=before-w2' \
    'T=48 H=80 I=64 E=8 K=2 router=sqrt-softplus groups=4/2 router-bias=1 act=swiglu-clamp:0.5 weight=input' \
    'T=20 H=64 I=64 E=6 K=2 router=lists routing=ragged act=reglu dtype=f16 beta=1' \
    'T=37 H=96 I=80 E=4 K=2 router=lists routing=dropped:0.3 act=gelu-tanh bias=1' \
    'T=30 H=64 I=136 E=4 K=2 router=softmax-topk round=up round-to=8 act=geglu-tanh aux=0.01 zloss=0.001' \
    'T=19 H=88 I=64 E=7 K=3 routing=hot act=silu shared=72 dtype=f16 grad=f32' \
    'T=8 H=64 I=64 E=4 K=4 act=geglu data=exact2 w1=halves bias=1 shared=16' \
    'T=13 H=33 I=17 E=3 K=2 dtype=f16 w1=halves bias=1 shared=9 shared-gate=1 beta=1' \
    'T=12 H=64 I=37 E=3 K=2 grad=f32 act=relu2 router=lists routing=ragged bias=1 beta=1' \
    'T=30 H=61 I=16 E=7 K=2 router=softmax-topk round=stochastic round-to=4' \
    'T=1030 H=8 I=8 E=3 K=1 router-bias=1'

checks=routing,machine,bound,exact,bits,statistics
case $MOE_TEST_SIZE in
small) numbers=4 ;;
full) numbers='4 8' ;;
*)
    numbers='0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19'
    checks=$checks,configurations
    ;;
esac

status=0
wanted=0
for number in $numbers; do
    ./moecheck verify --json --device "ptx:$number" --variant hopper --check "$checks" "$@" >>"$out"
    got=$?
    wanted=$((wanted + $#))
    test $got -eq 0 || { status=1; echo "--device ptx:$number: exit $got"; }
done
judged=$(grep -c '^{"case".*"verdict":"PASS"' "$out")
echo "$judged of $wanted judgements pass"
test "$judged" -eq $wanted || status=1
test $status -eq 0 || grep -v '"verdict":"PASS","worst' "$out"

# Of each case: what passed, the configurations that were judged in them, and the largest err/bound.
test "$MOE_TEST_SIZE" = every && awk '
function text(name) { return match($0, "\"" name "\":\"[^\"]*") ? substr($0, RSTART + length(name) + 4, RLENGTH - length(name) - 4) : "" }
BEGIN { print "| case | schedules | PASS | configurations PASS | largest err/bound |\n|---|---|---|---|---|" }
/^{"case"/ {
    name = text("case")
    if (!(name in runs)) order[++count] = name
    runs[name]++
    pass[name] += text("verdict") == "PASS"
    line = $0
    if (match(line, /[0-9]+ configurations beside [^"]*/)) {
        line = substr(line, RSTART, RLENGTH)
        tried[name] += gsub(/ (PASS|FAIL|SKIP|ERROR)/, "&", line)
        right[name] += gsub(/ PASS/, "&", line)
    }
    match($0, /"worst_ratio":[0-9.e+-]*/)
    ratio = substr($0, RSTART + 14, RLENGTH - 14) + 0
    if (ratio > worst[name]) worst[name] = ratio
}
END {
    for (i = 1; i <= count; i++) {
        name = order[i]
        printf "| `%s` | %d | %d | %d of %d | %.3f |\n", name, runs[name], pass[name], right[name], tried[name], worst[name]
    }
}' "$out" >ptx-layers.md && cat ptx-layers.md
exit $status
