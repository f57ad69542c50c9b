#!/bin/sh
# Deletion and history: deleted is hidden at once and, once shredded, opens with
# no key from the files as they then are; rename, search, export, import; a user
# removed with everything.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh

service_new
standin_start
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS="echo:echo"
service_init
service_start
user_new alice
user_new bob

# conv USER N: the id of the user's Nth newest conversation.
conv() {
	as "$1" list | awk -v n="$2" 'NR == n { print $1 }'
}

# copy NAME: all files of the service as they are, the logs first.
copy() {
	mkdir "$T/$1"
	cp -a "$T/state/." "$T/$1/"
}

# carve KEYS FILES CONV...: with the keys of one copy, from the files of another.
carve() {
	_keys=$T/$1 _files=$T/$2
	shift 2
	"$B/carve" "$_keys" "$_files" "$@"
}

as alice ask "the first secret" >/dev/null
as alice ask "the second secret" >/dev/null
as alice ask "what is kept" >/dev/null
as bob ask "bob's secret" >/dev/null
KEPT=$(conv alice 1) SECOND=$(conv alice 2) FIRST=$(conv alice 3)
BOBS=$(conv bob 1)

expect "rename" 0 "" as alice rename "$KEPT" another title
expect "the new title is listed" 0 "another title" as alice list
expect "another's cannot be renamed" 1,6 "no such conversation" \
    as bob rename "$KEPT" mine
expect "search finds a question" 0 "the first secret" as alice search SECRET first
expect "search finds a title" 0 "$KEPT" as alice search another title
expect_not "search finds nothing of others" "bob" as alice search secret
expect "search stops at a number" 0 "1" sh -c \
    "CLOISTER_HOME=$T/alice $B/cloister search -n 1 secret | wc -l"
expect "search with no result says so" 0 "nothing found" \
    as alice search zebra
expect "export to Markdown" 0 "## You" as alice export --markdown "$KEPT"
as alice export "$KEPT" >"$T/kept.json"
expect "export to JSON" 0 '"role":"user"' cat "$T/kept.json"
expect "import" 0 "" as bob import "$T/kept.json"
expect "the imported title" 0 "another title" as bob list
as bob export "$(conv bob 1)" >"$T/again.json"
if cmp -s "$T/kept.json" "$T/again.json"; then
	good "what was imported exports to the same bytes"
else
	bad "what was imported exports to the same bytes"
fi
expect "an imported conversation goes on" 0 "go on" \
    as bob ask --cid "$(conv bob 1)" "go on"
BOBS2=$(conv bob 1)
for _bad in '' '{' '[]' '{"format":"cloister conversation","version":2}' \
    '{"format":"cloister conversation","version":1,"messages":[]}' \
    '{"format":"cloister conversation","version":1,"messages":[{"role":"tool","text":"x"}]}' \
    '{"format":"cloister conversation","version":1,"messages":[{"role":"user","text":"a\u0000b"}]}' \
    '{"format":"cloister conversation","version":1,"messages":[{"role":"user","text":"x","time_us":-1}]}'; do
	printf '%s' "$_bad" | expect "import refuses: $_bad" 1 "cloister:" \
	    as bob import -
done

expect "nothing to shred yet" 0 "nothing is waiting" ctl storage shred
copy before
expect "another's cannot be deleted" 1,6 "no such conversation" \
    as bob delete "$FIRST"
expect "delete" 0 "shredding pending" as alice delete "$FIRST"
expect_not "it is hidden" "first secret" as alice list
expect "it cannot be shown" 1,6 "no such conversation" as alice show "$FIRST"
expect_not "it is not found" "first secret" as alice search secret
# Until the shredding it is in the files, and their keys open it.
copy pending
expect "pending: it opens still" 0 "open $FIRST" \
    carve pending pending "$FIRST" "$KEPT"
expect "shred" 0 "1 deleted conversations shredded, 4 data keys" \
    ctl storage shred
expect "delete another" 0 "" as alice delete "$SECOND"
expect "user remove is careful" 1 "has 2 conversations" ctl user remove bob
expect "user remove --erase" 0 "user bob and 2 conversations" \
    ctl user remove --erase bob
expect "the user is gone" 5 "refused" as bob list
expect "and not listed" 0 "alice" ctl user list
expect "shred those" 0 "3 deleted conversations shredded, 1 data keys" \
    ctl storage shred
copy after
ALL="$FIRST $SECOND $BOBS $BOBS2"
service_stop || bad "a clean stop has status 0"
copy closed
service_start
expect "after: nothing deleted opens" 0 " 0 open" carve after after $ALL
expect "closed: nothing deleted opens" 0 " 0 open" carve closed closed $ALL
expect "closed: what is kept does" 0 "open $KEPT" \
    carve closed closed $ALL "$KEPT"
# The same files with the keys of before: what is left of them is there.
expect "control: the keys of before open the files of after" 0 " 5 open" \
    carve before after $ALL "$KEPT"
expect "what is kept is whole" 0 "what is kept" as alice show "$KEPT"
expect "audited" 0 "storage.shred" cat "$T/state/audit/audit.log"

# Killed in the middle: the next start goes on.
for _i in 1 2 3 4 5; do
	as alice ask "to go $_i" >/dev/null
	as alice delete "$(conv alice 1)" >/dev/null
	ctl storage shred >/dev/null 2>&1 &
	_shred=$!
	sleep "0.00$_i"
	BEFORE=$(service_pids)
	kill -9 "$(role_pid storaged)" 2>/dev/null || true
	wait "$_shred" || true
	wait "$SERVICE_PID" 2>/dev/null || true
	SERVICE_PID=
	wait_for gone
	service_start
done
expect "after crashes what is kept is whole" 0 "what is kept" \
    as alice show "$KEPT"
expect "and the rest is shredded" 0 "" ctl storage shred
expect "nothing is left to do" 0 "nothing is waiting" ctl storage shred
service_stop || bad "a clean stop has status 0"
