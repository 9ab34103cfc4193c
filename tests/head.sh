#!/bin/sh
# head.sh - what tests of the command begin with: `. "${srcdir:-.}/tests/head.sh"`, in the build tree.
#
# Sets srcdir (absolute), build, moecheck, and folder: an empty one, which goes when the test ends.
# Counts in failures; a test ends with `exit $((failures > 0))`.

set -u
: "${srcdir:=.}"
case $srcdir in /*) ;; *) srcdir=$PWD/$srcdir ;; esac
build=$PWD
moecheck=$build/moecheck
test -x "$moecheck" || { echo "no moecheck here"; exit 99; }
folder=$(mktemp -d "${TMPDIR:-/tmp}/moecheck-test.XXXXXX") || exit 99
trap 'rm -rf "$folder"' EXIT
verb=  # of every command that status runs; empty: the first argument is it
failures=0

fail() {
    echo "FAIL: $*"
    failures=$((failures + 1))
}

# status N ARGUMENT...: runs moecheck, output in `out` and `err`, and wants exit status N.
status() {
    want=$1
    shift
    # shellcheck disable=SC2086 # a word or none
    "$moecheck" $verb "$@" >out 2>err
    got=$?
    test $got -eq "$want" || { fail "moecheck $verb $*: exit $got, not $want"; cat out err; }
}

# says FILE PATTERN, lacks FILE PATTERN: what grep finds in it.
says() { grep -q -- "$2" "$1" || { fail "$1 lacks '$2':"; cat "$1"; }; }
lacks() { ! grep -q -- "$2" "$1" || { fail "$1 has '$2':"; cat "$1"; }; }
