#!/bin/sh
# Upstreams that misbehave in every known way: a clear error, never an answer
# that looks complete, and the next question is served.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh

service_new
KEY_FILE=$T/api.key
(umask 077; echo sk-upstream-test-key >"$KEY_FILE")
standin_start --delay-ms 2 --key sk-upstream-test-key --log "$T/upstream.log"
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS="echo:echo long:long-50"
for m in slow err400 err401 err429 err500 err503loading errstr errobj \
    err200 trunc trunceof doneonly crlf reason nullc redirect garbage huge \
    badutf8 hang usage length nostream err404 errquota flaky; do
	MODELS="$MODELS $m:$m"
done
PROVIDER_EXTRA="	idle_timeout = 2
	first_byte_timeout = 4"
service_init
service_start
user_new alice

expect "a slow first byte" 0 "" as alice ask -m slow "x"
expect "context overflow" 6 "context" as alice ask -m err400 "x"
expect "the provider refuses our key" 6 "key" as alice ask -m err401 "x"
expect "rate limited" 6 "" as alice ask -m err429 "x"
expect "error 500" 6 "" as alice ask -m err500 "x"
expect "still loading" 6 "" as alice ask -m err503loading "x"
expect "an error that is a string" 6 "" as alice ask -m errstr "x"
expect "an error object of vLLM" 6 "" as alice ask -m errobj "x"
expect "no such upstream model" 6 "" as alice ask -m err404 "x"
expect "quota" 6 "" as alice ask -m errquota "x"
expect "an error inside of the stream" 6,7 "" as alice ask -m err200 "x"
expect "a stream that breaks off" 7,6 "" as alice ask -m trunc "x"
expect "a stream that just ends" 7,6 "" as alice ask -m trunceof "x"
expect "[DONE] without a finish reason" 7,6 "" as alice ask -m doneonly "x"
expect "CRLF, comments, bytes one by one" 0 "" as alice ask -m crlf "x"
expect "reasoning" 0 "" as alice ask -m reason "x"
expect "null content, usage without choices" 0 "" as alice ask -m nullc "x"
expect "a redirect is not followed" 6 "redirect" as alice ask -m redirect "x"
expect "garbage" 6,7 "" as alice ask -m garbage "x"
expect "a line of two megabytes" 6 "" as alice ask -m huge "x"
expect "invalid UTF-8" 6,7 "" as alice ask -m badutf8 "x"
expect "silence after the headers" 6 "" as alice ask -m hang "x"
expect "a cut at the length limit" 0 "" as alice ask -m length "x"
expect "an answer that is not streamed" 0 "" as alice ask -m nostream "x"
expect "tried again after 503" 0 "" as alice ask -m flaky "x"
expect "the next question is served" 0 "still here" as alice ask "still here"
expect_not "the API key is in no log" "sk-upstream-test-key" \
    cat "$T/cloisterd.log" "$T/state/audit/audit.log"

# The client goes away in the middle of an answer.
standin_count() {
	grep -c "$1" "$T/upstream.log" || true
}
CLOISTER_HOME="$T/alice" "$B/cloister" ask -m long "go on for ever" </dev/null >"$T/partial" 2>/dev/null &
CLIENT=$!
wait_for test -s "$T/partial" || bad "the answer begins"
kill -9 $CLIENT
wait $CLIENT 2>/dev/null || true
if wait_for grep -q 'long-50 .*aborted' "$T/upstream.log"; then
	good "generation stops when the client is gone"
else
	bad "generation stops when the client is gone"
fi
expect "what came is kept, and said to be cancelled" 0 "cancel" \
    wait_show alice
service_stop
