#!/bin/sh
# What ask and chat take: system prompts, parameters, templates, files, which
# conversation; and what the model is asked then.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh

service_new
standin_start --delay-ms 0
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS="request:request echo:echo long:long-5"
EXTRA='
model limited {
	provider = upstream
	upstream = request
	system = "The rule of the house."
	max_tokens = 50
}'
service_init
service_start
user_new alice
user_new bob

# matches NAME REGEX COMMAND...: it succeeds, and its output has a line like that.
matches() {
	_name=$1 _regex=$2
	shift 2
	if "$@" >"$T/expect.out" 2>&1 && grep -q -e "$_regex" "$T/expect.out"
	then
		good "$_name"
	else
		bad "$_name: no line is like $_regex"
		sed 's/^/    /' "$T/expect.out" | cut -c 1-300 | tail -n 15
	fi
}
messages() {
	"$@" | jq -r '[.messages[] | .role + ":" + .content] | join("|")'
}
parameters() {
	"$@" | jq -c '[.temperature, .top_p, .max_tokens // .max_completion_tokens]'
}

matches "nothing is said that was not asked for" "^user:plain$" \
    messages as alice ask plain
matches "-s: a system prompt goes first" "^system:be brief|user:hello$" \
    messages as alice ask -s "be brief" hello
matches "... and holds for what follows" \
    "^system:be brief|user:hello|assistant:.*|user:more$" \
    messages as alice ask -c more
matches "... until another one takes its place" \
    "^system:in rhyme|user:hello|assistant:.*|user:now$" \
    messages as alice ask -c -s "in rhyme" now
ID=$(as alice list | awk 'NR == 1 { print $1 }')
expect "it is stored with the conversation" 0 "your system prompt" \
    as alice show "$ID"
expect "... which has its question's title" 0 "	hello" as alice list
as alice export "$ID" >"$T/export.json"
expect "... and is exported with it" 0 '"role":"system"' \
    cat "$T/export.json"
NEW=$(as bob import "$T/export.json")
matches "... and imported" "^system:in rhyme|user:hello|" \
    messages as bob ask --cid "$NEW" -m request again
matches "the model's own stays first" \
    "^system:The rule of the house.|system:be brief|user:x$" \
    messages as alice ask -m limited -s "be brief" x
matches "--no-store with -s" "^system:be brief|user:x$" \
    messages as alice ask --no-store -s "be brief" x
before=$(as alice list | wc -l)
as alice ask --no-store "not kept" >/dev/null
matches "--no-store keeps nothing" "^$before$" sh -c \
    "CLOISTER_HOME=$T/alice $B/cloister list | wc -l"

matches "-o: temperature, top_p, max_tokens" '^\[0.7,0.25,12\]$' \
    parameters as alice ask -o temperature=0.7 -o top_p=0.25 \
    -o max_tokens=12 x
matches "-o temperature=0 is said" '^\[0\(.0\)\?,null,null\]$' \
    parameters as alice ask -o temperature=0 x
matches "without -o nothing is" '^\[null,null,null\]$' \
    parameters as alice ask x
expect "-o: more than the model gives" 6 "gives 50 at most" \
    as alice ask -m limited -o max_tokens=51 x
matches "-o: as much as it gives" '^\[null,null,50\]$' \
    parameters as alice ask -m limited -o max_tokens=50 x
expect "-o: no such parameter" 2 "there are max_tokens, temperature and top_p" \
    as alice ask -o heat=1 x
expect "-o: out of range" 2 "temperature is a number from 0 to 2" \
    as alice ask -o temperature=3 x

(umask 077; cat >>"$T/alice/config" <<CONF
template code {
	model = limited
	system = "Only code."
	temperature = 0.2
	max_tokens = 40
}
template bare {
}
CONF
)
matches "-t: model, system prompt" \
    "^system:The rule of the house.|system:Only code.|user:x$" \
    messages as alice ask -t code x
matches "-t: parameters" '^\[0.2,null,40\]$' \
    parameters as alice ask -t code x
matches "options win over a template" \
    "^system:be brief|user:x$" \
    messages as alice ask -t code -m request -s "be brief" x
matches "... in parameters too" '^\[0.2,null,7\]$' \
    parameters as alice ask -t code -o max_tokens=7 x
expect "no such template: those that there are" 2 "there are:" \
    as alice ask -t none x

echo "first file" >"$T/one.txt"
echo "second file" >"$T/two.txt"
matches "-f twice: both, with their names" \
    "one.txt:.*first file.*two.txt:.*second file" \
    sh -c "CLOISTER_HOME=$T/alice $B/cloister ask -m echo -f $T/one.txt \
    -f $T/two.txt 'compare these' | tr '\n' ' '"
matches "-f with what is piped in" "words.*piped.*first file" \
    sh -c "echo piped | CLOISTER_HOME=$T/alice $B/cloister ask -m echo \
    -f $T/one.txt words | tr '\n' ' '"
matches "-f: chat's first question has it" "question.*first file" \
    sh -c "echo question | CLOISTER_HOME=$T/alice $B/cloister chat -m echo \
    -f $T/one.txt | tr '\n' ' '"
expect "-f: no such file" 2 "no-such-file: No such file" \
    as alice ask -f "$T/no-such-file" x
head -c 100 /dev/urandom >"$T/binary"
expect "-f: no text" 2 "not text in UTF-8" as alice ask -f "$T/binary" x

as alice ask "a conversation of its own" >/dev/null
ID=$(as alice list | awk 'NR == 1 { print $1 }')
as alice ask "another one" >/dev/null
matches "--cid: by the beginning of its id" \
    "^user:a conversation of its own|assistant:.*|user:go on$" \
    messages as alice ask --cid "$(echo "$ID" | cut -c1-12)" "go on"
matches "-c: the one before" \
    "^user:a conversation of its own|.*|user:and on$" \
    messages as alice ask -c "and on"
expect "--cid: none" 1 "no such conversation; see \`cloister list'" \
    as alice ask --cid 0000000000 x
matches "chat -s, -o: in each question of it" "^2$" \
    sh -c "printf 'one\ntwo\n' | CLOISTER_HOME=$T/alice $B/cloister chat \
    -s 'be brief' -o temperature=0.5 | grep '\"temperature\":0.5' |
    grep -c 'be brief'"

as alice ask -v x >"$T/steps" 2>&1
for step in "using $T/alice" "connecting to" "received the server's hello, suite" \
    "proved that it holds key SHA256:" "sent your key and its signature" \
    "authenticated" "welcome, alice" "tokens in"; do
	expect "-v: $step" 0 "$step" grep -F "debug: " "$T/steps"
done
expect "nobody there: what to look at" 3 "does cloisterd run there" \
    as alice -H "127.0.0.1:$(free_port)" ask x
service_stop
