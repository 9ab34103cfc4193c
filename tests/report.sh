#!/bin/sh
# report.sh - moecheck report: what a night comes to, as a page, as JUnit, as lines of JSON; that no
# text of a store becomes markup; what is refused. Where a browser is installed the page is rendered,
# on a telephone's width too.

. "${srcdir:-.}/tests/head.sh"
make_store=$build/tests/make_store
cd "$folder" || exit 99

# Texts, and not patterns: the page has much that grep would read as one.
says() { grep -qF -- "$2" "$1" || fail "$1 lacks '$2'"; }
lacks() { ! grep -qiE -- "$2" "$1" || fail "$1 has '$2': $(grep -oiE -- ".{30}$2.{30}" "$1" | head -n 2)"; }
# counts N FILE TEXT: the text stands there so often.
counts() {
    got=$(grep -oF -- "$3" "$2" | wc -l)
    test "$got" -eq "$1" || fail "$2 has '$3' $got times, not $1"
}

"$moecheck" report no.store -o no.html >out 2>err
if grep -q 'built without SQLite' err; then
    status 2 report no.store -o no.html
    test $failures -eq 0 || exit 1
    cat err
    exit 77
fi

# store FILE [SQL]: tables, the night of stores/night.sql, then what is said.
store() {
    { cat "$srcdir/tests/stores/night.sql"; echo "${2:-}"; } | "$make_store" "$1" || exit 99
}

# ---- the page ------------------------------------------------------------------------------------

store night.store
cp night.store before.store
status 0 report night.store -o page.html --junit page.xml --json-lines page.jsonl
test "$(cat out)" = '3 failures of 3 kinds; 1 known failure; 1 timing slower' || fail "the headline is $(cat out)"
test ! -s err || { fail "it said:"; cat err; }
cmp -s before.store night.store || fail "the store was written to"
test "$(find . -name '*tmp*' | wc -l)" -eq 0 || fail "something was left beside the files"

says page.html '<h1>3 failures of 3 kinds; 1 known failure; 1 timing slower</h1>'
says page.html 'seed 18446744073709551615'
says page.html 'commit bbb2222'
mine='mine&lt;/td&gt;&amp;&quot;&#39;'
says page.html "$mine: bound of dw1, columns-last; bf16, gated, router"
says page.html 'crashing: isolation' # of a variant that the campaign has kept no kinds of
says page.html 'T=1 H=1 I=1 E=1 K=1 dtype=bf16 seed=1</code>'
says page.html 'nothing smaller fails'
says page.html 'It did not fail again in 3 runs.'
says page.html "moecheck verify --variant &#39;crashing&#39; &#39;T=65 H=8 I=8 E=4 K=2 dtype=bf16 seed=7&#39;"
says page.html 'the variant died of signal 11 (SIGSEGV) in forward'
says page.html 'row 5, column 7, expert 1</dd>'
says page.html '9984 <small>0x1.38p+13</small>'
says page.html '0.00903641589 <small>0x1.281af35a7cb17p-7</small>'
says page.html 'all 64 rows; the last 3 of 8 columns'
says page.html 'dw1, 64 rows down, 8 columns across'
counts 1 page.html '<figure class="picture">' # the other is no picture: its cells are missing
says page.html '<rect x="5" y="0" width="3" height="1" fill-opacity="1.00"/>'
says page.html 'naive: bound of dx, 1 case'   # of the ledger
says page.html '<b>837</b> of 12,137 pairs'
says page.html '1 line no case to this version'
says page.html 'dtype: 4 of 4</title>'
counts 5 page.html '<figure class="histogram">'
says page.html '<b>dw1</b> largest inf'
says page.html '<b>o</b> largest 0.25, 1 without error'
says page.html '+18.8 % slower <code>aaa1111..bbb2222</code>'
says page.html '<td class="none">+45.0 %</td>' # the quartiles overlap
says page.html '2.9 ms'
says page.html '<th scope="row">one element off</th><td class="n">3</td>'
says page.html '2026-11-24 06:00 UTC' # the night before
says page.html 'moecheck fuzz --store again.store --seed 18446744073709551615 --budget=8h'

