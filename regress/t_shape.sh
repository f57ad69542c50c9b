#!/bin/sh
# Shaping, by what a relay between client and server sees: two different answers
# of one step are alike to the byte and the tick; unshaped they are not.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh

relay_start() {
	rm -f "$T/relay.out"
	$UNDER "$B/relay" "$PORT" >"$T/relay.out" &
	RELAY_PID=$!
	PIDS="$PIDS $RELAY_PID"
	wait_for grep -q '^listening' "$T/relay.out" || die "no relay"
	RELAY=127.0.0.1:$(sed -n 's/^listening //p' "$T/relay.out")
	echo "$RELAY $FINGERPRINT" >>"$T/alice/known_servers"
}

# Ask two questions at once, of which the second has the longer answer.
ask_both() {
	as alice ask -H "$RELAY" "$SHORT" >"$T/short.out" &
	_first=$!
	# Connections are numbered as they come.
	wait_for grep -q '^1 ' "$T/relay.out" || true
	as alice ask -H "$RELAY" "$LONG" >"$T/long.out" || true
	wait $_first || true
	if grep -qF "$SHORT" "$T/short.out" && grep -qF "$LONG" "$T/long.out"
	then
		good "$1: both answers came"
	else
		bad "$1: both answers came"
	fi
}

ended() {
	[ "$(grep -c ' e ' "$T/relay.out")" -eq 2 ]
}

# The two traces, each up to the client's CLOSE, without their numbers.
traces() {
	wait_for ended || bad "the connections end"
	grep -v '^listening' "$T/relay.out" >"$T/relay.log"
	"$B/classify" "$T/relay.log" | cut -d ' ' -f 2- >"$T/traces"
	TRACE1=$(sed -n 1p "$T/traces") TRACE2=$(sed -n 2p "$T/traces")
}

# What is looked at are steps of time: as root it goes before other tests.
UNDER=
[ "$(id -u)" != 0 ] || UNDER="nice -n -20"
service_new
standin_start --delay-ms 30
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS="echo:echo"
SHORT="yes"
LONG="an answer of many more words, which takes its time, as a model does when it
has a long story to tell about something that is not to be guessed from the outside
by counting and by timing what passes on the wire between the two of them"

SHAPING=tick
service_init
service_start
user_new alice
# A machine under load may miss a tick, or the relay read two at once: then it is
# tried again.  tests/test_shape.c allows for nothing.
for try in 1 2 3 4 5; do
	[ $try = 1 ] || kill "$RELAY_PID"
	relay_start
	ask_both "tick"
	# The user waits for nothing; the connection stays until the step's end.
	if ended; then
		bad "tick: the connection outlives the command"
	else
		good "tick: the connection outlives the command"
	fi
	traces
	[ "$TRACE1" != "$TRACE2" ] || break
	echo "count tick: attempt $try differed"
done
if [ "$TRACE1" = "$TRACE2" ]; then
	good "tick: two answers of one step leave one trace"
else
	bad "tick: two answers of one step leave one trace"
	cat "$T/traces"
fi
WANT=$(i=1; while [ $i -le 80 ]; do printf ' %d:1024' $i; i=$((i + 1)); done)
if [ " $TRACE1" = "$WANT" ]; then
	good "tick: 80 records of 1 KiB, one each tick, and then CLOSE"
else
	bad "tick: 80 records of 1 KiB, one each tick, and then CLOSE"
	echo "$TRACE1"
fi
# The second question of a chat need not wait for the first one's step.
expect "tick: a chat of two turns" 0 "second question" sh -c 'printf "%s\n" \
    "first question" "second question" | CLOISTER_HOME="$1" "$2" chat -H "$3"' \
    chat "$T/alice" "$B/cloister" "$RELAY"
if grep -q '^3 e ' "$T/relay.out"; then
	bad "tick: the chat's connection is left behind"
else
	good "tick: the chat's connection is left behind"
fi
kill "$RELAY_PID"
service_stop

SHAPING=bucket
service_config
service_start
relay_start
ask_both "bucket"
traces
sum() {	# bytes of a trace
	echo "$1" | tr ' ' '\n' | awk -F : '{ n += $2 } END { print n + 0 }'
}
if [ "$(sum "$TRACE1")" -eq 4096 ] && [ "$(sum "$TRACE2")" -eq 4096 ]; then
	good "bucket: both answers have one size"
else
	bad "bucket: both answers have one size"
	cat "$T/traces"
fi
kill "$RELAY_PID"
service_stop

SHAPING=off
service_config
service_start
relay_start
ask_both "off"
traces
if [ "$TRACE1" != "$TRACE2" ] && [ "$(sum "$TRACE1")" -lt "$(sum "$TRACE2")" ]
then
	good "off: the traces differ"
else
	bad "off: the traces differ"
	cat "$T/traces"
fi
kill "$RELAY_PID"
service_stop
