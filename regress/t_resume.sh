#!/bin/sh
# Tickets: one resumption each, by nobody else, not after END, a violation, a
# revocation, a restart; and a chat that suspends and comes back by itself.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh

audits() {	# event
	grep -c "\"event\":\"$1\"" "$T/state/audit/audit.log" || true
}

# ticket_start NAME: a client that resumes in all ways; its commands are fd 8.
ticket_start() {
	rm -f "$T/$1.cmd" "$T/$1.tick"
	mkfifo "$T/$1.cmd"
	CLOISTER_HOME="$T/$1" "$B/ticket" "127.0.0.1:$PORT" \
	    "$T/$1/id_cloister" <"$T/$1.cmd" >"$T/$1.tick" 2>"$T/$1.terr" &
	TICKET=$!
	PIDS="$PIDS $TICKET"
	exec 8>"$T/$1.cmd"
	WHO=$1 SAID=0
}

ticket_stop() {
	exec 8>&-
	wait "$TICKET" || bad "the ticket client of $WHO: $(cat "$T/$WHO.terr")"
}

more_lines() {
	[ "$(wc -l <"$T/$WHO.tick")" -gt "$SAID" ]
}

# t NAME COMMAND ANSWER: the client does it, and says this; NAME "" is no check.
t() {
	echo "$2" >&8
	wait_for more_lines || die "$2: no answer: $(cat "$T/$WHO.terr")"
	SAID=$(wc -l <"$T/$WHO.tick")
	ANSWER=$(tail -n 1 "$T/$WHO.tick")
	if [ "$ANSWER" != "$3" ]; then
		bad "${1:-$2}: \"$ANSWER\", not \"$3\""
	elif [ -n "$1" ]; then
		good "$1"
	fi
}

service_new
standin_start --delay-ms 20
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS="echo:echo long:long"
LIMITS="max_connections = 4000
max_connections_per_source = 2000
ticket_lifetime = 86400"
service_init
service_start 7>&- 8>&-
user_new alice
user_new bob

# ---- one ticket ------------------------------------------------------------
ticket_start alice
t "a session has a ticket" open ticket
t "and only one" next "no ticket"
t "" suspend ended
counted() {
	ctl status | grep verifications
}
BEFORE=$(counted)
t "it is resumed" resume resumed
[ "$(audits auth.resume)" -eq 1 ] && good "the audit log has it" ||
    bad "the audit log has it: $(audits auth.resume)"
# The host key made no nonce to sign, and no signature was looked at.
same() {
	echo "$1" | sed 's/, [0-9]* grants.*//'
}
[ "$(same "$BEFORE")" = "$(same "$(counted)")" ] &&
    good "without an RSA operation" ||
    bad "without an RSA operation: $BEFORE; $(counted)"
t "the same ticket again: a whole handshake" resume full
t "the resumed session has a ticket of its own" next ticket
t "" suspend ended
t "with which it goes on" resume resumed


# ---- what ends a ticket ------------------------------------------------------
t "" end ended
t "" open ticket
t "" end ended
t "after END: a whole handshake" resume full
t "" open ticket
t "" break ended
t "after a violation: a whole handshake" resume full
t "" open ticket
t "" drop ended
t "after the connection was lost it is resumed" resume resumed
t "" end ended
t "" open ticket
kill -SEGV "$(session_pid alice)"
crash_seen() {
	[ "$(audits worker.crash)" -eq 1 ]
}
wait_for crash_seen || bad "the crash is in the audit log"
t "" drop ended
# Its source waits a second, too; the next attempts come from other addresses.
t "after a crash of its worker: a whole handshake" resume full

# ---- what does not cost it ------------------------------------------------------
sleep 1.2
t "" open ticket
t "" suspend ended
t "a wrong binder: a whole handshake" "spoil binder" full
t "another secret" "spoil psk" full
t "another id" "spoil id" full
t "" "flip 120" flipped
grep -q '^flip: 0 resumed' "$T/alice.tick" &&
    good "no changed CH is resumed" || bad "no changed CH is resumed"
t "and after all this the ticket is good" resume resumed
t "" end ended

# ---- a resumption that is not finished properly -----------------------------
t "" open ticket
t "" suspend ended
t "a wrong CF: refused" "spoil cf" refused
t "and the ticket is gone" resume full
t "" open ticket
t "" suspend ended
t "a CF that is too long: refused" "spoil cflong" refused
t "" open ticket
t "" save saved
t "" suspend ended
t "" "race 1000" raced
grep -q '^race: 1 resumed, 999 full, 0 other' "$T/alice.tick" &&
    good "a thousand racers on one ticket: one success" ||
    bad "a thousand racers: $(grep '^race' "$T/alice.tick")"
t "" open ticket
t "" suspend ended

