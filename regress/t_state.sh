#!/bin/sh
# The state directory as it should not be: what is missing, another's, open to
# others, read-only, or older than it says it is, is said clearly, and nothing that
# was acknowledged is lost.
set -eu
cd "$(dirname "$0")/.."
if [ "$(id -u)" = 0 ] && [ -z "${MOUNTS_ALONE:-}" ] &&
    unshare -m true 2>/dev/null; then
	MOUNTS_ALONE=1 exec unshare -m sh "$0"
fi
. regress/lib.sh
. regress/expect.sh

service_new
trap '_s=$?; umount -l "$T/state" 2>/dev/null; (exit $_s); service_cleanup' EXIT
standin_start
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS="echo:echo"
service_init
S=$T/state
service_start
user_new alice
as alice ask "there from the beginning" >/dev/null
ID=$(as alice list | awk 'NR == 1 { print $1 }')
service_stop || bad "a clean stop has status 0"

# refused WHAT TEXT: cloisterd does not start, and says why.
refused() {
	expect "$1" 1 "$2" timeout 60 "$B/cloisterd" -f "$T/cloisterd.conf" \
	    -L "$B"
}

# away PATH WHAT TEXT: without that.
away() {
	mv "$1" "$T/away"
	refused "$2" "$3"
	mv "$T/away" "$1"
}
away "$S" "without the state directory" "keys is missing"
for d in keys vault audit db; do
	away "$S/$d" "without $d" "$S/$d is missing"
done
for f in keys/host.key vault/anchor vault/storage.key audit/audit.state; do
	away "$S/$f" "without $f" "$S/$f is missing"
done
away "$S/db/data/kv.db" "without the database" "there is no database"
away "$S/db/log" "without the logs" "store: log: No such file"

# mode BITS PATH WHAT TEXT
mode() {
	_was=$(stat -c %a "$2")
	chmod "$1" "$2"
	refused "$3" "$4"
	chmod "$_was" "$2"
}
mode 0777 "$S" "a state directory that others can write" "others can write it"
for d in keys vault audit db; do
	mode 0755 "$S/$d" "$d open to others" \
	    "$S/$d: its mode 0755 is too open: others can read it; chmod 0700"
done
mode 0604 "$S/keys/host.key" "a host key that others can read" \
    "keys/host.key: its mode 0604 is too open: others can read it"
mode 0660 "$S/vault/anchor" "an anchor that a group can write" \
    "others can write it"
mode 0770 "$S/db/data" "the database's directory open to a group" \
    "store: data: its mode 0770 is too open"
mode 0602 "$S/db/data/kv.db" "a database that others can write" \
    "store: data/kv.db: its mode 0602"

printf 'set_flags DB_TXN_NOSYNC on\n' >"$S/db/DB_CONFIG"
refused "a file DB_CONFIG" "holds a DB_CONFIG file"
rm "$S/db/DB_CONFIG"
ln -s /nonexistent "$S/db/DB_CONFIG"
refused "a link DB_CONFIG to nowhere" "holds a DB_CONFIG file"
rm "$S/db/DB_CONFIG"

if [ "$(id -u)" = 0 ]; then
	# owner PATH WHAT: of a user who is nobody here.
	owner() {
		_was=$(stat -c %u:%g "$1")
		chown $((UID_BASE + 40)) "$1"
		refused "$2" "belongs to user $((UID_BASE + 40))"
		chown "$_was" "$1"
	}
	owner "$S" "another's state directory"
	owner "$S/keys" "another's directory of keys"
	owner "$S/keys/wrap.key" "another's wrap key"
	owner "$S/vault/anchor" "another's anchor"
	owner "$S/db" "another's database"
	owner "$S/db/data/kv.db" "another's database file"
fi

service_start
expect "after all that it serves" 0 "there from the beginning" \
    as alice show "$ID"
service_stop || bad "a clean stop has status 0"

if [ -n "${MOUNTS_ALONE:-}" ]; then
	mount --make-rprivate / 2>/dev/null || true
	mkdir -m 711 "$T/disk"
	mount -t tmpfs -o size=256m,mode=711 none "$T/disk"
	cp -a "$S/." "$T/disk/"
	mount --move "$T/disk" "$S"
	mount -o remount,ro "$S"
	refused "a read-only file system" "Read-only file system"
	mount -o remount,rw "$S"
	service_start
	expect "and writable again it serves" 0 "there from the beginning" \
	    as alice list
	service_stop || bad "a clean stop has status 0"
fi

# The clock is a day behind at the next start.
mkdir "$T/past"
for r in logger keyd engine hasher storaged certd connector llmproxy zygote \
    sessiond; do
	ln -s "$B/$r" "$T/past/$r"
done
for r in storaged logger keyd; do
	ln -sf "$B/past/$r" "$T/past/$r"
done
chmod 755 "$T/past"
ROLES_DIR=$T/past
service_start
expect "a clock set back: it serves" 0 "" as alice ask --cid "$ID" "a day before"
as alice ask "a new one" >/dev/null
expect "what is newest stands last" 0 "a day before" as alice show "$ID"
expect "both are listed" 0 "a new one" as alice list
expect "and the older one" 0 "there from the beginning" as alice list
expect "the audit log is in order" 0 "" ctl audit verify
service_stop || bad "a clean stop has status 0"
ROLES_DIR=
service_start
expect "set right again: it serves" 0 "" as alice ask --cid "$ID" "and later"
expect "everything is there, in its order" 0 "and later" as alice show "$ID"
as alice show "$ID" | grep -n "there from\|a day before\|and later" |
    cut -d : -f 1 >"$T/order"
if sort -n "$T/order" | cmp -s - "$T/order" && [ "$(wc -l <"$T/order")" -ge 3 ]
then
	good "in the order in which it was said"
else
	bad "in the order in which it was said"
fi
expect "the audit log still is" 0 "" ctl audit verify
service_stop || bad "a clean stop has status 0"
