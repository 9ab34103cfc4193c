#!/bin/sh
# run - runs the built tests of this folder, which needs no compiler and none of the libraries that
# moecheck is built with; only glibc as new as the build's. The last line is
# "N passed, N failed, N skipped"; the exit status is 1 where one failed.
#
#     ./run [-j JOBS] [-g] [-s] [TEST...]
#
# TEST is a name such as tests/t_device or tests/command.sh; without any, all are run: those for a GPU
# first and one after another, so that they do not disturb each other, then JOBS at a time (all cores).
# -g: those for a GPU and no others. -s: the small sizes. MOE_REQUIRE_GPU=1: a GPU that cannot be used is a failure and not a reason to
# skip. What a test said is in logs/.

set -u
cd "$(dirname "$0")" || exit 2

# run --one TEST: its log, and in logs/TEST.tally "PASSED FAILED SKIPPED".
one()
{
    log=logs/$(echo "$1" | tr / _).log
    begin=$(date +%s)
    case $1 in
    *.sh)
        sh "$1" >"$log" 2>&1 </dev/null
        status=$?
        case $status in
        0) counts="1 0 0" ;;
        77) counts="0 0 1" ;;
        *) counts="0 1 0" ;;
        esac
        ;;
    *)
        "./$1" >"$log" 2>&1 </dev/null
        status=$?
        # A plan that was not kept, or a status that no line explains, is a failure too.
        counts=$(awk -v status=$status '
            /^1\.\.[0-9]+/ { planned = substr($1, 4) }
            /^ok .*# SKIP/ { skipped++; next }
            /^ok / { passed++ }
            /^not ok / { failed++ }
            END {
                if (failed == 0 && (status != 0 || passed + skipped != planned || planned == 0))
                    failed++
                print passed + 0, failed + 0, skipped + 0
            }' "$log")
        ;;
    esac
    echo "$counts" >"$log.tally"
    # shellcheck disable=SC2086 # three words
    set -- "$1" $counts
    verdict=ok
    test "$3" = 0 || verdict="not ok"
    lines=$(printf '%s - %s: %d passed, %d failed, %d skipped, exit %d, %d s' "$verdict" "$1" "$2" "$3" \
        "$4" "$status" $(($(date +%s) - begin)))
    if test "$verdict" = "not ok"; then
        lines=$lines$(printf '\n' && tail -n 60 "$log" | sed 's/^/    /')
    elif test "$4" != 0; then
        lines=$lines$(printf '\n' && { grep '# SKIP' "$log" || tail -n 1 "$log"; } | sed 's/^/    /')
    fi
    # In one write, for others print at the same time.
    printf '%s\n' "$lines"
}

if test "${1-}" = --one; then
    one "$2"
    exit 0
fi

jobs=$(nproc 2>/dev/null || echo 2)
size=${MOE_TEST_SIZE:-full}
rest=rest.list
while getopts gj:s option; do
    case $option in
    g) rest=/dev/null ;;
    j) jobs=$OPTARG ;;
    s) size=small ;;
    *) echo "usage: ./run [-j JOBS] [-g] [-s] [TEST...]" >&2 && exit 2 ;;
    esac
done
shift $((OPTIND - 1))

export CK_VERBOSITY=silent CK_TAP_LOG_FILE_NAME=- CK_DEFAULT_TIMEOUT=300 MOE_TEST_SIZE="$size" srcdir=.
rm -rf logs
mkdir -p logs || exit 2
if test $# -gt 0; then
    for test in "$@"; do
        test -e "$test" || { echo "no test $test; there are:" && cat gpu.list rest.list; exit 2; }
        sh ./run --one "$test"
    done
else
    while read -r test; do
        sh ./run --one "$test"
    done <gpu.list
    xargs -r -P "$jobs" -n 1 sh ./run --one <"$rest"
fi
cat logs/*.tally | awk '
    { passed += $1; failed += $2; skipped += $3 }
    END {
        printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
        exit failed != 0 || passed + skipped == 0
    }'
