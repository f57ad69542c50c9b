#!/bin/sh
# make bench-history: one server with a long history.
#
#   CONVERSATIONS  100000        MESSAGES  20, in each of them
#
# A throw-away service, whose store is filled while it is stopped (regress/fill.c);
# then what a user and an administrator wait for, in seconds.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
CONVERSATIONS=${CONVERSATIONS:-100000}
MESSAGES=${MESSAGES:-20}

service_new
standin_start --keep-alive 1
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS="echo:echo"
service_init
service_start
user_new alice
service_stop

# took WHAT COMMAND...: how long, as a row of the table.
took() {
	_what=$1
	shift
	_from=$(date +%s.%N)
	"$@" >"$T/out" 2>&1 || { cat "$T/out" >&2; die "$_what failed"; }
	_to=$(date +%s.%N)
	echo "$_from $_to" | awk -v w="$_what" \
	    '{ printf "| %-58s | %8.2f |\n", w, $2 - $1 }'
}
list_all() {
	as alice list -n "$CONVERSATIONS" >"$T/list"
	[ "$(wc -l <"$T/list")" = "$CONVERSATIONS" ]
}
search() {
	as alice search -n 1000 "$@" >"$T/found"
}

echo "$CONVERSATIONS conversations, $MESSAGES messages each, $(nproc) processors"
printf '| %-58s | %8s |\n|---|---|\n' "what" "seconds"
OWNER=$(stat -c %u:%g "$T/state/db")
took "filling the store, offline" "$B/fill" "$T/state" alice "$CONVERSATIONS" \
    "$MESSAGES"
chown -R "$OWNER" "$T/state/db"
took "start, every head verified" service_start
echo "| database, MiB | $(($(stat -c %s "$T/state/db/data/kv.db") / 1048576)) |"
took "list, the newest 100" as alice list
took "list, all" list_all
NEW=$(sed -n 1p "$T/list" | cut -f 1)
OLD=$(tail -n 1 "$T/list" | cut -f 1)
took "show the newest" as alice show "$NEW"
took "show the oldest" as alice show "$OLD"
took "search, one word that is rare: everything is looked through" search needle
[ "$(grep -c needle "$T/found")" -gt 0 ] || die "nothing was found"
took "ask in a new conversation" as alice ask "a question"
took "storage verify" ctl storage verify
took "backup, full, not verified" "$B/cloisterctl" -f "$T/cloisterd.conf" \
    -L "$B" backup --no-verify "$T/backup"
took "backup, incremental, not verified" "$B/cloisterctl" -f \
    "$T/cloisterd.conf" -L "$B" backup --no-verify "$T/backup"
took "stop" service_stop
took "restore of it, all verified" "$B/cloisterctl" -f "$T/cloisterd.conf" \
    -L "$B" restore "$T/backup"
