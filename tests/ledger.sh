#!/bin/sh
# ledger.sh - known failures: tolerated while they fail, an error once they pass, never launched
# where that is asked for; ledgers that are malformed.

. "${srcdir:-.}/tests/head.sh"
cp tests/.libs/misbehave.so "$folder" || exit 99
cd "$folder" || exit 99
shards=1
test "${MOE_TEST_SIZE-full}" = full || shards=5

case='T=5 H=8 I=8 E=2 K=1 dtype=bf16 seed=3'
echo "$case" >cases
wrong="replay --plugin ./misbehave.so --variant wrong --check bound --ledger ledger cases"

# ---- tolerated -----------------------------------------------------------------------------------

echo "# known
variant=wr*g check=bound issue=owner/name#12 mode=tolerate $case # behind it" >ledger
# shellcheck disable=SC2086 # several words
{
status 0 $wrong
says out "^known wrong  $case: bound, owner/name#12\$"
says out '^known    failures tolerated: 1, cases not launched: 0$'
lacks out '^FAIL'
test "$(grep -c '^known wrong' out)" -eq 1 || fail "a case of the ledger and of the file ran twice"
status 0 $wrong --json
says out '^{"known":{"variant":"wrong","case":"T=5 '
says out '^{"ledger":{"tolerated":1,"not_launched":0,"passing_lines":\[\]}}$'

# Another check, another variant, another case: not known.
for words in "variant=wrong check=inputs $case" "variant=naive check=bound $case" \
    "variant=wrong check=bound $case seed=4"; do
    echo "issue=owner/name#12 mode=tolerate $words" | sed 's/seed=3 seed=4/seed=4/' >ledger
    status 1 $wrong
    says out '^FAIL  wrong  T=5'
done

# What else fails in the case fails the run.
echo "variant=wrong check=bound issue=x mode=tolerate $case" >ledger
sed 's/bound/exact/' ledger >second
echo 'T=5 H=8 I=8 E=2 K=1 dtype=bf16 data=exact0 router=lists' >exact
sed 's/ T=.*//; s/$/ T=* H=* I=* E=* K=* router=* data=* seed=*/' ledger >one
status 1 replay --plugin ./misbehave.so --variant wrong --check bound,exact --ledger one exact
sed 's/ T=.*//; s/$/ T=* H=* I=* E=* K=* router=* data=* seed=*/' second >>one
status 0 replay --plugin ./misbehave.so --variant wrong --check bound,exact --ledger one exact
}

# Any value of a key.
echo 'variant=wrong check=bound issue=x mode=tolerate T=* H=* I=8 E=2 K=* seed=*' >ledger
echo 'T=9 H=16 I=8 E=2 K=2 seed=8' >>cases
echo 'T=9 H=16 I=4 E=2 K=2 seed=8' >other
# shellcheck disable=SC2086 # several words
{
status 0 $wrong
says out '^known    failures tolerated: 2, '
status 1 $wrong other
says out '^FAIL  wrong  T=9 H=16 I=4'
}

# ---- passing -------------------------------------------------------------------------------------

echo "
variant=naive check=bound issue=owner/name#3 mode=tolerate $case" >ledger
status 1 replay --variant naive --ledger ledger cases
says out '^ledger:2: known failure passes: remove line 2 (bound of naive, owner/name#3)$'
says out '^PASS  naive  T=5'
status 1 replay --variant naive --ledger ledger cases --json
says out '"passing_lines":\[2\]'
status 1 fuzz --variant naive --ledger ledger --cases 0 --seed 1 --check bound --shard 0/$shards
says out '^ledger:2: known failure passes: remove line 2 '
says out 'cases of the corpus and the ledger'

# A check that was not made says nothing, nor does a line that no case has met.
status 0 replay --variant naive --ledger ledger cases --check inputs
lacks out 'known failure passes'
echo 'variant=naive check=bound issue=x mode=tolerate T=77 H=*' >ledger
status 0 replay --variant naive --ledger ledger cases
lacks out 'known failure passes'

# ---- never launched ------------------------------------------------------------------------------

echo 'variant=hang check=isolation issue=x mode=never-launch T=* H=* I=* E=* K=* seed=*' >ledger
status 0 replay --plugin ./misbehave.so --variant '[hn]a*' --ledger ledger cases
says out '^known    failures tolerated: 0, cases not launched: 2$'
says out '^PASS  naive'
lacks out '^[A-Za-z]*  *hang'
echo 'variant=hang check=isolation issue=x mode=tolerate T=5 H=8 I=8 E=2 K=1 seed=3' >ledger
echo 'T=5 H=8 I=8 E=2 K=1 seed=3' >cases
status 0 replay --plugin ./misbehave.so --variant hang --timeout 0.3 --ledger ledger cases
says out '^known hang  T=5'

# ---- fuzz ----------------------------------------------------------------------------------------

# All that fails is known, so nothing is kept, told or shrunk.
keys='T=* H=* I=* E=* K=* dtype=* grad=* act=* w1=* router=* renorm=* scale=* groups=* bias=*'
keys="$keys router-bias=* sel-bias=* round=* round-to=* weight=* shared=* shared-gate=* aux=* zloss=*"
keys="$keys beta=* routing=* data=* seed=*"
for check in bound guards exact; do
    echo "variant=wrong check=$check issue=x mode=tolerate $keys"
done >ledger
status 0 fuzz --plugin ./misbehave.so --variant wrong --cases 10 --seed 1 --ledger ledger --shard 0/$shards \
    --check bound,guards,exact --corpus found
says out '^known    failures tolerated: [1-9]'
lacks out '^FAIL'
lacks out '^wrong: '
test ! -e found || fail "what is known was kept"

# ---- what is not allowed -------------------------------------------------------------------------

good="variant=naive check=bound issue=x mode=tolerate"
for line in 'T=3' "$good T" "$good T=x" "$good K=9 E=2" "$good Q=1" "$good T=1 T=2" "$good T=* T=2" \
    "$good mode=tolerate" 'variant=naive check=bound issue=x' 'variant=naive check=bound mode=tolerate' \
    'variant=naive issue=x mode=tolerate' 'check=bound issue=x mode=tolerate' \
    'variant=naive check=none issue=x mode=tolerate' 'variant=naive check=bound issue= mode=tolerate' \
    'variant=naive check=bound issue=x mode=perhaps' "$good model=none" "$good Q=*"; do
    printf '# one\n%s\n' "$line" >ledger
    for command in replay fuzz; do
        status 2 $command --variant naive --ledger ledger
        test "$(wc -l <err)" -eq 1 || { fail "$line: not one line on stderr:"; cat err; }
        says err 'ledger:2: '
        test ! -s out || fail "$line: printed"
    done
done
for file in /no/such/file .; do
    status 2 replay --ledger $file cases
    test "$(wc -l <err)" -eq 1 || { fail "$file: not one line on stderr:"; cat err; }
done

test $failures -eq 0
