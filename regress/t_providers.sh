#!/bin/sh
# Providers that speak Anthropic's and Ollama's protocols, each by a process and
# a key of its own beside one that speaks OpenAI's: what comes is shown, what
# went wrong is said, and nothing incomplete looks complete.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh

# second NAME TYPE PATH MODEL...: a stand-in with a key of its own, a provider
# for it in $EXTRA, and a model NAME-MODEL for each.
second() {
	_name=$1 _type=$2 _path=$3
	shift 3
	(umask 077; echo "sk-$_name-test-key" >"$T/$_name.key")
	standin_start --delay-ms 2 --key "sk-$_name-test-key" \
	    --log "$T/$_name.log"
	EXTRA="$EXTRA
provider $_name {
	type = $_type
	url = \"http://127.0.0.1:$UPSTREAM_PORT$_path\"
	key_file = \"$T/$_name.key\"
	idle_timeout = 2
	first_byte_timeout = 4
}"
	for _m; do
		EXTRA="$EXTRA
model $_name-$_m {
	provider = $_name
	upstream = $_m
	system = \"Be brief.\"
	temperature = 0.5
	max_tokens = 50
}"
	done
}

service_new
EXTRA=
ALL="standin echo long-50 trunc trunceof err200 doneonly reason usage length
    nostream redirect garbage badutf8 hang flaky err401 err404 err500"
second anth anthropic /v1 $ALL crlf erranth
second olla ollama "" $ALL
EXTRA="$EXTRA
model olla-context {
	provider = olla
	upstream = echo
	context = 4096
}"
standin_start --delay-ms 2
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS=echo:echo
service_init
service_start
user_new alice

for p in anth olla; do
	expect "$p: an answer" 0 "hello $p" as alice ask -m $p-echo "hello $p"
	expect "$p: the system prompt is sent" 0 "and a system prompt" \
	    as alice ask -m $p-standin "hello"
	expect "$p: reasoning is not the answer" 0 "Then I speak." \
	    as alice ask -m $p-reason "x"
	expect "$p: a cut at the length limit" 0 "limit" \
	    as alice ask -m $p-length "x"
	expect "$p: an answer that is not streamed" 0 "one piece" \
	    as alice ask -m $p-nostream "x"
	expect "$p: tried again after 503" 0 "loaded" as alice ask -m $p-flaky "x"
	expect "$p: an error in the stream" 6,7 "slot failed" \
	    as alice ask -m $p-err200 "x"
	expect "$p: a stream that breaks off" 7,6 "" as alice ask -m $p-trunc "x"
	expect "$p: a stream that just ends" 7,6 "" as alice ask -m $p-trunceof "x"
	expect "$p: no last word of its own" 7,6 "" as alice ask -m $p-doneonly "x"
	expect "$p: garbage" 6,7 "" as alice ask -m $p-garbage "x"
	expect "$p: invalid UTF-8" 6,7 "" as alice ask -m $p-badutf8 "x"
	expect "$p: silence after the headers" 6 "" as alice ask -m $p-hang "x"
	expect "$p: a redirect is not followed" 6 "redirect" \
	    as alice ask -m $p-redirect "x"
	expect "$p: the provider refuses our key" 6 "key" \
	    as alice ask -m $p-err401 "x"
	expect "$p: no such upstream model" 6 "" as alice ask -m $p-err404 "x"
	expect "$p: error 500" 6 "" as alice ask -m $p-err500 "x"
	expect "$p: tokens are counted" 0 "" as alice ask -m $p-usage "x"
	expect "$p: the next question is served" 0 "still here" \
	    as alice ask -m $p-echo "still here"
	rm -f "$T/partial"
	CLOISTER_HOME="$T/alice" "$B/cloister" ask -m $p-long-50 "go on" \
	    </dev/null >"$T/partial" 2>/dev/null &
	CLIENT=$!
	wait_for test -s "$T/partial" || bad "$p: the answer begins"
	kill -9 $CLIENT
	wait $CLIENT 2>/dev/null || true
	if wait_for grep -q 'long-50 .*aborted' "$T/$p.log"; then
		good "$p: generation stops when the client is gone"
	else
		bad "$p: generation stops when the client is gone"
	fi
done
expect "anth: CRLF, comments, bytes one by one" 0 "" as alice ask -m anth-crlf "x"
expect "anth: a prompt that is too long" 6 "too long" \
    as alice ask -m anth-erranth "x"
expect "olla: a context of its own" 0 "with context" \
    as alice ask -m olla-context "with context"
expect "the provider beside them" 0 "beside" as alice ask -m echo "beside"
expect_not "no API key is in a log" "-test-key" \
    cat "$T/cloisterd.log" "$T/state/audit/audit.log"
service_stop
