#!/bin/sh
# Signed conversations: questions signed by the user's keyd, stored, exported,
# verified without the server; exports that were tampered with.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh

service_new
standin_start
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS="echo:echo broken:trunc"
service_init
service_start
user_new alice
user_new bob

# talk NAME: two signed questions and an unsigned one; the export is $T/NAME.json.
talk() {
	as alice ask --sign -m echo "the first of $1" >/dev/null
	as alice ask --sign -c -m echo "the second of $1" >/dev/null
	as alice ask -c -m echo "the third of $1" >/dev/null
	ID=$(as alice list | awk 'NR == 1 { print $1 }')
	as alice export --signed "$ID" >"$T/$1.json"
}

expect "a signed question" 0 "the first one" \
    as alice ask --sign -m echo "the first one"
echo 'sign = always' >>"$T/alice/config"
expect "as config says, going on" 0 "signed as message 3" \
    as alice -v ask -c -m echo "the second one"
expect "config overruled" 0 "the third one" \
    as alice ask -c --no-sign -m echo "the third one"
expect "behind an unsigned one" 0 "signed as message 7" \
    as alice -v ask -c -m echo "the fourth one"
expect "nothing stored, nothing signed" 0 "not signed" \
    as alice -v ask --no-store -m echo "the fifth one"
expect "--sign without a place to keep it" 2 "exclude each other" \
    as alice ask --sign --no-store "x"
ID=$(as alice list | awk 'NR == 1 { print $1 }')
expect "shown as any other" 0 "the fourth one" as alice show "$ID"
echo 'sign = ask' >>"$T/bob/config"
expect "no terminal to ask on" 2 "--sign or --no-sign" \
    setsid -w env CLOISTER_HOME="$T/bob" "$B/cloister" ask -m echo "x"
sed -i '/^sign/d' "$T/alice/config" "$T/bob/config"
echo 'sign = maybe' >>"$T/bob/config"
expect "another word in the configuration" 2 "always, ask or off" as bob list
sed -i '/^sign/d' "$T/bob/config"

service_stop || bad "a clean stop has status 0"
service_start
as alice export --signed "$ID" >"$T/first.json"
expect "an export verifies" 0 "ok: whole" as alice verify "$T/first.json"
expect "what is not signed is told" 0 "ok message 5: not signed" \
    as alice verify "$T/first.json"
expect "and what that proves" 0 "not who held the keys" \
    as alice verify "$T/first.json"
talk good
talk other

# A system prompt and a withdrawal are signed over, too.
as alice ask --sign -s "be brief" -m echo "the first with a system prompt" >/dev/null
as alice ask --sign -c -s "be long" -m echo "the second" >/dev/null
as alice ask --sign -c -m echo "the third" >/dev/null
ID=$(as alice list | awk 'NR == 1 { print $1 }')
as alice export --signed "$ID" >"$T/system.json"

# An answer that breaks off has a receipt that says so.
as alice ask --sign -m broken "the first of broken" >/dev/null 2>&1 || :
ID=$(as alice list | awk 'NR == 1 { print $1 }')
as alice export --signed "$ID" >"$T/broken.json"

# The same word from the second verifier, which knows docs/protocol.md alone.
second() {
	python3 regress/verify_export.py "$1" "$FINGERPRINT" \
	    "$T/alice/id_cloister.pub"
}

service_stop || bad "a clean stop has status 0"
expect "without the server" 0 "ok: whole" as alice verify "$T/good.json"
expect "bob has other keys" 1 "none of those" as bob verify "$T/good.json"
expect "bob, told whose keys" 0 "ok: whole" \
    as bob verify "$T/good.json" "$T/alice/id_cloister.pub"
: >"$T/bob/known_servers"
expect "a server that is not known" 1 "not known here" \
    as bob verify "$T/good.json" "$T/alice/id_cloister.pub"
expect "and that is told" 0 "ok: whole" as bob verify --server-key \
    "$FINGERPRINT" "$T/good.json" "$T/alice/id_cloister.pub"

expect "receipts" 0 "ok message 4: receipt of the server: complete" \
    as alice verify "$T/good.json"
expect "an incomplete answer" 7 "NOT COMPLETE" as alice verify "$T/broken.json"
expect "with system prompts" 0 "3 questions and 3 receipts" \
    as alice verify "$T/system.json"
expect "the second verifier: with system prompts" 0 "ok: 3" \
    second "$T/system.json"
expect "the second verifier: a good export" 0 "ok: 2" second "$T/good.json"
expect "the second verifier: one with gaps" 0 "ok: 3" second "$T/first.json"
expect "the second verifier: an incomplete answer" 7 "ok: 1" \
    second "$T/broken.json"

# What each change is called.
named() {
	case $1 in
	"a question edited" | "a signature flipped")
		echo "BAD message 3: its text is not" ;;
	"an answer edited")
		echo "BAD message 2: its text is not the answer that" ;;
	"another time" | "other tokens")
		echo "of messages 2 to 2 something was changed" ;;
	"another model" | "another finish" | "an incomplete answer as complete")
		echo "its receipt says another model or another end" ;;
	"an answer of another conversation")
		echo "its receipt is of another conversation" ;;
	"a receipt flipped")
		echo "BAD message 2: its receipt was changed" ;;
	"a receipt cut")
		echo "BAD message 2: its receipt is damaged" ;;
	"a receipt said to be complete")
		echo "BAD message 2: its receipt was changed" ;;
	"the last answer edited")
		echo "of messages 4 to 6 something is not as" ;;
	"a question dropped")
		echo "BAD message 3: it was dropped" ;;
	"an answer dropped")
		echo "BAD message 2: it was dropped" ;;
	"question and answer dropped")
		echo "this one and all before 3 were dropped" ;;
	"the same, renumbered")
		echo "it was signed as message 3: it was moved" ;;
	"the end dropped")
		echo "with 6 messages and ends with number 5" ;;
	"the end dropped, and counted")
		echo "what its exporter signed of it was changed" ;;
	"two answers swapped" | "a message twice")
		echo "they were reordered, or one is there twice" ;;
	"two questions swapped, renumbered")
		echo "BAD message 1: it was signed as message 3" ;;
	"a question of another conversation" | "the end of another")
		echo "or this one is of another conversation" ;;
	"no signed end")
		echo "it was not exported with --signed" ;;
	"a signature cut" | "a signature of no hexadecimal")
		echo "BAD message 3: its signature is damaged" ;;
	*)
		echo "BAD" ;;
	esac
}
python3 regress/tamper.py | while read -r CASE; do
	[ "$CASE" != "an incomplete answer as complete" ] || continue
	python3 regress/tamper.py "$CASE" "$T/good.json" "$T/other.json" \
	    >"$T/bad.json"
	expect "tampered: $CASE" 1 "$(named "$CASE")" \
	    as alice verify "$T/bad.json"
	expect "the second verifier: $CASE" 1 "BAD" second "$T/bad.json"
done
# An answer that broke off never becomes a complete one.
for CASE in "an incomplete answer as complete" "a receipt said to be complete" \
    "a receipt flipped"; do
	python3 regress/tamper.py "$CASE" "$T/broken.json" "$T/other.json" \
	    >"$T/bad.json"
	expect "tampered: a broken one: $CASE" 1 "$(named "$CASE")" \
	    as alice verify "$T/bad.json"
	expect "the second verifier: a broken one: $CASE" 1 "BAD" \
	    second "$T/bad.json"
done
head -c 5000 "$T/good.json" >"$T/bad.json"
expect "half a file" 1 "not JSON" as alice verify "$T/bad.json"
