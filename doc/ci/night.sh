#!/bin/sh
# night.sh FOLDER - a night of moecheck, for cron: one campaign in FOLDER/night.store, then its page.
#
#     17 2 * * *  BUDGET=5h /srv/moecheck/night.sh /srv/nights
#
# Nothing is printed unless something is wrong, so that cron's mail is the alarm. Exit status: that of
# the campaign (0 nothing failed, 1 something did, 99 could not be decided); 75 where another night
# still runs. A campaign that was cut, by whatever, is gone on with.
#
#     BUDGET    how long (8h)              SHRINK   for shrinking in the end (10m)
#     MOECHECK  the program (moecheck)     COMMIT   of what is judged
#     OPTIONS   more of moecheck fuzz, such as --plugin, --variant, --ledger

set -u
folder=${1:?usage: night.sh FOLDER}
: "${MOECHECK:=moecheck}" "${BUDGET:=8h}" "${SHRINK:=10m}" "${OPTIONS:=}"
mkdir -p "$folder" && cd "$folder" || exit 2

exec 9>night.lock
flock -n 9 || { echo "$folder: another night still runs"; exit 75; }

# shellcheck disable=SC2086 # OPTIONS is words
"$MOECHECK" fuzz --store night.store --budget "$BUDGET" --shrink-budget "$SHRINK" \
    ${COMMIT:+--commit "$COMMIT"} $OPTIONS >night.log 2>&1
verdict=$?

page=$(date -u +%Y-%m-%d).html
"$MOECHECK" report night.store -o "$page" --junit night.xml --json-lines night.jsonl >headline 2>&1
written=$?
test $written -ne 0 || ln -sf "$page" latest.html

if test $verdict -ne 0 || test $written -ne 0; then
    cat headline
    echo "$folder/$page"
    tail -n 40 night.log
fi
test $verdict -ne 0 || verdict=$written
exit $verdict
