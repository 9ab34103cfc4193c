#!/bin/sh
# catalogue.sh - doc/catalogue.md names faults that there are, says rightly where each can be acted out,
# and counts right; every report that the tables of faults name has its row.

set -u
: "${srcdir:=.}"
page=$srcdir/doc/catalogue.md
test -r "$page" || { echo "no $page"; exit 99; }
failures=0
fail() {
    echo "FAIL: $*"
    failures=$((failures + 1))
}

# One row a line: "name CPU|GPU|PTX".
rows=$(cat "$srcdir"/verify/fault_*.c | tr '\n' ' ' | sed 's/{"/\
&/g' | sed -n 's/^{"\([a-z0-9-]*\)", MOE_FAULT.*MOE_FAULT_ON_\([A-Z]*\).*/\1 \2/p')
test "$(echo "$rows" | wc -l)" -ge 300 || fail "only $(echo "$rows" | wc -l) rows of faults were read"

# Every line of the page with a number.
grep '^| [0-9]' "$page" >/dev/null || fail "no rows in $page"
while IFS='|' read -r _ number _ _ planted where _; do
    # shellcheck disable=SC2016 # backticks of the page
    names=$(echo "$planted" | tr ',' '\n' | sed -n 's/^ *`\([a-z0-9-]*\)` *$/\1/p')
    if [ -z "$names" ]; then
        case $planted in *none:*) ;; *) fail "row $number: neither a fault nor a reason" ;; esac
        continue
    fi
    for name in $names; do
        needs=$(echo "$rows" | sed -n "s/^$name //p")
        case "$needs:$where" in
        :*) fail "row $number: no fault $name" ;;
        CPU:*CPU* | GPU:*GPU* | PTX:*PTX*) ;;
        *) fail "row $number: $name needs $needs, the page says$where" ;;
        esac
    done
done <<END
$(grep '^| [0-9]' "$page")
END

# The sentence that counts.
all=$(grep -c '^| [0-9]' "$page")
none=$(grep '^| [0-9]' "$page" | grep -c '| none: ')
model=$(grep '^| [0-9]' "$page" | grep -c '| CPU\|, CPU')
grep -q "^Of $all rows $model are planted in the model" "$page" || fail "not $all rows, $model in the model"
tr '\n' ' ' <"$page" | grep -q "and $none have no fault here" || fail "not $none rows without a fault"

# Reports of the tables.
while read -r report; do
    grep -q "$report" "$page" || fail "$report is in a table and has no row"
done <<END
$(cat "$srcdir"/verify/fault_*.c | grep -o '[A-Za-z0-9_.-]*/[A-Za-z0-9_.-]*[#@][0-9a-f]*' | sort -u)
END

exit $((failures > 0))
