#!/bin/sh
# Backups while users talk, by logs alone the second time; restored they hold what
# was acknowledged before them; damage is found and refused; what was deleted is
# shredded in the live state and stays in the backup.
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

say() {
	as alice ask "$1" >/dev/null && echo "$1" >>"$2"
}
# Whether every line of a file is in alice's list.
has_all() {
	as alice list >"$T/list"
	while read -r _line; do
		grep -q "$_line\$" "$T/list" || return 1
	done <"$1"
}
db_restore() {
	rm -rf "$T/state/before-restore"
	"$B/cloisterctl" -f "$T/cloisterd.conf" -L "$B" restore "$@"
}
db_backup() {
	"$B/cloisterctl" -f "$T/cloisterd.conf" -L "$B" backup "$@"
}

for _i in 1 2 3; do
	say "before $_i" "$T/first"
done
(for _i in 1 2 3 4 5 6; do say "meanwhile $_i" "$T/meanwhile"; done) &
LOAD=$!
expect "a full backup, hot, verified" 0 "; 0 broken" \
    db_backup "$T/backup"
wait "$LOAD"
expect "the next one copies logs alone" 0 "incremental copied" \
    db_backup "$T/backup"
say "after it" "$T/second"
expect "a backup in JSON" 0 '"type":"backup","full":false,' \
    db_backup --json "$T/backup"
cat "$T/first" "$T/meanwhile" "$T/second" >"$T/all"
expect "verify walks everything" 0 "1 users, 10 conversations, 20 messages; " \
    ctl storage verify
expect "audited" 0 "storage.backup" cat "$T/state/audit/audit.log"
if grep -raq -e "before 1" -e "meanwhile 2" "$T/backup"; then
	bad "nothing in it is in clear"
else
	good "nothing in it is in clear"
fi
expect "two at once are not made" 1 "another backup" \
    sh -c "exec 9<'$T/backup'; flock 9; '$B/cloisterctl' -f '$T/cloisterd.conf' -L '$B' backup '$T/backup'"
[ ! -e "$T/state/restore" ] && good "the scratch state is gone" ||
    bad "the scratch state is gone"

# What is in no backup is lost by a restore, and can be had by its logs.
say "in no backup" "$T/third"
expect "not while the service runs" 1 "stop it first" db_restore "$T/backup"
service_stop
expect "a restore" 0 "10 conversations, 20 messages" db_restore "$T/backup"
service_start
if has_all "$T/all" && ! has_all "$T/third"; then
	good "the state is the backup's"
else
	bad "the state is the backup's"
fi
expect "a restore is on the record" 0 "storage.restore" \
    cat "$T/state/audit/audit.log"
expect "backups go on from there" 0 "incremental copied" \
    db_backup "$T/backup"

# Torn pages of the live database, so that a start reads one: backup and the logs
# since mend it.
say "since the backup" "$T/third2"
service_stop
SIZE=$(stat -c %s "$T/state/db/data/kv.db")
_page=1
while [ $((_page * 4096)) -lt "$SIZE" ]; do
	dd if=/dev/urandom of="$T/state/db/data/kv.db" bs=512 count=1 \
	    conv=notrunc seek=$((_page * 8 + 3)) 2>/dev/null
	_page=$((_page + 1))
done
expect "a torn page is noticed" 1 "checksum" \
    timeout 60 "$B/cloisterd" -f "$T/cloisterd.conf" -L "$B"
expect "backup and the logs since" 0 "commit" db_restore --forward "$T/backup"
service_start
if has_all "$T/all" && has_all "$T/third2"; then
	good "nothing is lost"
else
	bad "nothing is lost"
fi
expect "and all of it verifies" 0 " 0 broken" ctl storage verify

# Deleted: gone here, kept there.
ID=$(as alice list | awk 'NR == 1 { print $1 }')
db_backup --no-verify "$T/backup" >/dev/null
as alice delete "$ID" >/dev/null
ctl storage shred >/dev/null
db_backup --no-verify "$T/backup2" >/dev/null
service_stop

# Damage in the backup.
damaged() {
	rm -rf "$T/copy"
	cp -a "$T/backup2" "$T/copy"
	_f=$(ls "$T"/copy/full-*/$2 | tail -n 1)
	case $3 in
	flip) printf x | dd of="$_f" bs=1 seek=100 conv=notrunc 2>/dev/null ;;
	cut) truncate -s -1 "$_f" ;;
	gone) rm "$_f" ;;
	esac
	expect "a backup: $1" 1 "" db_restore "$T/copy"
}
damaged "its database changed" kv.db flip
damaged "a log cut" "log.*" cut
damaged "a log missing" "log.*" gone
damaged "the anchor changed" "anchor.*" flip
damaged "the key file missing" "storage.key.*" gone
cp "$T/backup/full-"*/anchor.* "$T/anchor"
rm -rf "$T/copy"
cp -a "$T/backup2" "$T/copy"
sed -i 's/"format": 1/"format": 2/' "$T/copy/manifest.json"
expect "a backup: of an unknown format" 1 "does not know" db_restore "$T/copy"
service_start
expect "none of that touched the state" 0 "" as alice list
service_stop

expect "the backup of before the deletion" 0 "commit" db_restore "$T/backup"
service_start
expect "keeps what was deleted" 0 "" as alice show "$ID"
cp -a "$T/backup2" "$T/other"
expect "another history: everything is copied" 0 "full copied" \
    db_backup "$T/other"
service_stop
expect "the backup of after the shredding" 0 "commit" db_restore "$T/backup2"
service_start
expect "does not" 6 "no such conversation" as alice show "$ID"
service_stop
# A database that no small cache holds, while it is looked at page by page.
OWNER=$(stat -c %u:%g "$T/state/db")
"$B/fill" "$T/state" alice 1200 20
chown -R "$OWNER" "$T/state/db"
service_start
expect "a full one by wish" 0 "full copied" db_backup --full "$T/backup2"
service_stop || bad "a clean stop has status 0"
