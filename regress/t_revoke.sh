#!/bin/sh
# Live revocation: a session that is killed, a key that is revoked, a user who is
# disabled.  Live sessions end within a second, even in the middle of an answer,
# and nobody comes in again, after a restart of the service neither.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh

service_new
standin_start --delay-ms 20
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS="echo:echo long:long"
service_init
service_start
user_new alice
user_new bob

# chat_start NAME: a chat whose standard input stays open; CHAT is its pid.
chat_start() {
	rm -f "$T/$1.in" "$T/$1.out"
	mkfifo "$T/$1.in"
	CLOISTER_HOME="$T/$1" "$B/cloister" chat -m "${2:-echo}" <"$T/$1.in" \
	    >"$T/$1.out" 2>"$T/$1.err" &
	CHAT=$!
	PIDS="$PIDS $CHAT"
	exec 7>"$T/$1.in"
	echo "hello from $1" >&7
	wait_for test -s "$T/$1.out" || bad "$1's chat begins"
}

now() {
	awk '{ printf "%d\n", $1 * 1000 }' /proc/uptime
}

worker_gone() {
	! kill -0 "$WORKER" 2>/dev/null
}

# ended WHAT NAME asks|stays STATUS TEXT: the worker ends; the client asks once
# more or not, ends with the status, and has said the text.  How long it took is
# printed: within a second, on a machine that does nothing else.
ended() {
	if wait_for worker_gone; then
		good "$1: the session ends"
		echo "count $1: $(($(now) - SINCE)) ms"
	else
		bad "$1: the session does not end"
	fi
	[ "$3" = stays ] || echo "is anybody there?" >&7
	exec 7>&-
	_st=0
	wait "$CHAT" || _st=$?
	[ $_st -eq "$4" ] && good "$1: its client ends with status $4" ||
	    bad "$1: its client ends with status $_st"
	[ -z "$5" ] || { grep -q "$5" "$T/$2.err" && good "$1: it is told" ||
	    bad "$1: it is told: $(cat "$T/$2.err")"; }
}

# ---- sessions ---------------------------------------------------------------
chat_start alice
expect "session list shows who is there" 0 "alice" ctl session list
expect "and from where" 0 "from 127.0.0.1" ctl session list
expect "in JSON" 0 '"type":"session"' ctl --json session list
N=$(ctl session list | awk '$3 == "alice" { print $1 }')
expect "no such session" 1 "there is no session" ctl session kill 12345
expect "no such user" 1 "there is no user" ctl session kill nobody
expect "not a name" 1 "there is no user" ctl session kill 12x
WORKER=$(session_pid alice)
SINCE=$(now)
expect "session kill" 0 "1 session ended" ctl session kill "$N"
ended "session kill" alice asks 0 ""
wait_for sh -c "[ \"\$('$B/cloisterctl' -f '$T/cloisterd.conf' session list)\" = '0 sessions' ]"
expect "nobody is listed any more" 0 "0 sessions" ctl session list
expect "its user may come again" 0 "again" as alice ask -m echo "again"

# One's own list, from one machine about another; nobody else's.
chat_start bob
expect "one's own sessions: this one alone" 0 "this" as alice sessions
MINE=$(as alice sessions | awk -F '\t' '$NF != "this" { print $1 }')
[ -z "$MINE" ] && good "another user's is not among them" ||
    bad "another user's is not among them: $MINE"
THEIRS=$(as bob sessions | awk -F '\t' '$NF != "this" { print $1 }')
[ ${#THEIRS} -eq 64 ] && good "the chat is listed, with its whole id" ||
    bad "the chat is listed, with its whole id: $THEIRS"
expect "another user's session cannot be ended" 1 "no session of yours" \
    as alice sessions end "$THEIRS"
expect "an id that is not there" 1 "no session of yours" \
    as bob sessions end 0000000000000000
expect "too short an id" 2 "at least" as bob sessions end 000
expect "no such word" 2 "usage" as bob sessions kill "$THEIRS"
WORKER=$(session_pid bob)
SINCE=$(now)
expect "a user ends a session" 0 "" \
    as bob sessions end "$(echo "$THEIRS" | cut -c1-16)"
ended "ended by its user" bob asks 0 ""
expect "that is in the audit log" 0 '"event":"session.kill"' \
    cat "$T/state/audit/audit.log"

# In the middle of an answer; what came of it is stored as cancelled or cut.
chat_start alice long
WORKER=$(session_pid alice)
SINCE=$(now)
expect "session kill by name, in an answer" 0 "1 session ended" \
    ctl session kill alice
ended "killed in an answer" alice stays 7 "ended the session"
expect "it is in the audit log" 0 '"event":"session.revoke"' \
    cat "$T/state/audit/audit.log"
expect "with who did it" 0 '"event":"admin.session.kill"' \
    cat "$T/state/audit/audit.log"

# ---- keys -------------------------------------------------------------------
ID=$(ctl key list alice | awk '/active/ { print $1 }')
FP=$(ctl key list alice | grep -o 'SHA256:[A-Za-z0-9+/]*')
mkdir -m 700 "$T/alice2"
CLOISTER_HOME="$T/alice2" "$B/cloister" keygen -N >/dev/null
user_home alice2
ctl key add alice "$T/alice2/id_cloister.pub" >/dev/null
expect "key list has both" 0 "2 keys" ctl key list alice
expect "no such user's keys" 1 "there is no user" ctl key list nobody
expect "a key that is not there" 1 "has no key" ctl key revoke alice 0123456789abcdef
expect "another's key" 1 "has no key" ctl key revoke bob "$ID"
chat_start alice
WORKER=$(session_pid alice)
SINCE=$(now)
expect "key revoke, by its id" 0 "1 session ended" ctl key revoke alice "$ID"
ended "its key was revoked" alice asks 5 "refused"
expect "it does not come in again" 5 "refused" as alice ask -m echo "x"
expect "the other key does" 0 "still here" as alice2 ask -m echo "still here"
expect "key list says so" 0 "$ID revoked" ctl key list alice
expect "twice" 1 "revoked already" ctl key revoke alice "$FP"
expect "a revoked key is not enrolled again" 1 "was revoked" \
    ctl key add alice "$T/alice/id_cloister.pub"
expect "one is left" 0 "1 key " ctl user list
expect "the refusal is in the audit log" 0 "key revoked" \
    cat "$T/state/audit/audit.log"

# ---- users ------------------------------------------------------------------
chat_start bob
WORKER=$(session_pid bob)
SINCE=$(now)
expect "user disable" 0 "1 session ended" ctl user disable bob
ended "its user was disabled" bob asks 5 "refused"
expect "nobody comes in as bob" 5 "refused" as bob ask -m echo "x"
expect "user list says so" 0 "disabled" ctl user list
expect "disabled twice is no error" 0 "already" ctl user disable bob
expect "no such user to disable" 1 "there is no user" ctl user disable nobody

service_stop
service_start
expect "disabled after a restart" 5 "refused" as bob ask -m echo "x"
expect "revoked after a restart" 5 "refused" as alice ask -m echo "x"
expect "key list after a restart" 0 "$ID revoked" ctl key list alice
expect "the other key after a restart" 0 "here" as alice2 ask -m echo "here"
expect "user enable" 0 "enabled" ctl user enable bob
expect "bob is back" 0 "i am back" as bob ask -m echo "i am back"
expect "all of it is in the audit log" 0 '"event":"admin.user.enable"' \
    cat "$T/state/audit/audit.log"
service_stop
