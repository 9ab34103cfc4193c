#!/bin/sh
# tally.sh LOG STATUS - ends a run of `make check` in one line, "N passed, N failed, N skipped", and
# with the status that it deserves.
#
# LOG is what make wrote, with any number of Automake's summaries in it; STATUS is make's own. A run
# counts as failed unless it can be seen to have finished: a make that failed without a failed test
# (a program that did not compile), or a log without any test, is one failure more.

set -u
if test $# != 2 || ! test -r "$1"; then
    echo "usage: tally.sh LOG STATUS" >&2
    exit 2
fi

awk -v status="$2" '
/^# (PASS|XFAIL): / { passed += $3 }
/^# (FAIL|XPASS|ERROR): / { failed += $3 }
/^# SKIP: / { skipped += $3 }
END {
    if (failed == 0 && (status != 0 || passed + skipped == 0))
        failed = 1
    printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
    exit failed != 0
}' "$1"
