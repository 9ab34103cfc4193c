#!/bin/sh
# assemble.sh FOLDER - the built tests as a folder for machines without build tools: `make
# moecheck-tests`. Runs in the build tree.
#
# The folder is laid out as the build tree, with the files of the source tree that tests read beside
# them, so that the scripts find everything where they are used to. Programs look for libraries in the
# folder's lib/. make sets srcdir, STRIP and the lists
#     GPU_TESTS, GPU_SHELL_TESTS     tests for a GPU: programs, and shell scripts
#     PROGRAMS, SCRIPTS              other tests
#     HELPERS, MODULES               programs and shared objects that tests use
#     DATA                           files and folders of the source tree

set -u
: "${srcdir:=.}" "${STRIP:=strip}"
folder=${1:?usage: assemble.sh FOLDER}
limit=$((80 * 1024)) # KiB, a third of it when packed: what is easily carried to another machine
rm -rf "$folder"
mkdir -p "$folder/lib" || exit 1

# put FROM TO: one file, stripped where it is a program or library.
put()
{
    mkdir -p "$folder/$(dirname "$2")" && cp -L "$1" "$folder/$2" || exit 1
    case $(head -c 4 "$1" | tr -d '\177') in
    ELF) chmod u+w "$folder/$2" && $STRIP --strip-unneeded "$folder/$2" || exit 1 ;;
    esac
}

put tests/moecheck moecheck
put .libs/libmoecheck.so.0 lib/libmoecheck.so.0
for file in $GPU_TESTS $PROGRAMS $HELPERS $MODULES config.h; do
    put "$file" "$file"
done
for file in $SCRIPTS $GPU_SHELL_TESTS; do
    put "$srcdir/$file" "$file"
done
for item in $DATA; do
    mkdir -p "$folder/$(dirname "$item")" && cp -RL "$srcdir/$item" "$folder/$item" || exit 1
done
put "$srcdir/tests/run.sh" run
put "$srcdir/tests/gpu_session.sh" gpu_session
chmod -R u+w "$folder"
chmod +x "$folder/run" "$folder/gpu_session"

# Everything that a program is linked with, but the C library, which has to be the machine's own, and
# its compiler's, which every machine has.
for file in "$folder"/moecheck "$folder"/lib/* "$folder"/tests/t_* "$folder"/fuzz/fuzz_*; do
    ldd "$file" 2>/dev/null
done | awk '$2 == "=>" && $3 ~ /^\// { print $1, $3 }' | sort -u | while read -r name path; do
    case $name in
    libc.so.* | libm.so.* | libdl.so.* | librt.so.* | libpthread.so.* | libgcc_s.so.* | \
        libmoecheck.so.*) ;;
    *) put "$path" "lib/$name" || exit 1 ;;
    esac
done || exit 1

for test in $GPU_TESTS $GPU_SHELL_TESTS; do echo "$test"; done >"$folder/gpu.list"
for test in $PROGRAMS $SCRIPTS; do echo "$test"; done >"$folder/rest.list"

size=$(du -sk "$folder" | cut -f 1)
echo "$folder: $((size / 1024)) MiB"
if test "$size" -ge $limit; then
    echo "$folder has $size KiB, the limit is $limit"
    exit 1
fi
