#!/bin/sh
# headers.sh - each public header compiles alone, as C11 and as C++17, and no folder includes what it
# may not: ref/ nothing of ours outside ref/, verify/variant.h only ref/, gpu/ only ref/ and
# verify/variant.h, verify/ only ref/, gpu/gpu.h and gpu/bench.h, fuzz/ only ref/ and verify/.

set -u
: "${srcdir:=.}" "${CC:=cc}" "${CXX:=}"
failed=0

for header in ref/moe.h ref/recipe.h verify/variant.h verify/verify.h gpu/gpu.h gpu/bench.h; do
    # Twice, so that the include guard is tried too; gcc's -fsyntax-only needs no output file.
    text="#include \"$header\"
#include \"$header\""
    printf '%s\n' "$text" |
        $CC -std=c11 -pedantic -Wall -Wextra -Werror -I"$srcdir" -fsyntax-only -x c - || {
        echo "$header does not compile alone as C11"
        failed=1
    }
    if test -z "$CXX"; then
        echo "no C++ compiler: $header not tried as C++17"
    else
        printf '%s\n' "$text" |
            $CXX -std=c++17 -pedantic -Wall -Wextra -Werror -I"$srcdir" -fsyntax-only -x c++ - || {
            echo "$header does not compile alone as C++17"
            failed=1
        }
    fi
done

# arrows FOLDER PATTERN: all that the folder's files include with quotes matches the pattern.
arrows()
{
    found=$(cd "$srcdir" && grep -rHE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' "$1" \
        --include='*.c' --include='*.h' --include='*.cu' --include='*.cuh' |
        sed -E 's/^([^:]*):.*"([^"]*)".*/\1 \2/' | grep -vE " ($2)\$")
    if test -n "$found"; then
        echo "$1 may not include (file, header):"
        echo "$found"
        failed=1
    fi
}

arrows ref '(ref/.*)'
arrows verify/variant.h '(ref/.*)'
arrows gpu '(config\.h|ref/.*|gpu/.*|verify/variant\.h)'
arrows verify '(config\.h|ref/.*|verify/.*|gpu/gpu\.h|gpu/ptx/run\.h|gpu/bench\.h)'
arrows fuzz '(config\.h|ref/.*|verify/.*|fuzz/.*|gpu/ptx/machine\.h)'

exit $failed
