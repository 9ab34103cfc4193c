#!/bin/sh
# exports.sh - the library exports moe_* and nothing else.

set -u
: "${NM:=nm}"
library=.libs/libmoecheck.so
test -e $library || { echo "no $library: built static only"; exit 77; }

symbols=$($NM -D --defined-only $library | awk '{ print $NF }') || exit 99
echo "$symbols" | grep -q '^moe_problem_parse$' || { echo "moe_problem_parse is not exported"; exit 1; }
if echo "$symbols" | grep -v '^moe_'; then
    echo "the library exports the above"
    exit 1
fi
