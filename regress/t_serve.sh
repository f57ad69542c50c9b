#!/bin/sh
# cloister serve: OpenAI's API on this machine, over one encrypted session.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh

service_new
standin_start --delay-ms 5 --log "$T/upstream.log"
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS="echo:echo standin:standin long:long-50 err400:err400 trunc:trunc
    reason:reason length:length call:call look:look tools:tools"
PNG=iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==
for _t in anthropic ollama; do
	EXTRA="${EXTRA:-}
provider $_t {
	type = $_t
	url = \"http://127.0.0.1:$UPSTREAM_PORT$([ $_t = ollama ] || echo /v1)\"
	user = \"$((UID_BASE + ${#_t} + 20))\"
}"
	for _m in call look; do
		EXTRA="$EXTRA
model $_t-$_m {
	provider = $_t
	upstream = $_m
}"
	done
done
service_init
service_start
user_new alice

serve() {
	rm -f "$T/serve.out"	# what an earlier one said
	CLOISTER_HOME="$T/alice" "$B/cloister" serve "$@" \
	    >"$T/serve.out" 2>&1 &
	SERVE=$!
	PIDS="$PIDS $SERVE"
	wait_for grep -q "^cloister: serving" "$T/serve.out" || {
		bad "serve starts"
		cat "$T/serve.out"
	}
	TOKEN=$(cat "$T/alice/serve_token")
}
# api PATH CURL-OPTIONS...: its body, then its status on a line.
api() {
	_path=$1
	shift
	curl -s -m 20 -w '\nstatus %{http_code}\n' \
	    -H "Authorization: Bearer ${KEY:-$TOKEN}" "$@" \
	    "http://127.0.0.1:$API/v1$_path"
}
# chat MODEL TEXT [MEMBERS]
chat() {
	api /chat/completions -d "{\"model\":\"$1\",\"messages\":[{\"role\":
	    \"system\",\"content\":\"Be brief.\"},{\"role\":\"user\",\"content\":
	    [{\"type\":\"text\",\"text\":\"$2\"}]}]${3:+,$3}}"
}

API=$(free_port)
serve --listen "$API"
expect "models" 0 '"id":"standin","object":"model"' api /models
expect "an answer that is not streamed" 0 '"content":"hello there"' \
    chat echo "hello there"
expect "its reason to finish" 0 '"finish_reason":"stop"' chat echo "x"
expect "its usage" 0 '"total_tokens":' chat echo "x"
expect "the system prompt goes along" 0 "and a system prompt" chat standin "x"
expect "cut by the limit" 0 '"finish_reason":"length"' chat length "x"
expect "reasoning stands apart" 0 '"reasoning_content":"First I think "' \
    chat reason "x"
chat echo "one two three" '"stream":true,"stream_options":{"include_usage":true}' \
    >"$T/stream"
expect "a stream says who speaks" 0 '"delta":{"role":"assistant"' cat "$T/stream"
expect "a stream has deltas" 0 '"delta":{"content":"two ' cat "$T/stream"
expect "a stream has usage" 0 '"choices":[],"usage":{' cat "$T/stream"
expect "a stream ends" 0 "data: [DONE]" tail -n 5 "$T/stream"
expect "no such model" 0 "status 404" chat nothing "x"
expect "it is said in OpenAI's shape" 0 '"code":"model_not_found"' \
    chat nothing "x"
expect "no such model, streamed" 0 "status 404" chat nothing "x" '"stream":true'
expect "context overflow" 0 '"code":"context_length_exceeded"' chat err400 "x"
expect "a broken answer is an error" 0 "status 502" chat trunc "x"
chat trunc "x" '"stream":true' >"$T/stream"
expect "and one in a stream" 0 '"error":{' cat "$T/stream"
expect_not "which does not end well" "[DONE]" cat "$T/stream"
# Tools and images, as each kind of provider has them.
TOOLS='"tools":[{"type":"function","function":{"name":"say","description":
    "Says it.","parameters":{"type":"object","properties":{"text":{"type":"string"}}}}}]'
image() {
	api /chat/completions -d "{\"model\":\"$1\",\"messages\":[{\"role\":
	    \"user\",\"content\":[{\"type\":\"text\",\"text\":\"look\"},{\"type\":
	    \"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,$PNG\"}
	    }]}]}"
}
result() {
	api /chat/completions -d "{\"model\":\"$1\",$TOOLS,\"messages\":[{\"role\":
	    \"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":null,
	    \"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\",\"function\":{
	    \"name\":\"say\",\"arguments\":\"{}\"}}]},{\"role\":\"tool\",
	    \"tool_call_id\":\"c1\",\"content\":\"42 apples\"}]}"
}
for p in "" anthropic- ollama-; do
	chat ${p}call "pears" "$TOOLS" >"$T/call"
	expect "${p}call: the tool is called" 0 '"name":"say"' cat "$T/call"
	expect "${p}call: with arguments" 0 \
	    '"arguments":"{\"text\":\"pears\"}"' cat "$T/call"
	expect "${p}call: and an id" 0 '"id":"' \
	    grep -o '"id":"[a-z]*_' "$T/call"
	expect "${p}call: which is why it ends" 0 \
	    '"finish_reason":"tool_calls"' cat "$T/call"
	chat ${p}call "plums" "\"stream\":true,$TOOLS" >"$T/call"
	expect "${p}call: streamed, it begins" 0 '"index":0' \
	    grep '"name":"say"' "$T/call"
	expect "${p}call: streamed, it goes on" 0 'plums' \
	    grep '"tool_calls":' "$T/call"
	expect "${p}call: streamed, it ends" 0 '"finish_reason":"tool_calls"' \
	    cat "$T/call"
	expect "${p}call: what the tool gave" 0 "The tool said: 42 apples" \
	    result ${p}call
	expect "${p}look: an image" 0 "I see 1 images of ${#PNG}" \
	    image ${p}look
