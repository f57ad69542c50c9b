#!/bin/sh
# Letting people in: invites, passwords, the second factor, one's own keys.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh

ENROLMENT=yes
LIMITS="	password_delay = 120"
service_new
standin_start
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS="echo:echo"
service_init
service_start
ctl user add alice >/dev/null
ctl user add bob >/dev/null
PW="correct horse battery 9"

# home NAME: a client's directory with keys and nothing else.
home() {
	mkdir -m 700 "$T/$1"
	CLOISTER_HOME="$T/$1" "$B/cloister" keygen -N >/dev/null
}

# with PASSWORDS CLIENT ARGS...: the client, with these lines as its input.
with() {
	_in=$1
	shift
	printf '%b\n' "$_in" | as "$@"
}

invite() {
	ctl invite -a "127.0.0.1:$PORT" "$@" | sed -n 's/ .*//; /^cloister:/p'
}

hashed() {
	ctl status | sed -n 's/^passwords *\([0-9]*\) hashed/\1/p'
}

audit() {
	cat "$T/state/audit/audit.log"
}

# An invite is all that a new user needs: no keys, no server, no directory yet.
LINK=$(invite alice)
case $LINK in
cloister://127.0.0.1:$PORT/#*.*) good "an invite is a link" ;;
*) bad "an invite is a link: $LINK" ;;
esac
expect "login by an invite" 0 "Welcome, alice" as alice login -N "$LINK"
expect "and the server is known" 0 "$FINGERPRINT" cat "$T/alice/known_servers"
expect "and a question is answered" 0 "the first one" as alice ask "the first one"
expect "the key is in the user's list" 0 "active" as alice keys
expect "an enrolled key logs in again" 0 "already, for alice" \
    as alice login "$LINK"

# Once, in time, whole, for this server.
home eve
expect "an invite is good once" 5 "not valid" as eve login "$LINK"
L2=$(invite bob)
last=$(printf %s "$L2" | tail -c 1)
[ "$last" = A ] && other=E || other=A
home eve2
expect "a wrong code" 5 "not valid" as eve2 login "${L2%?}$other"
expect "half a link" 2 "not whole" as eve2 login "${L2%????}"
FP=${L2#*#}
first=$(printf %s "$FP" | head -c 1)
[ "$first" = A ] && other=B || other=A
home eve3
expect "a link for another key of the server" 3,4 "" \
    as eve3 login "cloister://127.0.0.1:$PORT/#$other${FP#?}"
[ -e "$T/eve3/known_servers" ] && bad "and nothing is pinned" ||
    good "and nothing is pinned"
home bob
expect "the same link is still good" 0 "Welcome, bob" as bob login "$L2"
expect "a login sets the server" 0 "bob says" as bob ask "bob says"
expect "a stranger may do nothing else" 5 "login" as eve -H "127.0.0.1:$PORT" \
    list
expect "what strangers did is in the audit log" 0 "auth.stranger" audit

# Passwords.
expect "a password that is too short" 1 "12 characters" \
    sh -c "echo short | '$B/cloisterctl' -f '$T/cloisterd.conf' user passwd bob"
expect "a well-known one" 1 "well-known" \
    sh -c "echo Password2024!! | '$B/cloisterctl' -f '$T/cloisterd.conf' user passwd bob"
expect "the administrator sets one" 0 "password of bob set" \
    sh -c "echo '$PW' | '$B/cloisterctl' -f '$T/cloisterd.conf' user passwd bob"
home bob2
user_home bob2
n=$(hashed)
expect "login by password" 0 "Welcome, bob" \
    with "$PW" bob2 login -S -l bob "127.0.0.1:$PORT"
[ "$(hashed)" = $((n + 1)) ] && good "it took one hash" ||
    bad "it took one hash: $n, $(hashed)"
expect "and a question is answered" 0 "from the second machine" \
    as bob2 ask "from the second machine"
expect "both keys are in the list" 0 "(this machine)" \
    sh -c "CLOISTER_HOME='$T/bob2' script -qec '$B/cloister keys' /dev/null"
[ "$(as bob2 keys | wc -l)" = 2 ] && good "two keys" || bad "two keys"

# Wrong, unknown, without a password: the same bytes, the same work.
home mallory
user_home mallory
n=$(hashed)
with "wrong horse battery" mallory login -S -l bob "127.0.0.1:$PORT" \
    >"$T/wrong" 2>&1 && bad "a wrong password" || good "a wrong password"
with "wrong horse battery" mallory login -S -l nobody "127.0.0.1:$PORT" \
    >"$T/unknown" 2>&1 && bad "an unknown user" || good "an unknown user"
[ "$(hashed)" = $((n + 2)) ] && good "an unknown user costs a hash" ||
    bad "an unknown user costs a hash: $n, $(hashed)"
cmp -s "$T/wrong" "$T/unknown" && good "and is told the same" ||
    bad "and is told the same: $(cat "$T/wrong" "$T/unknown")"
expect "the reasons are in the audit log" 0 "no such user" audit

# The next one must wait, also after a restart; eve's and this make four.
n=$(hashed)
expect "then the source waits" 5 "wait" \
    with "wrong horse battery" mallory login -S -l bob "127.0.0.1:$PORT"
expect "a right password, too" 5 "wait" \
    with "$PW" mallory login -S -l bob "127.0.0.1:$PORT"
[ "$(hashed)" = "$n" ] && good "waiting costs no hash" ||
    bad "waiting costs no hash: $n, $(hashed)"
service_stop
service_start
expect "a restart forgets nothing" 5 "wait" \
    with "$PW" mallory login -S -l bob "127.0.0.1:$PORT"
expect "an invite from there waits, too" 5 "wait" \
    as mallory login "$(invite alice)"
expect "keys are not held up" 0 "still here" as bob ask "still here"
service_stop
