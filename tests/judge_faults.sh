#!/bin/sh
# judge_faults.sh - the judge's own parts, and the PTX machine's, faulted: each fault of judge_faults.txt
# and machine_faults.txt is put into a copy of one source file, the library (or the command) is linked with
# that file in its place, and the test named there must turn red; with the file as it is the same test must
# be green. A text that its file no longer has exactly once is a failure too.
#
#     judge_faults.sh [NAME...]     only these
#
# Runs in the build tree. From the environment: srcdir; JUDGE_CC and JUDGE_LIBS, how files of the judge
# are compiled and what they are linked with; JUDGE_PARTS, what the library is made of;
# MOE_TEST_SIZE=small runs one fault in six, and looks at the texts of all.

set -u
: "${srcdir:=.}" "${MOE_TEST_SIZE:=full}"
test -n "${JUDGE_CC-}${JUDGE_PARTS-}" || { echo "JUDGE_CC says how to compile: use make check"; exit 99; }
test -e .libs/libmoecheck.so || { echo "no shared library: built static only"; exit 77; }
test -x tests/t_compare || { echo "no unit tests here: libcheck is missing"; exit 77; }
top=$(cd "$srcdir" && pwd)
build=$PWD
dir=$(mktemp -d "${TMPDIR:-/tmp}/moecheck-judge.XXXXXX") || exit 99
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/lib"
failures=0 caught=0
newline='
'
soname=$(basename "$(ls .libs/libmoecheck.so.?)") || exit 99

wrong()
{
    echo "FAIL: $*"
    failures=$((failures + 1))
}

# ---- building ------------------------------------------------------------------------------------

# The first definition of a symbol wins, and that is of the file in question.
first_wins='-Wl,-z,muldefs'
# A definition stands twice here, which is meant.
ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_odr_violation=0
export ASAN_OPTIONS

compile() # FILE.c OBJECT
{
    # shellcheck disable=SC2086 # JUDGE_CC is words
    $JUDGE_CC -w -fPIC ${quick:+-O0} -c "$1" -o "$2"
}

# libverify.la ... as the compiler wants them
archives=$(for part in $JUDGE_PARTS; do
    case $part in *.la) echo ".libs/${part%.la}.a" ;; esac
done)

library() # OBJECT
{
    # shellcheck disable=SC2086
    $JUDGE_CC -shared $first_wins "$1" -Wl,--whole-archive $archives -Wl,--no-whole-archive \
        $JUDGE_LIBS -Wl,-soname,"$soname" -o "$dir/lib/$soname"
}

program() # OUT OBJECT...
{
    out=$1
    shift
    # shellcheck disable=SC2086
    $JUDGE_CC $first_wins "$@" .libs/libcommand.a .libs/libmoecheck.so $JUDGE_LIBS \
        -Wl,--disable-new-dtags -Wl,-rpath,"$dir/lib" -o "$out"
}

# Objects of a test of the command, which has its parts inside.
objects_of()
{
    echo "tests/$1.o"
    case $1 in
    t_supervisor) echo tests/stub_worker.o ;;
    t_selftest | t_turn) echo tests/support.o ;;
    t_on_device)
        echo tests/queue_device.o tests/queue_memory.o tests/queue_streams.o tests/impostor.o tests/support.o
        ;;
    esac
}

