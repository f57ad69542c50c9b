#!/bin/sh
# Every event of the audit log (common/events.def): each is made to happen here
# and is in the log, with the fields that the table says; or the test that has it
# is named.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh
. regress/ca.sh

ENROLMENT=yes
LIMITS="	password_delay = 120"
service_new
standin_start
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS="echo:echo big:echo"
ca_new root
EXTRA="client_ca = \"$T/root/ca.pem\""
# A manager whose watchdog wants to hear that every role answers.
python3 - "$T/notify" >"$T/notify.out" 2>&1 <<'PY' &
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
while True:
    s.recv(4096)
PY
PIDS="$PIDS $!"
wait_for test -S "$T/notify"
UNDER="env NOTIFY_SOCKET=$T/notify WATCHDOG_USEC=2000000"
service_init
service_start
PW="correct horse battery 9"
PW2="another horse battery 7"

with() {	# LINES CLIENT ARGS...
	_in=$1
	shift
	printf '%b\n' "$_in" | as "$@"
}

keys_new() {
	mkdir -m 700 "$T/$1"
	CLOISTER_HOME="$T/$1" "$B/cloister" keygen -N >/dev/null
}

log() {
	cat "$T"/state/audit/audit.log*
}

has() {	# event
	log | grep -q "\"event\":\"$1\""
}

# peer_start NAME: a session that stays.
peer_start() {
	rm -f "$T/fifo" "$T/peer.out"
	mkfifo "$T/fifo"
	"$B/peer" "127.0.0.1:$PORT" "$T/$1/id_cloister" <"$T/fifo" \
	    >"$T/peer.out" 2>&1 &
	PEER=$!
	PIDS="$PIDS $PEER"
	exec 7>"$T/fifo"
	wait_for grep -q ^session "$T/peer.out" || bad "a session of $1 begins"
}

peer_stop() {
	exec 7>&-
	wait "$PEER" || :
}

# ---- users ------------------------------------------------------------------

# What goes wrong in it is an event that is missing.
provoke() {
user_new alice
user_new bob
ctl user add carol
keys_new carol
as carol csr carol >"$T/carol.csr"
ca_sign root "$T/carol.csr" "$T/carol.pem"
user_home carol
echo "cert_file = \"$T/carol.pem\"" >>"$T/carol/config"
as carol ask "by certificate"

as alice ask "a question"
CONV=$(as alice list | awk 'NR == 1 { print $1 }')
as bob show "$CONV"
ctl model deny alice big
as alice ask -m big "not this one"
ctl model allow alice big
ctl user limit alice sessions=1
peer_start alice
as alice list
ctl user limit alice sessions=default
as alice sessions end "$(as alice sessions | awk 'NR == 1 { print $1 }')"
peer_stop
peer_start alice
as alice sessions | awk '{ print $1 }' | while read -r _s; do
	as alice sessions end "$_s"
done
peer_stop
peer_start alice
ctl session kill alice
peer_stop

keys_new dora
ctl user add dora
as dora login -N "$(ctl invite -a "127.0.0.1:$PORT" dora |
    sed -n 's/ .*//; /^cloister:/p')"
ID=$(as dora keys | awk -F'\t' 'NR == 1 { print $1 }')
as dora keys name "$ID" attic
as dora keys revoke "$ID"
echo "$PW" | ctl user passwd bob
ctl user policy bob publickey+password
with "$PW" bob list -S
with "$PW\\n$PW\\n$PW2" bob passwd -S
keys_new mallory
user_home mallory
for _i in 1 2 3 4 5; do
	with "a wrong battery 1" mallory login -S -l bob "127.0.0.1:$PORT"
done
ctl user disable bob
ctl user enable bob
ctl key revoke bob "$(ctl key list bob | awk 'NR == 1 { print $1 }')"

# ---- storage and the log ----------------------------------------------------

as alice delete "$CONV"
ctl storage shred
ctl storage rotate-key
ctl storage verify
ctl backup "$T/backup"
ctl user remove --erase carol
ctl log level certd notice
ctl audit rotate