# Nothing of a store is markup, nothing is fetched, nothing runs.
lacks page.html '<script'
lacks page.html '<i>line|<b>&amp;|<forgotten>|host<1>|mine</td>'
lacks page.html 'src=|url\(|@import|href="[^#]|javascript:| on[a-z]+='
counts 1 page.html '://' # the name of XHTML
for file in page.html page.xml page.jsonl; do
    LC_ALL=C tr -d '\001-\010\013-\037' <$file >plain
    cmp -s plain $file || fail "$file has control characters"
    iconv -f UTF-8 -t UTF-8 $file >/dev/null || fail "$file is not UTF-8"
    ! grep -qF "$(printf '\342\200\256')" $file || fail "$file turns the direction of writing"
done
says page.html "default-src 'none'"
says page.html 'name="viewport" content="width=device-width'
says page.html '@media (prefers-color-scheme: dark)'

# ---- well-formed, by whoever is here ----------------------------------------------------------------

for file in page.html page.xml; do
    if command -v xmllint >/dev/null; then
        xmllint --noout "$file" || fail "$file is not well-formed"
    elif command -v python3 >/dev/null; then
        python3 -c 'import sys, xml.dom.minidom as m; m.parse(sys.argv[1])' "$file" ||
            fail "$file is not well-formed"
    else
        echo "neither xmllint nor python3: whether $file is well-formed is not known"
    fi
done
if command -v python3 >/dev/null; then
    python3 -c 'import json, sys
for line in open(sys.argv[1], encoding="utf-8"): json.loads(line)' page.jsonl || fail "page.jsonl"
fi

# ---- JUnit and JSON ------------------------------------------------------------------------------