# What is faulted, and by whom it is linked: the library is loaded by everybody, the command's parts
# stand in moecheck and in their tests, t_bound has the reference inside, and t_on_device and t_turn all
# but the devices.
put_in() # FILE OBJECT TEST
{
    case "$1 $3" in
    gpu/ptx/*) # the machine's own tests have its library inside
        ln -sf "$build/.libs/$soname" "$dir/lib/$soname"
        program "$dir/$3" "$2" "tests/$3.o" tests/ptx_micro.o tests/support.o .libs/libptx.a .libs/libptxnumber.a
        return
        ;;
    *" t_on_device" | *" t_turn")
        ln -sf "$build/.libs/$soname" "$dir/lib/$soname"
        # shellcheck disable=SC2046 # several objects
        program "$dir/$3" "$2" $(objects_of "$3") .libs/libverify.a .libs/libgpu.a .libs/libref.a
        return
        ;;
    esac
    if ar t .libs/libcommand.a | grep -q "^libcommand_la-$(basename "$1" .c)\.o$"; then
        ln -sf "$build/.libs/$soname" "$dir/lib/$soname"
        # shellcheck disable=SC2046 # several objects
        case $3 in
        selftest*) program "$dir/moecheck" "$2" verify/moecheck-main.o ;;
        *) program "$dir/$3" "$2" $(objects_of "$3") ;;
        esac
    else
        rm -f "$dir/lib/$soname"
        library "$2" || return
        case $3 in
        selftest*) program "$dir/moecheck" verify/moecheck-main.o ;;
        t_bound) program "$dir/$3" "$2" tests/t_bound.o tests/support.o .libs/libref.a ;;
        *) cp "tests/$3" "$dir/$3" ;; # its RPATH has $ORIGIN/lib first
        esac
    fi
}

# ---- tests ---------------------------------------------------------------------------------------

# A judge whose watchdog sleeps never ends by itself; how long the others take says nothing.
run() # TEST [LIMIT]
{
    case $1 in
    selftest*) $2 "$dir/moecheck" selftest --fault "${1#selftest }" --timeout 1 --quiet ;;
    *) MOE_TEST_SIZE=small CK_VERBOSITY=silent $2 "$dir/$1" ;;
    esac >"$dir/out" 2>&1
}

# Replaces $old, which the file must have once, by $new.
mutate() # FILE
{
    old=$old new=$new awk '
        { text = text $0 "\n" }
        END {
            old = ENVIRON["old"]
            at = index(text, old)
            if (at == 0 || index(substr(text, at + 1), old) > 0)
                exit 1
            printf "%s%s%s", substr(text, 1, at - 1), ENVIRON["new"], substr(text, at + length(old))
        }' "$1"
}

# The same test, built the same way with the file as it is, once for each test and folder.
green=$newline
idle=' '
must_be_green() # FILE TEST
{
    case $green in *"$newline${1%/*} $2$newline"*) return 0 ;; esac
    compile "$top/$1" "$dir/right.o" || return 1
    put_in "$1" "$dir/right.o" "$2" || return 1
    if ! run "$2" ""; then
        wrong "$2 is red with $1 as it is:"
        cat "$dir/out"
        return 1
    fi
    green="$green${1%/*} $2$newline"
    # A test that can look at nothing here sees no fault either.
    ! grep '^ok ' "$dir/out" | grep -qv '# SKIP' && grep -q '^ok ' "$dir/out" && idle="$idle$2 "
    return 0
}

try() # with $dir/faulty.c
{
    must_be_green "$file" "$test" || { wrong "$name: nothing to compare with" && return; }
    case $idle in *" $test "*)
        echo "$name: not tried, for $test skips all here"
        return
        ;;
    esac
    if ! compile "$dir/faulty.c" "$dir/faulty.o" || ! put_in "$file" "$dir/faulty.o" "$test"; then
        wrong "$name: does not build"
        return
    fi
    run "$test" "timeout 60"
    status=$?
    if [ $status -eq 0 ] || [ $status -eq 77 ] || [ $status -eq 99 ]; then
        wrong "$name ($what): $test ends with $status"
    else
        caught=$((caught + 1))
        printf '%-24s %-48s %s\n' "$name" "$what" "$test"
    fi
}

# Sanitizers make programs that take long to link and to run.
every=6
case $JUDGE_CC in *-fsanitize=*) every=12 ;; esac
wanted() # NAME NUMBER
{
    case $names in '') ;; *" $1 "*) return 0 ;; *) return 1 ;; esac
    test "$MOE_TEST_SIZE" = full || test $(($2 % every)) -eq 1
}

# ---- the list ------------------------------------------------------------------------------------

names=
test $# -eq 0 || names=" $* "
echo "fault of the judge, what is wrong, test that turned red"
number=0 name='' what='' old='' new='' quick=''
while IFS= read -r line; do
    case $line in
    '#'*) ;;
    '- '*) old=${line#- } ;;
    '+ '*) new=${line#+ } ;;
    *' in '*', '*)
        name=${line%% in *} test=${line##*, }
        file=${line#* in } && file=${file%, *}
        quick=''
        case $file in gpu/ptx/*) quick=1 ;; esac # kernels of a few lines need no fast machine
        ;;
    '')
        if [ -n "$name" ]; then
            number=$((number + 1))
            if mutate "$top/$file" >"$dir/faulty.c"; then
                wanted "$name" $number && try
            else
                wrong "$name: $file does not have this once: $old"
            fi
        fi
        name='' what='' old='' new=''
        ;;
    *) what=$line ;;
    esac
done <<END
$(cat "$top/tests/judge_faults.txt" && echo && cat "$top/tests/machine_faults.txt")

.
END
test $number -ge 25 || wrong "only $number faults in the lists"
echo "$caught faults of the judge, each seen by the test named"
exit $((failures > 0))
