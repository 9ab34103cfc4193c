#!/bin/sh
# plugin.sh - plug-ins from outside: the template passes, with one sign wrong it fails, and what is not
# a plug-in of this version is refused with one line that says why.
#
# Runs in the build tree; CC and srcdir come from the environment.

set -u

: "${CC:=cc}" "${srcdir:=.}"
top=$(cd "$srcdir" && pwd)
moecheck=$PWD/moecheck
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
failures=0

build() # FILE.so FILE.c FLAGS...
{
    out=$1 in=$2
    shift 2
    $CC -std=gnu11 -O1 -I"$top" -fPIC -shared "$@" -o "$out" "$in" -lm || exit 99
}

wrong()
{
    echo "$*" >&2
    failures=$((failures + 1))
}

# ---- the template, built by its own Makefile -----------------------------------------------------

cp "$top"/doc/examples/plugin/Makefile "$top"/doc/examples/plugin/plugin.c "$dir" || exit 99
chmod -R u+w "$dir"
make -s -C "$dir" CC="$CC" CFLAGS='-O2 -Wall -Wextra -Werror' MOECHECK_CFLAGS="-I$top" >&2 ||
    { echo "the template does not build" >&2 && exit 1; }
[ "$(wc -l <"$dir"/Makefile)" -le 12 ] || wrong "the template's Makefile is longer than 12 lines"

verify() # WANTED-STATUS PLUGIN CASE...
{
    wanted=$1 plugin=$2
    shift 2
    "$moecheck" verify "$@" --plugin "$plugin" --variant example >"$dir"/out 2>"$dir"/err
    status=$?
    [ $status -eq "$wanted" ] ||
        { wrong "$plugin on $*: status $status, not $wanted" && cat "$dir"/out "$dir"/err >&2; }
}

verify 0 "$dir"/plugin.so 'T=37 router=lists' 'T=16 H=24 I=8 E=5 K=3 dtype=f32 router=lists' \
    'T=9 router=lists routing=dropped:0.5' 'T=0 router=lists' 'T=5 E=16 K=1 router=lists routing=hot'
grep -q '^PASS  *example' "$dir"/out || wrong "no PASS in $(cat "$dir"/out)"

# A path without a slash is a file, too.
(cd "$dir" && "$moecheck" verify 'T=3 router=lists' --plugin plugin.so --variant example) \
    >"$dir"/out 2>&1 || { wrong "plugin.so in this folder" && cat "$dir"/out >&2; }

# What it does not take it skips, and says which key that is.
verify 77 "$dir"/plugin.so 'T=37 router=lists bias=1'
grep -q 'bias: 0 only' "$dir"/out || wrong "no reason in $(cat "$dir"/out)"

# One slip each: a sign, a factor, an output never written, a pick ignored.
slip() # NAME SED-SCRIPT
{
    sed "$2" "$dir"/plugin.c >"$dir"/slip.c
    cmp -s "$dir"/plugin.c "$dir"/slip.c && wrong "slip $1 changes nothing"
    build "$dir/slip-$1.so" "$dir"/slip.c
    verify 1 "$dir/slip-$1.so" 'T=37 router=lists routing=dropped:0.2'
    grep -q '^FAIL  *example' "$dir"/out || wrong "slip $1: no FAIL in $(cat "$dir"/out)"
}
slip sign 's/(1 - p)/(1 + p)/'
slip score 's/\* s \* space->a/* space->a/'
slip unwritten 's/^ *put(&t\[MOE_DS\], entry, 0);/;/'
slip rows 's/^\( *\)row++;/\1row += e != 2;/'

# ---- what is not a plug-in -----------------------------------------------------------------------

refused() # FILE WORDS: one line on stderr that has them, nothing on stdout, exit status $wanted
{
    "$moecheck" verify T=1 --plugin "$1" >"$dir"/out 2>"$dir"/err
    status=$?
    [ $status -eq "$wanted" ] || wrong "$1: status $status, not $wanted"
    grep -q -e "$2" "$dir"/err || { wrong "$1: no '$2' in:" && cat "$dir"/err >&2; }
    [ "$(wc -l <"$dir"/err)" -eq 1 ] || wrong "$1: not one line: $(cat "$dir"/err)"
    [ ! -s "$dir"/out ] || wrong "$1: stdout: $(cat "$dir"/out)"
}

bad() # WORDS FLAGS...
{
    words=$1
    shift
    build "$dir"/bad.so "$top"/tests/plugins/bad.c "$@"
    refused "$dir"/bad.so "$words"
}

build "$dir"/right.so "$top"/tests/plugins/bad.c -Werror -Wall -Wextra
"$moecheck" list --plugin "$dir"/right.so >"$dir"/out 2>&1 || wrong "bad.c without a fault is refused"
for name in first second; do
    grep -q "^$name " "$dir"/out || wrong "list does not have $name: $(cat "$dir"/out)"
done

wanted=2
refused "$dir"/nowhere.so 'No such file'
printf 'not an object' >"$dir"/text.so
refused "$dir"/text.so 'text.so'
: >"$dir"/empty.so
refused "$dir"/empty.so 'too short'
bad 'does not export moe_plugin' -DSYMBOL=moe_plug
bad 'returned NULL' -DRESULT=NULL
bad 'struct moe_plugin (bytes) is 32, this moecheck' -DPLUGIN_SIZE=32
bad 'plug-in version is 1, this moecheck.s is 2' -DVERSION=1
bad 'struct moe_problem (bytes) is 8' -DPROBLEM_SIZE=8
bad 'struct moe_tensor (bytes) is 8' -DTENSOR_SIZE=8
bad 'count of tensors is 29' -DTENSOR_COUNT=29
bad 'struct moe_recipe (bytes) is 8' -DRECIPE_SIZE=8
bad 'struct moe_call (bytes) is 40' -DCALL_SIZE=40
bad 'no variants' -DCOUNT=0
bad 'no variants' -DTABLE=NULL
bad 'variant 1 is NULL' -DSECOND=NULL
bad 'struct moe_variant (bytes) is 64' -DVARIANT_SIZE=64
bad 'variant 1 has no close' -DCLOSE=NULL
bad 'variant 1 has no name' -DNAME=NULL
bad 'a name is 1 to 63' -DNAME='""'
bad 'a name is 1 to 63' -DNAME='"Two words"'
bad 'there is a variant naive already' -DNAME='"naive"'
bad 'there is a variant first already' -DNAME='"first"'
bad 'devices is 0x0' -DDEVICES=0
bad 'devices is 0x8' -DDEVICES=8
bad 'configuration_count=3' -DCONFIGURATION_COUNT=3
bad 'alignment is 24' -DALIGNMENT=24
bad 'nobody_has_this' -DFAULT_UNDEFINED

wanted=99
bad 'round or underflow' -DFAULT_ROUNDING
case $(uname -m) in
x86_64 | aarch64) bad 'round or underflow' -DFAULT_FLUSH ;;
esac

# Opened twice, its variants are there already.
"$moecheck" verify T=1 --plugin "$dir"/right.so --plugin "$dir"/right.so >"$dir"/out 2>"$dir"/err
[ $? -eq 2 ] || wrong "opened twice: $(cat "$dir"/err)"

[ $failures -eq 0 ]
