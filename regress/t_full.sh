#!/bin/sh
# Disks that are full: nothing is stored that was not, what is there can be
# read, and it goes on when there is room again.  Without room for the audit log
# there is no service.
set -eu
cd "$(dirname "$0")/.."
if [ "$(id -u)" != 0 ] || ! unshare -m true 2>/dev/null; then
	echo "ok not tried: small disks need root and a mount namespace"
	exit 0
fi
# The small disks are mounted for this script and its children alone.
if [ -z "${MOUNTS_ALONE:-}" ]; then
	MOUNTS_ALONE=1 exec unshare -m sh "$0"
fi
. regress/lib.sh
. regress/expect.sh

# small NAME SIZE: that directory of the state on a disk of its own.
small() {
	mkdir "$T/new"
	chmod 711 "$T/new"
	mount -t tmpfs -o "size=$2,mode=$(stat -c %a "$T/state/$1")" none \
	    "$T/new"
	chown "$(stat -c %u:%g "$T/state/$1")" "$T/new"
	cp -a "$T/state/$1/." "$T/new/"
	mount --move "$T/new" "$T/state/$1"
	rmdir "$T/new"
}

# fill NAME LEFT: leave LEFT KiB of that disk.
fill() {
	_free=$(df -k --output=avail "$T/state/$1" | tail -n 1)
	head -c $(((_free - $2) * 1024)) /dev/zero >"$T/state/$1/filler"
}

service_new
trap '_s=$?; umount -l "$T/state/db" "$T/state/audit" 2>/dev/null
    (exit $_s); service_cleanup' EXIT
standin_start
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS="echo:echo"
service_init
mount --make-rprivate / 2>/dev/null || true
small db 256m
small audit 4m
service_start
user_new alice
expect "stored while there is room" 0 "" as alice ask "before it was full"
ID=$(as alice list | awk 'NR == 1 { print $1 }')

fill db 1024
expect "a full disk is an error, said clearly" 1,6,7,8 "stor" \
    as alice ask "too much"
expect "what is there can be read" 0 "before it was full" \
    as alice show "$ID"
expect_not "what was refused is not there" "too much" as alice list
expect "the service goes on" 0 "" ctl status
rm "$T/state/db/filler"
expect "with room again it stores again" 0 "" as alice ask "after it was full"
expect "and that is there" 0 "after it was full" as alice list
service_stop
fill db 1024
service_start
expect "it starts on a full disk" 0 "after it was full" as alice list
rm "$T/state/db/filler"

BEFORE=$(service_pids)
gone() {
	for _p in $BEFORE; do
		! kill -0 "$_p" 2>/dev/null || return 1
	done
}
fill audit 0
# The last page of the log has room for some lines more.
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
	as alice ask "nobody writes this down" >/dev/null 2>&1 || break
done
if wait_for gone; then
	good "without an audit log the service stops"
else
	bad "without an audit log the service stops"
	kill "$SERVICE_PID"
fi
wait "$SERVICE_PID" && bad "it says that it failed" ||
    good "it says that it failed"
SERVICE_PID=
expect "the reason is logged" 0 "the audit log cannot be made durable" \
    cat "$T/cloisterd.log"
rm "$T/state/audit/filler"
service_start
expect "with room again it serves" 0 "after it was full" as alice list
expect_not "the audit log was not changed by others" "audit.tamper" \
    cat "$T/state/audit/audit.log"
service_stop

# Told to carry on it does, and the log says that it lacks something.
EXTRA="audit_full = continue"
service_config
service_start
fill audit 0
_lost=0
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
	as alice ask "without a line" >/dev/null 2>&1 || _lost=$((_lost + 1))
done
[ $_lost = 0 ] && good "told to continue, it serves without an audit log" ||
    bad "told to continue, it serves without an audit log: $_lost failed"
rm "$T/state/audit/filler"
gap() {
	as alice list >/dev/null
	grep -q '"event":"audit.gap".*"lost":[1-9]' "$T/state/audit/audit.log"
}
wait_for gap && good "audit.gap says how much is missing" ||
    bad "audit.gap says how much is missing"
expect "and the log verifies" 0 "good" ctl audit verify
service_stop
