#!/bin/sh
# A stop that loses nothing: the sessions are told, answers in flight end or are
# kept as truncated, and a second signal stops at once.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh

service_new
standin_start --delay-ms 30
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS="echo:echo long:long-2 hang:stall"
DRAIN=20
service_init
service_start
user_new alice

# Two talk while the service stops: one waits at the prompt, and will be able to go
# on with what comes after it; one is answered.
mkfifo "$T/idle.in"
as alice chat <"$T/idle.in" >"$T/idle.out" 2>&1 &
IDLE=$!
exec 3>"$T/idle.in"
as alice ask -m long "how long?" >"$T/long.out" 2>"$T/long.err" &
LONG=$!
wait_for test -s "$T/long.out"
kill "$SERVICE_PID"
wait_for grep -q "the server is stopping" "$T/idle.out" &&
    good "who waits at the prompt is told at once" ||
    bad "who waits at the prompt is told at once: $(cat "$T/idle.out")"
kill -0 "$LONG" 2>/dev/null && good "while the answer goes on" ||
    bad "while the answer goes on"
expect "nobody new is let in" 3 "" as alice list
_st=0
wait "$LONG" || _st=$?
[ $_st = 0 ] && good "the answer in flight ends as it should" ||
    bad "the answer in flight ends as it should: $_st $(cat "$T/long.err")"
_st=0
wait "$SERVICE_PID" || _st=$?
SERVICE_PID=
[ $_st = 0 ] && good "then the service stops, with status 0" ||
    bad "then the service stops, with status 0: $_st"
service_start
wait_show alice >/dev/null
grep -qF "$(tail -n 1 "$T/long.out" | tail -c 60)" "$T/show.out" &&
    good "and the answer is stored whole" || bad "and the answer is stored whole"
echo "are you back?" >&3
exec 3>&-
_st=0
wait "$IDLE" || _st=$?
[ $_st = 0 ] && grep -qx "are you back?" "$T/idle.out" &&
    good "who waited at the prompt goes on in a new session" ||
    bad "who waited at the prompt goes on in a new session: $_st $(cat "$T/idle.out")"

# The model says no more; what it said is kept, and marked.
service_stop
DRAIN=1
service_config
service_start
as alice ask -m hang "go on" >"$T/hang.out" 2>"$T/hang.err" &
HANG=$!
wait_for test -s "$T/hang.out"
expect "a stop that waits no longer than it may" 0 "" service_stop
_st=0
wait "$HANG" || _st=$?
[ $_st = 7 ] && grep -q "the server is stopping" "$T/hang.err" &&
    good "the client says why its answer broke off" ||
    bad "the client says why its answer broke off: $_st $(cat "$T/hang.err")"
! grep -q "TRUNCATED: it ended without" "$T/hang.err" &&
    good "and was not cut off" || bad "and was not cut off"
service_start
wait_show alice >/dev/null
grep -qF "$(head -c 20 "$T/hang.out")" "$T/show.out" &&
    grep -qi truncated "$T/show.out" &&
    good "what came is kept, as truncated" || {
	bad "what came is kept, as truncated"
	cat "$T/show.out"
}

# With shaped answers, and at once.
service_stop
SHAPING=tick
service_config
service_start
as alice ask -m hang "shaped" >"$T/tick.out" 2>"$T/tick.err" &
TICK=$!
wait_for test -s "$T/tick.out"
expect "a stop while an answer is shaped" 0 "" service_stop
_st=0
wait "$TICK" || _st=$?
[ $_st = 7 ] && grep -q "the server is stopping" "$T/tick.err" &&
    good "its client is told, too" ||
    bad "its client is told, too: $_st $(cat "$T/tick.err")"

DRAIN=600 SHAPING=off
service_config
service_start
as alice ask -m hang "for ever" >"$T/ever.out" 2>&1 &
wait_for test -s "$T/ever.out"
kill "$SERVICE_PID"
wait_for grep -q "stopping (signal" "$T/cloisterd.log"
kill "$SERVICE_PID"
expect "a second signal waits for nobody" 0 "" service_stop