counts 3 page.xml '<testsuite '
# tests, failures, errors, skipped of all suites: as many as there are of each.
for pair in 'tests testcase' 'failures failure' 'errors error' 'skipped skipped'; do
    name=${pair% *} element=${pair#* }
    sum=$(sed -n "s/.*<testsuite .* $name=\"\([0-9]*\)\".*/\1/p" page.xml | awk '{ n += $1 } END { print n }')
    counts "$sum" page.xml "<$element "
done
says page.xml 'name="bound of dw1, columns-last; bf16, gated, router"><failure message="1 case: dw1: 32 of 512'
says page.xml 'name="known bound of dx"><skipped message="in the ledger: 1 results"/>'
says page.xml 'name="check stream"><skipped message="not made"/>'
says page.xml 'name="check guards"></testcase>'
counts 10 page.jsonl '{"result":{'
counts 1 page.jsonl '{"campaign":{'
counts 4 page.jsonl '{"failure":{' # one of them an ERROR
counts 4 page.jsonl '"ratio":null'
says page.jsonl '"minimal":"T=1 H=1 I=1 E=1 K=1 dtype=bf16 seed=1"'

# ---- other nights --------------------------------------------------------------------------------

# An earlier campaign; one that passed.
status 0 report night.store --campaign 1 --junit first.xml
test "$(cat out)" = 'Nothing failed: 1 results of 1 variant on 1 case; 1 timing slower' || fail "the headline is $(cat out)"
counts 0 first.xml '<failure'
status 2 report night.store --campaign 7 --junit none.xml
says err 'night.store: has no campaign 7'

# One that was cut, and told nothing of its kinds.
store cut.store 'UPDATE campaign SET ended = NULL; DELETE FROM failure;'
status 0 report cut.store -o cut.html
says out '; the campaign has not ended'
says cut.html "$mine: bound of dw1, columns-last</h3>"
says cut.html 'go on, with</p><pre><code>moecheck fuzz --store &#39;cut.store&#39; --seed'

# Two of three shards are one night.
for shard in 0 1; do
    store "shard $shard?.store" "UPDATE campaign SET shard = $shard, shards = 3;"
done
status 0 report 'shard 0?.store' "$folder/shard 1?.store" -o shards.html --junit shards.xml
test "$(cat out)" = '6 failures of 6 kinds; 2 known failures; 2 of 3 shards; 1 timing slower' ||
    fail "the headline is $(cat out)"
says shards.html '<dt>shard</dt><dd>1/3</dd>'

# A folder that is not ours to write, as another user sees it; who is root may play one.
chmod 755 . && mkdir shared && store shared/night.store 'PRAGMA journal_mode = WAL;' && chmod 555 shared
nobody=
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
    nobody='setpriv --reuid 65534 --regid 65534 --clear-groups'
fi
if [ "$(id -u)" -ne 0 ] || $nobody test -x "$moecheck" -a -r shared/night.store; then
    mkdir written && chmod 777 written
    $nobody "$moecheck" report shared/night.store --junit written/page.xml >out 2>&1
    cmp -s page.xml written/page.xml || { fail "a store in a folder of others:"; cat out; }
fi
chmod 755 shared

# Timings alone are a report too.
store times.store 'DELETE FROM campaign; DELETE FROM floor_;'
status 0 report times.store -o times.html -q
test ! -s out || fail "-q printed something"
says times.html 'slower <code>aaa1111..bbb2222</code>'
says times.html 'No campaign: timings and floors only; 1 timing slower'

# ---- what is refused -----------------------------------------------------------------------------

# refuses N WORDS FILE...: exit status, one line with these words, and no page.
refuses() {
    want=$1 words=$2
    shift 2
    status "$want" report "$@" -o refused.html
    says err "$words"
    test "$(wc -l <err)" -eq 1 || { fail "$*: not one line on stderr:"; cat err; }
    test ! -e refused.html || fail "$*: a page was written"
    rm -f refused.html
}
refuses 2 'no.store: No such file' no.store
refuses 2 '.: not a file' .
echo 'not a database, but long enough to be looked at as one, and so on and so on' >text.store
cat text.store text.store >>text2.store
refuses 2 'text2.store: not a store of campaigns' text2.store
: >empty.store
refuses 2 'empty.store: not a store of campaigns' empty.store
echo | "$make_store" bare.store || exit 99
refuses 77 'bare.store: nothing is in it yet' bare.store
store newer.store 'PRAGMA user_version = 2;'
refuses 2 'newer.store: a store of version 2; this program knows version 1' newer.store
head -c 9000 night.store >short.store
refuses 2 'short.store: ' short.store
status 2 report night.store
says err 'nothing to write'
status 2 report -o page.html
says err 'no store'
status 2 report night.store -o page.html --campaign none
says err "--campaign is 'none'"
cp page.html kept.html
status 2 report night.store -o no/such/folder/page.html
says err 'no/such/folder/page.html: '
status 2 report no.store -o page.html
cmp -s page.html kept.html || fail "an old page was touched"

# ---- a browser -----------------------------------------------------------------------------------

browser=
for name in chromium chromium-browser google-chrome; do
    command -v $name >/dev/null && browser=${browser:-$name}
done
if [ -z "$browser" ]; then
    echo "no chromium: the page was not rendered"
elif [ "${MOE_TEST_SIZE:-full}" = full ]; then
    chromium() {
        timeout 120 "$browser" --headless --no-sandbox --disable-gpu --user-data-dir="$folder/profile" "$@" \
            2>browser.log
    }
    # In a frame of a telephone's width (windows have a least one) a copy that may run a script says how
    # wide it is, and how much of it is there.
    sed -e 's/<meta http-equiv[^>]*>//' -e 's|</body>|<script>parent.postMessage([window.innerWidth, \
document.documentElement.scrollWidth, document.querySelectorAll("section").length, \
document.querySelectorAll("#coverage rect").length > 100].join(" "), "*");</script></body>|' \
        page.html >measured.html
    echo '<script>addEventListener("message", event => document.title = event.data);</script>
<iframe width="360" height="800" style="border: 0" src="measured.html"></iframe>' >frame.html
    chromium --hide-scrollbars --virtual-time-budget=10000 --dump-dom "file://$folder/frame.html" >dom.html
    grep -q '<title>360 360 9 true</title>' dom.html ||
        { fail "a telephone shows $(grep -o '<title>[^<]*' dom.html)"; tail -n 3 browser.log; }
    chromium --window-size=1200,900 --screenshot="$folder/page.png" "file://$folder/page.html" >/dev/null
    # an empty page is some 5 KB
    test "$(wc -c <page.png)" -gt 20000 || fail "the picture of the page is empty"
fi

test $failures -eq 0
