#!/bin/sh
# What users may ask: requests a minute, tokens a day and month, counted over a
# restart; another model in place of one that fails before its first word; time-outs;
# a question that is cancelled before its first word.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh

service_new
DEAD=$(free_port)
standin_start --delay-ms 2 --log "$T/upstream.log"
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS="echo:echo reason:reason"
PROVIDER_EXTRA="	connect_timeout = 1
	first_byte_timeout = 1
	idle_timeout = 1
	total_timeout = 3"
# model NAME UPSTREAM [LINES]
model() {
	EXTRA="$EXTRA
model $1 {
	provider = upstream
	upstream = $2
	${3:-}
}"
}
EXTRA="provider dead {
	url = \"http://127.0.0.1:$DEAD/v1\"
}
model gone {
	provider = dead
	upstream = x
	fallback = echo
}
model alone {
	provider = dead
	upstream = x
}"
model few echo "requests_per_minute = 2"
model daily echo "tokens_per_day = 10"
model guard err401 "fallback = echo"
model broke errquota "fallback = gone"
model cut trunc "fallback = echo"
model long err400 "fallback = echo"
model limited echo "requests_per_minute = 1
	fallback = echo"
model busy hang "fallback = echo"
model forever long-100
model still stall
model late mute
model much usage
LIMITS="	tokens_per_month = 20000"
service_init
service_start
user_new alice
user_new bob

# Requests and tokens of one model.
expect "a request" 0 "one" as alice ask -m few "one"
expect "and another" 0 "two" as alice ask -m few "two"
expect "not a third in this minute" 6 "your 2 requests of model few" \
    as alice ask -m few "three"
expect "the refusal says when it ends" 6 "again in " as alice ask -m few "three"
expect "another model is not concerned" 0 "four" as alice ask -m echo "four"
expect "nor another user" 0 "five" as bob ask -m few "five"
expect "tokens are counted" 0 "w" as alice ask --no-store -m daily \
    "w w w w w w w w w w w w"
expect "not when those of the day are used" 6 \
    "your 10 tokens of model daily for this day" as alice ask -m daily "x"
expect "the refusal says until when" 6 "00:00 UTC, in " \
    as alice ask -m daily "x"
service_stop || true
service_start
expect "a restart forgets nothing" 6 \
    "your 10 tokens of model daily for this day" as alice ask -m daily "x"
expect "of anybody else" 0 "here" as bob ask -m daily "here"

# One user's own limits, over those of the service.
expect "a user's own limit" 0 "set" ctl user limit bob tokens-per-day=1
expect "counts for all models" 6 "your 1 tokens for this day" \
    as bob ask -m echo "x"
expect "is shown, with what is used of it" 0 "own       used" \
    ctl user show bob
expect "is taken back" 0 "set" ctl user limit bob tokens-per-day=default \
    requests-per-minute=1
as bob ask -m echo "x" >/dev/null 2>&1 || true
expect "one request in a minute, not two" 6 "your 1 requests for this minute" as bob ask -m few "x"
expect "and that is taken back, too" 0 "set" \
    ctl user limit bob requests-per-minute=default

# Another model.
expect "a model that cannot be reached has its fallback" 0 "as ever" \
    as alice ask -m gone "as ever"
expect "one whose key is refused, too" 0 "again" as alice ask -m guard "again"
expect "and that is said" 0 "model guard failed (" as alice ask -m guard "x"
expect "with the model that answers" 0 "echo answers instead" \
    as alice ask -m guard "x"
expect "the fallback has none of its own" 6 "cannot be reached" \
    as alice ask -m broke "x"
expect "none without one" 6 "cannot be reached" as alice ask -m alone "x"
expect "not after the first word" 7,6 "incomplete" as alice ask -m cut "x"
expect "not for what is too long" 6 "context" as alice ask -m long "x"
expect "within the limit" 0 "x" as alice ask -m limited "x"
expect "not beyond one's own limit" 6 "your 1 requests of model limited" \
    as alice ask -m limited "x"
expect "what answered is kept with the answer" 0 '"model": "echo"' \
    as alice ask --json -m guard "x"

# Time-outs: the first byte, silence, the whole.
expect "no first byte" 0 "did not begin to answer within 1 second" \
    as alice ask -m busy "in time"
cp "$T/expect.out" "$T/busy"
expect "a fallback for that" 0 "in time" cat "$T/busy"
expect "silence" 6,7 "sent nothing for 1 second" as alice ask -m still "x"
expect "an answer without end" 6,7 "took longer than 3 seconds" \
    as alice ask -m forever "x"

# Cancelled before the first word.
CLOISTER_HOME="$T/alice" "$B/cloister" ask -m late "x" </dev/null \
    >"$T/late" 2>&1 &
CLIENT=$!
wait_for grep -q '^mute asked' "$T/upstream.log" || bad "the provider is asked"
kill -INT $CLIENT
_status=0
wait $CLIENT || _status=$?
[ $_status -eq 130 ] && good "cancelled before the first word" ||
    bad "cancelled before the first word: status $_status"
wait_for grep -q '^mute .*aborted' "$T/upstream.log" &&
    good "the provider stops, too" || bad "the provider stops, too"

# All models together, as the provider counts: 1801 tokens each.
_i=0
while [ $_i -lt 12 ] && as bob ask --no-store -m much "x" >"$T/out" 2>&1; do
	_i=$((_i + 1))
done
expect "tokens of all models in a month" 0 "counted" cat "$T/out"
expect "then no model answers" 6 "your 20000 tokens for this month" \
    as bob ask -m few "x"
expect "nor its fallback" 6 "for this month" as bob ask -m gone "x"
expect "which is said for how long" 6 "-01 00:00 UTC, in " \
    as bob ask -m echo "x"
service_stop
