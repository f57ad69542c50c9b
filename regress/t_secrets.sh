#!/bin/sh
# Where secrets are: each only in the process that holds it and only as long as
# it is needed, no plaintext in any file, no secret in a core, an argument or an
# environment.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh

service_new
KEY_FILE=$T/api.key
API_KEY=sk-canary-5d1f0b8c7e6a4f21
FIRST=canary-prompt-71c2		# stored, shown, listed
SECOND=canary-second-93ab		# asked in a session that stays
FLIGHT=canary-flight-55de		# in an answer under way
(umask 077; echo $API_KEY >"$KEY_FILE")
standin_start --key $API_KEY --delay-ms 20
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS="echo:echo err500:err500"
mkdir -m 777 "$T/cwd"
UNDER="env -C $T/cwd"
service_init
service_start
user_new alice
expect "a chat" 0 "$FIRST" as alice ask -s "be brief about $FIRST" $FIRST
CONV=$(as alice list | awk 'NR == 1 { print $1 }')
expect "it is shown" 0 "$FIRST" as alice show "$CONV"

in_files() {
	find "$T/state" "$T/cloisterd.log" -type f -exec cat {} +
}
expect_not "no prompt in a file of the service" $FIRST in_files
expect_not "no API key in a file of the service" $API_KEY in_files
expect_not "no user name in the database" alice \
    find "$T/state/db" -type f -exec cat {} +

if [ "$(id -u)" != 0 ]; then
	service_stop
	exit 0		# another process's memory can be read by root alone
fi

hex() {
	printf %s "$1" | od -An -v -tx1 | tr -d ' \n'
}

# search PID...: "PID NAME" in $T/found for each secret of $T/secrets.
search() {
	"$B/memscan" "$@" <"$T/secrets" >"$T/found" ||
	    bad "every process's memory can be read"
}

# The name of a process: a role, session, kex; client-keyd; a program.
title() {
	tr '\0' ' ' <"/proc/$1/cmdline" 2>/dev/null |
	    sed 's/^cloisterd: //; s/^cloister: /client-/; s/ .*//; s,.*/,,'
}

# holders SECRET: the names of the processes that have it.
holders() {
	awk -v s="$1" '$2 == s { print $1 }' "$T/found" | while read -r p; do
		title "$p"
		echo
	done | sed '/^$/d' | sort -u | tr '\n' ' ' | sed 's/ $//'
}

# only WHEN SECRET NAMES: exactly these have it.
only() {
	_h=$(holders "$2")
	if [ "$_h" = "$3" ]; then
		good "$1: $2 only in: $3"
	else
		bad "$1: $2 is in: $_h, not: $3"
	fi
}

# within WHEN SECRET NAMES: some of these have it, and nobody else.
within() {
	_out=
	for _p in $(holders "$2"); do
		case " $3 " in
		*" $_p "*) ;;
		*) _out="$_out $_p" ;;
		esac
	done
	if [ -z "$_out" ]; then
		good "$1: $2 in none but: $3"
	else
		bad "$1: $2 is in:$_out"
	fi
}

# peer_start [OPTION...]: a session that tells its secrets; lines to fd 9.
peer_start() {
	rm -f "$T/hold" "$T/peer.out"
	mkfifo "$T/hold"
	CLOISTER_HOME="$T/alice" "$B/peer" "$@" "127.0.0.1:$PORT" \
	    "$T/alice/id_cloister" <"$T/hold" >"$T/peer.out" \
	    2>"$T/peer.err" &
	PEER=$!
	exec 9>"$T/hold"
}

SESSION_SECRETS="c_ap s_ap c_key s_key msgmac"
HANDSHAKE_SECRETS="ecdhe hs_secret c_hs s_hs w wd ms"
VAULT_KEYS="storage-key share-b prf-key chain-key mset-key meta-key"

peer_start
wait_for grep -q '^session' "$T/peer.out" || bad "the test peer connects"
cp -R "$T/state/db" "$T/copy"
{
	"$B/secrets" "$T/state" "$T/copy"
	sed '/^session/d' "$T/peer.out"
	echo "api-key $(hex $API_KEY)"
	echo "audit-key $(od -An -v -tx1 "$T/state/keys/audit.key" |
	    tr -d ' \n')"
	for c in FIRST SECOND FLIGHT; do
		eval "echo prompt-$c \$(hex \$$c)"
	done
} >"$T/secrets"
if [ "$(grep -c '^[a-z_A-Z-]* [0-9a-f]*$' "$T/secrets")" -ge 32 ]; then
	good "the secrets are known"
else
	bad "the secrets are known: $(cut -d ' ' -f 1 "$T/secrets" | tr '\n' ' ')"
fi

