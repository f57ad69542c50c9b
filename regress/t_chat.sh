#!/bin/sh
# The main job: ask, chat, list, show, across a restart; two users; who is
# refused and how.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh

service_new
standin_start
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS="echo:echo other:stand-in"
service_init
service_start
user_new alice
user_new bob

expect "an answer" 0 "what alice says" as alice ask "what alice says"
expect "the other model" 0 "stand-in" as alice ask -m other "hello"
expect "models are listed" 0 "other" as alice models
echo "from a pipe" | expect "standard input is added" 0 "from a pipe" \
    as alice ask -m echo "look at this:"
echo "in a file" >"$T/file.txt"
expect "a file goes along" 0 "in a file" \
    as alice ask -m echo --no-store -f "$T/file.txt" "this is"
# Of the program alone its beginning: the whole is longer than a prompt may be.
head -c 4096 "$B/cloister" >"$T/program"
expect "a file that is no text" 2 "not text" \
    as alice ask -m echo -f "$T/program" "this is"
expect "a file without end" 2 "too long" as alice ask -m echo -f /dev/zero "x"
expect "an answer as JSON" 0 '"answer": "say \"this\"\n' \
    as alice ask -m echo --no-store --json 'say "this"
'
expect "an error leaves JSON too" 6 '"finish": "error"' \
    as alice ask -m nothing --no-store --json "x"
code=$(as alice ask -m echo --no-store -x 'before
```sh
echo code
```
after' 2>/dev/null)
if [ "$code" = "echo code" ]; then
	good "code alone"
else
	bad "code alone: $code"
fi
expect "tokens are told" 0 "tokens out" as alice ask -m echo --no-store -u "x"
expect "a conversation goes on" 0 "second turn" \
    as alice ask -m echo -c "second turn"
expect "an unknown model" 6 "no such model" as alice ask -m nothing "x"
expect "bob asks" 0 "what bob says" as bob ask "what bob says"

ID=$(as alice list | awk 'NR == 1 { print $1 }')
expect "list has the newest first" 0 "look at this" as alice list
expect "show has both turns" 0 "second turn" as alice show "$ID"
expect "show has the first turn" 0 "from a pipe" as alice show "$ID"
expect_not "bob's list has nothing of alice's" "alice" as bob list
expect "bob cannot show alice's conversation" 6,1 "no such conversation" \
    as bob show "$ID"
expect "bob cannot go on with it" 6,1 "no such conversation" \
    as bob ask --cid "$ID" "x"

service_stop || bad "a clean stop has status 0"
service_start
expect "the conversation is there after a restart" 0 "second turn" \
    as alice show "$ID"
expect "and goes on" 0 "third turn" as alice ask -m echo --cid "$ID" "third turn"
expect "it now has three turns" 0 "third turn" as alice show "$ID"
expect "bob's too" 0 "what bob says" as bob list

# Somebody whom the server does not know.
mkdir -m 700 "$T/eve"
CLOISTER_HOME="$T/eve" "$B/cloister" keygen -N >/dev/null
user_home eve
expect "an unknown key is refused" 5 "refused" as eve ask "let me in"
# A server whose key is not the pinned one.
(umask 077; echo "127.0.0.1:$PORT SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" \
    >"$T/bob/known_servers")
expect "a changed server key is refused" 4,3 "" as bob ask "x"
# First contact without a terminal.
: >"$T/bob/known_servers"
expect "an unknown server is refused without a terminal" 4 "$FINGERPRINT" \
    as bob ask "x" </dev/null
echo "first_contact = accept" >>"$T/bob/config"
expect "first contact, accepted by the configuration" 0 "hello again" \
    as bob ask "hello again"
expect "and remembered" 0 "$FINGERPRINT" cat "$T/bob/known_servers"

expect "status names each role" 0 "storaged" ctl status
expect "users are listed" 0 "alice" ctl user list
expect "a user twice" 1 "" ctl user add alice
expect "a key twice" 1 "" ctl key add bob "$T/alice/id_cloister.pub"
expect "a bad user name" 1 "" ctl user add '../x'
expect "no such command" 2 "usage" ctl frobnicate
expect "accepts are in the audit log" 0 "auth.accept" \
    grep '"user":"alice"' "$T/state/audit/audit.log"
expect "refusals are in the audit log" 0 "auth.refuse" \
    cat "$T/state/audit/audit.log"
expect_not "the audit log has no prompt" "what alice says" \
    cat "$T/state/audit/audit.log"
service_stop