# ---- revocation, restart, expiry ---------------------------------------------
expect "alice is disabled" 0 "disabled" ctl user disable alice
t "a disabled user's ticket" resume full
expect "and enabled" 0 "enabled" ctl user enable alice
t "which is gone for good" resume full
t "" open ticket
t "" suspend ended
ID=$(ctl key list alice | awk '/active/ { print $1 }')
expect "her key is revoked" 0 "revoked" ctl key revoke alice "$ID"
t "a revoked key's ticket" resume full
ticket_stop
ticket_start bob
t "" open ticket
t "" suspend ended
service_stop
service_start 7>&- 8>&-
t "a restart forgets every ticket" resume full
t "" open ticket
t "" suspend ended
ctl session kill bob >/dev/null
t "session kill by name takes his tickets too" resume full
service_stop
LIMITS="ticket_lifetime = 2"
service_config
service_start 7>&- 8>&-
t "" open ticket
t "" suspend ended
sleep 2.2
t "an expired ticket" resume full
ticket_stop
service_stop
LIMITS="ticket_lifetime = 0"
service_config
service_start 7>&- 8>&-
ticket_start bob
t "no tickets by configuration" open "no ticket"
ticket_stop
service_stop
LIMITS="session_timeout = 1"
service_config
service_start 7>&- 8>&-
ticket_start bob
t "" open ticket
sleep 1.5
expect "session_timeout ends a session" 0 "0 sessions" ctl session list
t "and its ticket" drop ended
t "so that it is not resumed" resume full
ticket_stop
service_stop

# ---- a chat that comes back ---------------------------------------------------
LIMITS=
service_config
service_start 7>&- 8>&-
relay_start() {
	rm -f "$T/relay.out"
	"$B/relay" "$PORT" ${RELAY_PORT:-} >"$T/relay.out" 2>&1 &
	RELAY=$!
	PIDS="$PIDS $RELAY"
	wait_for grep -q '^listening' "$T/relay.out"
	RELAY_PORT=$(sed -n 's/^listening //p' "$T/relay.out")
}

relay_stop() {
	kill "$RELAY"
	wait "$RELAY" 2>/dev/null || true
}

relay_start 7>&- 8>&-
PORT_OF=$PORT PORT=$RELAY_PORT
user_home bob
PORT=$PORT_OF
echo "suspend = 3" >>"$T/bob/config"

# says N: N answers were printed to the chat.
says() {
	[ "$(wc -l <"$T/chat.out")" -ge "$1" ]
}

mkfifo "$T/chat.in"
CLOISTER_HOME="$T/bob" "$B/cloister" -v chat -m echo <"$T/chat.in" \
    >"$T/chat.out" 2>"$T/chat.err" &
CHAT=$!
PIDS="$PIDS $CHAT"
exec 7>"$T/chat.in"
echo "first" >&7
wait_for says 1 && good "a chat begins" || bad "a chat begins"
expect "it has a ticket" 0 "a ticket for one resumption" cat "$T/chat.err"
wait_for grep -q "suspended the session" "$T/chat.err" &&
    good "idle, it suspends its session" || bad "idle, it suspends its session"
expect "nobody is connected then" 0 "0 sessions" ctl session list
N=$(audits auth.resume)
echo "second" >&7
wait_for says 2 && good "the next question is answered" ||
    bad "the next question is answered: $(cat "$T/chat.err")"
[ "$(audits auth.resume)" -eq $((N + 1)) ] &&
    good "in the session, resumed" || bad "in the session, resumed"
expect "-v says so" 0 "resumed the session by its ticket" cat "$T/chat.err"
# The network goes away and comes back.
relay_stop
wait_for grep -q "connection lost" "$T/chat.err" || bad "a loss is noticed"
relay_start 7>&- 8>&-
echo "third" >&7
wait_for says 3 && good "after a loss it comes back by itself" ||
    bad "after a loss it comes back by itself: $(tail -n 5 "$T/chat.err")"
[ "$(audits auth.resume)" -eq $((N + 2)) ] &&
    good "by its ticket" || bad "by its ticket"
# The server is restarted: no ticket, a whole handshake, and nobody notices.
service_stop
service_start 7>&- 8>&-
A=$(audits auth.accept)
echo "fourth" >&7
wait_for says 4 && good "after a restart of the server too" ||
    bad "after a restart of the server too: $(tail -n 5 "$T/chat.err")"
[ "$(audits auth.accept)" -eq $((A + 1)) ] &&
    good "by a whole handshake" || bad "by a whole handshake"
exec 7>&-
_st=0
wait "$CHAT" || _st=$?
[ $_st -eq 0 ] && good "the chat ends well" || bad "the chat ends with $_st"
ID=$(as bob list | awk 'NR == 1 { print $1 }')
as bob show "$ID" >"$T/show.out" 2>&1
for w in first second third fourth; do
	# Once as a question, once as the answer that repeats it.
	[ "$(grep -c "^$w\$\|[[:space:]]$w\$" "$T/show.out")" -eq 2 ] ||
	    bad "\"$w\" was asked once: $(cat "$T/show.out")"
done
good "all in one conversation, each question once"
expect "no ticket is on disk" 1 "" grep -rl "ticket" "$T/bob"
service_stop