done
expect "a choice that the provider cannot be told" 0 "cannot be told" \
    chat ollama-call "x" "$TOOLS,\"tool_choice\":\"required\""
expect "it is said in OpenAI's shape, too" 0 '"type":"invalid_request_error"' \
    chat ollama-call "x" "$TOOLS,\"tool_choice\":\"required\""
expect "a call of tools that there are not" 0 '"code":"incomplete"' \
    chat tools "x"
expect "an image from elsewhere is not fetched" 0 "nothing is fetched" \
    api /chat/completions -d '{"model":"look","messages":[{"role":"user",
    "content":[{"type":"image_url","image_url":{"url":
    "http://127.0.0.1/x.png"}}]}]}'
expect "a tool that is none" 0 '"param":"tools"' \
    chat echo "x" '"tools":[{"type":"function"}]'
expect "temperature out of range" 0 '"param":"temperature"' \
    chat echo "x" '"temperature":3'
expect "no JSON" 0 "status 400" api /chat/completions -d '{"model":'
expect "no messages" 0 '"param":"messages"' api /chat/completions \
    -d '{"model":"echo","messages":[]}'
KEY=wrong expect "a wrong key" 0 "status 401" api /models
expect "no key" 0 "401" curl -s -o /dev/null -w '%{http_code}' \
    "http://127.0.0.1:$API/v1/models"
expect "another host's name" 0 "status 403" api /models -H "Host: evil.example"
expect "no permission for other origins" 0 "status 405" api /models -X OPTIONS
expect "an unknown path" 0 "status 404" api /embeddings -d '{}'
expect "GET of a chat" 0 "status 405" api /chat/completions
head -c 5000000 /dev/zero | tr '\0' x >"$T/big"
expect "a body that is too long" 0 "status 413" api /chat/completions \
    -H "Expect:" --data-binary "@$T/big"

# A client that leaves, while it waits and in a stream.
curl -s -N -H "Authorization: Bearer $TOKEN" -d '{"model":"long","stream":true,
    "messages":[{"role":"user","content":"x"}]}' \
    "http://127.0.0.1:$API/v1/chat/completions" >"$T/partial" 2>/dev/null &
CURL=$!
if wait_for grep -q word5 "$T/partial"; then
	kill $CURL
	wait_for grep -q '^long-50 .*aborted' "$T/upstream.log" &&
	    good "generation stops when a program leaves a stream" ||
	    bad "generation stops when a program leaves a stream"
else
	bad "a stream begins"
fi
wait $CURL 2>/dev/null || true
curl -s -m 1 -H "Authorization: Bearer $TOKEN" -o /dev/null \
    -d '{"model":"long","messages":[{"role":"user","content":"x"}]}' \
    "http://127.0.0.1:$API/v1/chat/completions" || true
aborted_twice() {
	[ "$(grep -c '^long-50 .*aborted' "$T/upstream.log")" -ge 2 ]
}
wait_for aborted_twice && good "and when one leaves while it waits" ||
    bad "and when one leaves while it waits"

# Many at once over one session.
_curls=
for _i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 \
    27 28 29 30 31 32; do
	chat echo "parallel $_i." >"$T/parallel.$_i" &
	_curls="$_curls $!"
done
wait $_curls || true
_n=0
for _i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 \
    27 28 29 30 31 32; do
	! grep -qF "\"content\":\"parallel $_i.\"" "$T/parallel.$_i" ||
	    _n=$((_n + 1))
done
[ $_n -eq 32 ] && good "32 at once, each its own answer" ||
    bad "32 at once: $_n have their own answer"
[ "$(grep -c '"event":"auth.accept"' "$T/state/audit/audit.log")" -eq 1 ] &&
    good "over one session" || bad "over one session"
expect "nothing is stored" 0 "" as alice list
[ ! -s "$T/expect.out" ] && good "no conversation" || bad "no conversation"

# The server goes and comes back.
service_stop || true
service_start
expect "another session when the server is back" 0 '"content":"again"' \
    chat echo "again"
service_stop || true
expect "and a clear error without it" 0 '"code":"cloister_unreachable"' \
    chat echo "x"
service_start
kill -INT $SERVE
wait $SERVE && good "^C ends it" || bad "^C ends it"

serve --unix "$T/alice/api"
expect "a UNIX socket" 0 '"content":"by path"' curl -s -m 20 \
    -H "Authorization: Bearer $TOKEN" --unix-socket "$T/alice/api" \
    -d '{"model":"echo","messages":[{"role":"user","content":"by path"}]}' \
    "http://x/v1/chat/completions"
expect "which is its user's alone" 0 "srwx------" ls -l "$T/alice/api"
kill -INT $SERVE
wait $SERVE || true
expect "other addresses are not served" 2 "own addresses" \
    as alice serve --listen 0.0.0.0:$API
chmod 644 "$T/alice/serve_token"
expect "a token that others can read" 2 "nobody else can read" as alice serve
service_stop
