#!/bin/sh
# ptx_rules.sh - each rule of the PTX machine is raised at one place of its source, so that a kernel that is told to break
# it (t_ptx_rules) is told that this place is there. What a host without memory has to say may stand anywhere.

. "${srcdir:-.}/tests/head.sh"
sources=$srcdir/gpu/ptx
rules=$(sed -n 's/^    \(PTX_RULE_[A-Z_]*\),$/\1/p' "$sources/rules.h" | grep -v '^PTX_RULE_\(COUNT\|NO_MEMORY\)$')
test "$(echo "$rules" | wc -l)" -ge 90 || fail "rules.h is read in another way than it is written"
for file in "$sources"/*.c; do
    case $file in
    */rules.c) ;;
    *) cat "$file" ;;
    esac
done >"$folder/all"
for rule in $rules; do
    places=$(grep -cw "$rule" "$folder/all")
    test "$places" -eq 1 || fail "$rule stands at $places places"
done
test $failures -eq 0 && echo "$(echo "$rules" | wc -l) rules, each raised at one place"
exit $((failures > 0))
