#!/bin/sh
# manual.sh - the manual page is well-formed mdoc, and has every command and every option that the program
# has.

set -u
: "${srcdir:=.}"
page=$srcdir/doc/moecheck.1
failed=0

if ! command -v mandoc >/dev/null; then
    echo "no mandoc"
    exit 77
fi
mandoc -T lint "$page" || failed=1

for command in $(./moecheck --help | sed -n 's/^  \([a-z]*\)  .*/\1/p'); do
    grep -qx "\.It Cm $command" "$page" || {
        echo "the page lacks the command $command"
        failed=1
    }
    for option in $(./moecheck "$command" --help | sed -n 's/^[ a-z,-]* --\([a-z-]*\).*/\1/p'); do
        grep -qE "^\.It (Fl . , )?-?(Fl )?-$option( |\$)" "$page" || {
            echo "the page lacks --$option of $command"
            failed=1
        }
    done
done
exit $failed
