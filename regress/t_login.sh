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

# The second factor.
service_stop
LIMITS="	password_delay = 1"
service_config
service_start
NEW="another horse battery 7"
expect "a policy for one user" 0 "publickey+password" \
    ctl user policy bob publickey+password
expect "no such policy" 2 "" ctl user policy bob nothing
expect "without a terminal there is no password" 1 "no terminal" \
    setsid sh -c "CLOISTER_HOME='$T/bob' '$B/cloister' list </dev/null"
wait_for with "$PW" bob list -S && good "the right password lets in" ||
    bad "the right password lets in"
expect "then all is as ever" 0 "with both" with "$PW" bob ask -S "with both"
with "wrong horse battery" bob list -S >"$T/out" 2>&1 &&
    bad "a wrong one does not" || good "a wrong one does not"
expect_not "nothing was done before it" "bob says" cat "$T/out"
expect "others need none" 0 "the first one" as alice list
wait_for with "$PW" bob list -S || bad "the right one again"

# Another password, by oneself.
wait_for with "$PW\\n$PW\\n$NEW" bob passwd -S && good "cloister passwd" ||
    bad "cloister passwd"
wait_for with "$NEW" bob list -S && good "the new one lets in" ||
    bad "the new one lets in"
expect "the old one does not" 5 "" with "$PW" bob list -S
wait_for with "$NEW" bob list -S || bad "the new one again"
expect "a weak one is not taken" 1 "12 characters" \
    with "$NEW\\n$NEW\\nshort" bob passwd -S
expect "nor with a wrong old one" 6 "wrong" \
    with "$NEW\\n$PW\\nyet another battery 8" bob passwd -S
expect "who has none cannot set one" 6 "wrong" \
    with "nothing\\nyet another battery 8" alice passwd -S
expect "cloisterctl sets the policy back" 0 "default" \
    ctl user policy bob default

# Dearer parameters reach a password when it is next used, once.
service_stop
ARGON2_PASSES=2
service_config
service_start
ctl user policy bob publickey+password >/dev/null
wait_for with "$NEW" bob list -S || bad "with new parameters"
n=$(hashed)
[ "$n" -ge 2 ] && good "the first login hashes anew" ||
    bad "the first login hashes anew: $n"
expect "the next one" 0 "with both" with "$NEW" bob list -S
[ "$(hashed)" = $((n + 1)) ] && good "does not" ||
    bad "does not: $n, $(hashed)"
ctl user policy bob default >/dev/null

# One's own keys.
ID=$(as bob keys | awk -F'\t' '$5 == "this" { print $1 }')
OTHER=$(as bob keys | awk -F'\t' '$5 != "this" { print $1 }')
expect "a key is named" 0 "" as bob keys name "$ID" "the attic"
expect "and has that name" 0 "the attic" as bob keys
expect "no such key" 1 "no key" as bob keys revoke 00000000
expect "another one of one's keys is revoked" 0 "" as bob keys revoke "$OTHER"
expect "it is no longer let in" 5 "refused" as bob2 list
expect "and stays so, with the right password, too" 5 "revoked" \
    with "$NEW" bob2 login -S -l bob "127.0.0.1:$PORT"
expect "nor by an invite" 5 "revoked" as bob2 login "$(invite bob)"
expect "one's own key, too" 0,3 "" as bob keys revoke "$ID"
expect "and that is the end" 5 "refused" as bob list

# Too late.
L3=$(invite -t 1s alice)
sleep 1.1
home late
expect "an invite that has expired" 5 "not valid" as late login "$L3"

# With enrolment off there is a constant refusal.
service_stop
ENROLMENT=no
service_config
service_start
expect "no enrolment, no invites" 1 "off" ctl invite alice
expect "no enrolment, no strangers" 5 "refused" as late login "$L3"
expect "no password is in the logs" 1 "" grep -rq "horse battery" \
    "$T/state/audit/audit.log" "$T/cloisterd.log"
service_stop