# ---- failures ---------------------------------------------------------------

ctl reload
cp "$T/cloisterd.conf" "$T/good.conf"
echo "nonsense = 1" >>"$T/cloisterd.conf"
cp "$T/good.conf" "$T/ctl.conf"
"$B/cloisterctl" -f "$T/ctl.conf" reload
cp "$T/good.conf" "$T/cloisterd.conf"
if [ "$(id -u)" = 0 ]; then
	chmod 666 "$T/control"
	setpriv --reuid 65534 --regid 65534 --clear-groups \
	    "$B/cloisterctl" -f "$T/ctl.conf" status
fi
mkfifo "$T/tick"
"$B/ticket" "127.0.0.1:$PORT" "$T/alice/id_cloister" <"$T/tick" \
    >"$T/tick.out" 2>&1 &
PIDS="$PIDS $!"
exec 8>"$T/tick"
said() {
	[ "$(wc -l <"$T/tick.out")" -ge "$1" ]
}
for _c in 1:open 2:suspend 3:resume 4:break; do
	echo "${_c#*:}" >&8
	wait_for said "${_c%:*}" || bad "ticket ${_c#*:}"
done
exec 8>&-
kill -STOP "$(role_pid connector)"
wait_for has role.hang
wait_for has role.exit
peer_start alice
kill -SYS "$(session_pid alice)"
wait_for has worker.crash
wait_for has penalty
peer_stop
wait_for has storage.rotate
}
provoke >"$T/said" 2>&1 || :
service_stop

# ---- what the log has ---------------------------------------------------------

# Those that are made elsewhere, by name.
cat >"$T/elsewhere" <<'END'
audit.gap regress/t_full.sh
audit.tamper regress/t_audit.sh
history.expire tests/test_vault_retain.c
vault.refuse regress/t_tamper.sh
storage.rollback regress/t_tamper.sh
storage.restore regress/t_backup.sh
admin.storage.accept regress/t_tamper.sh
resume.refuse tests/test_vault_ticket.c
storage.shred.held tests/test_vault_delete.c
storage.shred.lost tests/test_vault_delete.c
storage.tamper tests/test_vault_boot.c
END
[ "$(id -u)" = 0 ] || echo "admin.refuse regress/t_events.sh" >>"$T/elsewhere"

log >"$T/log"
python3 - "$T/log" >"$T/result" <<'PY'
import json, re, sys

decl = {}
text = open("common/events.def").read()
for name, fields in re.findall(
        r'^EVENT\(\w+, "([^"]+)", \w+,\s*"([^"]*)"', text, re.M):
    decl[name] = fields.split()
seen = {}
for line in open(sys.argv[1]):
    e = json.loads(line)
    seen.setdefault(e["event"], []).append(list(e["fields"]))
for name, fields in decl.items():
    if name not in seen:
        print("missing", name)
    # A violation, or a reason, may be said in a sentence in place of fields.
    elif all(f == fields for f in seen[name]):
        print("seen", name)
    else:
        print("fields", name, *[f for f in seen[name] if f != fields][:1])
for name in seen:
    if name not in decl:
        print("undeclared", name)
PY
while read -r what name rest; do
	case $what in
	seen)
		good "$name is in the log" ;;
	missing)
		_file=$(awk -v e="$name" '$1 == e { print $2 }' "$T/elsewhere")
		if [ -n "$_file" ] && grep -qF -e "$name" "$_file"; then
			good "$name is in $_file"
		else
			bad "$name is in no log"
		fi ;;
	*)
		bad "$name: $what $rest" ;;
	esac
done <"$T/result"
! grep "^FAIL" "$T/said" || sed 's/^/    /' "$T/said"
[ "$(wc -l <"$T/result")" -ge 60 ] && good "the table was read" ||
    bad "the table was read: $(wc -l <"$T/result")"
expect "and it verifies" 0 "good" ctl audit verify
for s in "$PW" "$PW2" "a question" "by certificate"; do
	expect "nothing of what was said: $s" 1 "" grep -qF -e "$s" "$T/log"
done
