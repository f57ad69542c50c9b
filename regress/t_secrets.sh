#!/bin/sh
# Where secrets are: each only in the process that holds it, and no plaintext in
# any file.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh

service_new
KEY_FILE=$T/api.key
API_KEY=sk-canary-5d1f0b8c7e6a4f21
(umask 077; echo $API_KEY >"$KEY_FILE")
standin_start --key $API_KEY
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS="echo:echo"
service_init
service_start
user_new alice
expect "a chat" 0 "canary-prompt-71c2" as alice ask "canary-prompt-71c2"
expect_not "no prompt in a file of the service" "canary-prompt-71c2" \
    sh -c "cat \$(find '$T/state' -type f) '$T/cloisterd.log'"
expect_not "no user name in the database" "alice" \
    sh -c "cat \$(find '$T/state/db' -type f)"
expect_not "no API key in a file of the service" "$API_KEY" \
    sh -c "cat \$(find '$T/state' -type f) '$T/cloisterd.log'"

if [ "$(id -u)" != 0 ]; then
	service_stop
	exit 0		# another process's memory can be read by root alone
fi

# A session that stays, and tells its own secrets.
mkfifo "$T/hold"
CLOISTER_HOME="$T/alice" "$B/peer" "127.0.0.1:$PORT" "$T/alice/id_cloister" \
    <"$T/hold" >"$T/peer.out" 2>"$T/peer.err" &
PEER=$!
exec 9>"$T/hold"
wait_for grep -q '^c_ap' "$T/peer.out" || bad "the test peer connects"

hex() {
	printf %s "$1" | od -An -v -tx1 | tr -d ' \n'
}
{
	"$B/secrets" "$T/state"
	cat "$T/peer.out"
	echo "api-key $(hex $API_KEY)"
	echo "prompt $(hex canary-prompt-71c2)"
} >"$T/secrets"
PIDS_NOW=$(service_pids)
"$B/memscan" $PIDS_NOW <"$T/secrets" >"$T/found" ||
    bad "every process's memory can be read"

title() {
	tr '\0' ' ' <"/proc/$1/cmdline" 2>/dev/null
}
# holders SECRET: titles of the processes that have it.
holders() {
	awk -v s="$1" '$2 == s { print $1 }' "$T/found" | while read -r p; do
		title "$p" | sed 's/^cloisterd: //; s/ *$//; s/ .*//'
	done | sort -u | tr '\n' ' '
}
only() {
	_h=$(holders "$1")
	if [ "$_h" = "$2" ]; then
		good "$1 only in: $2"
	else
		bad "$1 is in: $_h, not: $2"
	fi
}
only host-key "keyd "
only storage-key "storaged "
only api-key "llmproxy "
for s in c_ap s_ap c_key s_key msgmac; do
	only $s "session "
done
only prompt ""
SESSION=$(awk '$2 == "c_ap" { print $1 }' "$T/found")
exec 9>&-
wait $PEER || true
wait_for sh -c "! kill -0 $SESSION 2>/dev/null" ||
    bad "the session worker leaves when its session ends"
"$B/memscan" $(service_pids) <"$T/secrets" >"$T/found"
for s in c_ap s_ap c_key s_key msgmac; do
	only $s ""
done
service_stop
