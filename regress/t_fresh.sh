#!/bin/sh
# A session that lasts goes on under fresh keys, also while an answer is shaped; a
# client that does not answer the offer is put out, and may come back.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh

# said TEXT: the service's log has it.
said() {
	grep -qF "$1" "$T/cloisterd.log"
}

# has TEXT: the chat has been answered.
has() {
	grep -qx "$1" "$T/chat.out"
}

service_new
standin_start --delay-ms 20
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS="echo:echo long:long-2"
LIMITS="	rekey_interval = 1"
SHAPING=tick
service_init
service_start
user_new alice
user_new bob

mkfifo "$T/chat.in"
as alice chat <"$T/chat.in" >"$T/chat.out" 2>&1 &
CHAT=$!
exec 3>"$T/chat.in"
as bob ask -m long "how long?" >"$T/long.out" 2>"$T/long.err" &
LONG=$!
echo "the first" >&3
wait_for has "the first" && good "the first answer" || bad "the first answer"
wait_for said "fresh keys are offered; 3 times so far" &&
    good "fresh keys, and again, and again" ||
    bad "fresh keys, and again, and again"
echo "the second" >&3
wait_for has "the second" && good "the session goes on under them" ||
    bad "the session goes on under them: $(cat "$T/chat.out")"
_st=0
wait "$LONG" || _st=$?
[ $_st = 0 ] && wait_show bob >/dev/null &&
    grep -qF "$(tail -n 1 "$T/long.out" | tail -c 60)" "$T/show.out" &&
    good "so does an answer" ||
    bad "so does an answer: $_st $(cat "$T/long.err")"
[ "$(ctl audit show --event auth.accept --user alice | wc -l)" = 1 ] &&
    good "in the one session" ||
    bad "in the one session: $(ctl audit show --event auth.accept)"
! said "no answer to the offer" && good "every offer was answered" ||
    bad "every offer was answered"

# It neither answers nor ends.
kill -STOP "$CHAT"
wait_for said "no answer to the offer of fresh keys" &&
    good "who does not answer is put out" ||
    bad "who does not answer is put out"
kill -CONT "$CHAT"
echo "the third" >&3
wait_for has "the third" && good "and comes back by itself" ||
    bad "and comes back by itself: $(cat "$T/chat.out")"
exec 3>&-
_st=0
wait "$CHAT" || _st=$?
[ $_st = 0 ] && good "to a good end" || bad "to a good end: $_st"
service_stop || bad "a clean stop: $?"
if grep -q 'violation\|crashed' "$T/cloisterd.log"; then
	bad "nobody broke a rule: $(grep 'violation\|crashed' "$T/cloisterd.log")"
else
	good "nobody broke a rule"
fi