W="in a session"
search $(service_pids) $PEER
only "$W" host-key keyd
only "$W" wrap-key ""
only "$W" share-a ""
only "$W" kek ""
only "$W" api-key llmproxy
for s in $VAULT_KEYS; do
	only "$W" $s storaged
done
within "$W" epoch-key storaged
within "$W" data-key storaged
only "$W" audit-key ""		# the first: later lines need others
for s in $SESSION_SECRETS; do
	within "$W" $s "peer session"
done
only "$W" c_ap "peer session"
for s in $HANDSHAKE_SECRETS exporter resumption; do
	only "$W" $s ""
done
for s in sign-key client-wrap-key message-key; do
	only "$W" $s ""
done
only "$W" prompt-FIRST ""
SESSION=$(awk '$2 == "c_ap"' "$T/found" | cut -d ' ' -f 1 |
    grep -vx $PEER)

W="after an answer"
echo "echo: $SECOND" >&9
wait_for grep -q '^answered' "$T/peer.out" || bad "the test peer is answered"
search $(service_pids)
# The vault has titles, as data keys, while their user is there.
within "$W" prompt-SECOND storaged
within "$W" data-key storaged
W="after an error"
echo "err500: $SECOND" >&9
wait_for grep -q '^failed' "$T/peer.out" || bad "the test peer gets its error"
search $(service_pids)
within "$W" prompt-SECOND storaged

W="in flight"
CLOISTER_HOME="$T/alice" "$B/cloister" ask -m echo \
    "$(yes $FLIGHT | head -n 4000 | tr '\n' ' ')" </dev/null \
    >"$T/flight.out" 2>"$T/flight.err" &
CLIENT=$!
wait_for test -s "$T/flight.out" || bad "the answer begins"
search $(service_pids) $CLIENT
within "$W" prompt-FLIGHT "cloister llmproxy session storaged"
for s in sign-key client-wrap-key message-key; do
	only "$W" $s ""
done
kill -9 $CLIENT
wait $CLIENT || true
wait_show alice >/dev/null
forgotten() {
	search $(service_pids)
	case "$(holders prompt-FLIGHT)" in
	"" | storaged) return 0 ;;
	esac
	return 1
}
wait_for forgotten || true
within "the client is gone" prompt-FLIGHT storaged

W="after a session"
exec 9>&-
wait $PEER || true
wait_for sh -c "! kill -0 $SESSION 2>/dev/null" ||
    bad "the session worker leaves when its session ends"
search $(service_pids)
for s in $SESSION_SECRETS $HANDSHAKE_SECRETS exporter resumption data-key \
    prompt-FIRST prompt-SECOND prompt-FLIGHT; do
	only "$W" $s ""
done

W="in a handshake"
peer_start --stop-after sh
wait_for grep -q '^stopped sh' "$T/peer.out" || bad "the test peer stops"
{
	grep -v -e '^ecdhe' -e '^hs_' -e '^[cs]_hs' "$T/secrets"
	grep -e '^ecdhe' -e '^hs_' -e '^[cs]_hs' "$T/peer.out"
} >"$T/secrets.new"
mv "$T/secrets.new" "$T/secrets"
search $(service_pids) $PEER $(cat /proc/$PEER/task/$PEER/children)
for s in sign-key client-wrap-key message-key; do
	only "$W" $s client-keyd
done
within "$W" hs_secret "kex peer"
within "$W" c_hs "kex peer"
within "$W" s_hs "kex peer"
only "$W" ecdhe ""
exec 9>&-
wait $PEER || true

for p in $(service_pids); do
	cat "/proc/$p/environ" "/proc/$p/cmdline" 2>/dev/null || true
done >"$T/args"
expect_not "no secret in an environment or an argument" canary \
    cat "$T/args"
for p in $(service_pids); do
	grep -q '^Max core file size  *0  *0 ' "/proc/$p/limits" ||
	    bad "$(title "$p") may dump core"
	# What is not dumpable belongs to root in /proc.
	[ "$(stat -c %u "/proc/$p/environ")" = 0 ] ||
	    bad "$(title "$p") is dumpable"
done
for r in logger keyd engine hasher storaged zygote sessiond llmproxy connector \
    certd; do
	BEFORE=$(service_pids)
	kill -SEGV "$(role_pid $r)"
	case $r in
	logger | keyd | engine | storaged)
		wait "$SERVICE_PID" || true
		wait_for gone || bad "$r: others are left"
		service_start ;;
	*)
		wait_for as alice list || bad "$r comes back" ;;
	esac
done
if [ -z "$(find "$T" -name 'core*')" ]; then
	good "a role that crashes leaves no core"
else
	bad "a role that crashes leaves no core: $(find "$T" -name 'core*')"
fi
service_stop
expect_not "no secret in a file of the service at the end" canary in_files
