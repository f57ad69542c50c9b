#!/bin/sh
# Hostile processes in place of roles: what a taken-over process cannot do
# (docs/threat-model.md), tried in its real cell over the real channels.  Each
# part prints how many attempts were made and how many were breaches.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh
. regress/ca.sh
HOSTILE=$B/hostile/driver

# roles_dir NAME ROLE MODE: the real roles but one, and a board, in $T/NAME.
roles_dir() {
	mkdir -m 711 "$T/$1"
	for _r in logger keyd engine hasher storaged certd connector llmproxy \
	    zygote sessiond; do
		ln -s "$B/$_r" "$T/$1/$_r"
	done
	ln -sf "$B/hostile/$2" "$T/$1/$2"
	"$HOSTILE" board "$T/$1/board" "$3" "$CONV" "$T/alice/id_cloister.pub" \
	    <"$T/secrets"
}

# start_with NAME: the service with the roles of $T/NAME.
start_with() {
	ROLES_DIR=$T/$1
	LOG_AT=$(wc -c <"$T/state/audit/audit.log")
	service_start
}

# judged NAME TEXT: the attempts of $T/NAME's board.
judged() {
	if "$HOSTILE" result "$T/$1/board" "$2" "$T/state/audit/audit.log" \
	    "$LOG_AT" >"$T/$1.result"; then
		good "$2"
	else
		bad "$2"
		grep '^breach' "$T/$1.result" | head -n 40 || true
	fi
	grep '^count' "$T/$1.result"
}

service_new
KEY_FILE=$T/api.key
API_KEY=sk-canary-5d1f0b8c7e6a4f21
(umask 077; echo $API_KEY >"$KEY_FILE")
standin_start --key $API_KEY
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS="echo:echo"
LIMITS="	max_connections_per_source = 4000
	max_sessions_per_user = 1000"
# alice comes with a certificate, so that certd has something to say.
ca_new root
EXTRA="client_ca = \"$T/root/ca.pem\""
service_init
service_start
user_new alice
as alice csr alice >"$T/alice.csr"
ca_sign root "$T/alice.csr" "$T/alice.pem"
echo "cert_file = \"$T/alice.pem\"" >>"$T/alice/config"
user_new mallory
expect "alice asks" 0 "canary-prompt-3a7f" as alice ask "canary-prompt-3a7f"
CONV=$(as alice list | awk 'NR == 1 { print $1 }')
service_stop

hex() {
	printf %s "$1" | od -An -v -tx1 | tr -d ' \n'
}
{
	"$B/secrets" "$T/state"
	echo "api-key $(hex $API_KEY)"
	echo "prompt $(hex canary-prompt-3a7f)"
} >"$T/secrets"

# ---- links between roles: each role alone, the test at all its other ends -----

cp -a "$T/state" "$T/cells.state"
cp -a "$KEY_FILE" "$T/cells.key"
"$HOSTILE" board "$T/cells.board" none <"$T/secrets"
"$B/hostile/cells" "$T/cells.board" "$B" "$T/cells.state" \
    "$(sed -n 's/.*engine = "\(.*\)"/\1/p' "$T/cloisterd.conf" | grep . ||
    echo 0)" "$T/alice/id_cloister" >"$T/cells.out" 2>"$T/cells.err" &
CELLS=$!
PIDS="$PIDS $CELLS"

# ---- workers: many attempts, one channel each, while others are served -------

# attacked NAME COMMAND...: run it while alice asks, then ask again.
attacked() {
	_n=$1
	shift
	"$@" >"$T/$_n.out" 2>&1 &
	_driver=$!
	PIDS="$PIDS $_driver"
	expect "$_n: others are served meanwhile" 0 "meanwhile" \
	    as alice ask "meanwhile"
	if wait $_driver; then
		good "$_n: every attempt was made"
	else
		bad "$_n: every attempt was made"
		tail -n 5 "$T/$_n.out"
	fi
	expect "$_n: others are served afterwards" 0 "afterwards" \
	    as alice ask "afterwards"
}


# A session worker of mallory's: what it saw of the handshake is used below.
roles_dir session zygote session
start_with session
attacked session env CLOISTER_HOME="$T/mallory" CLOISTER_LIBEXEC="$B" \
    "$HOSTILE" login "$T/session/board" "$PORT" "$T/mallory/id_cloister"
service_stop || bad "session: a clean stop"
judged session "session worker"

roles_dir kex zygote kex
"$HOSTILE" copy "$T/session/board" "$T/kex/board"
start_with kex
attacked kex "$HOSTILE" connect "$T/kex/board" "$PORT"
service_stop || bad "kex: a clean stop"
judged kex "kex worker"

roles_dir twin zygote twin
start_with twin
attacked twin "$HOSTILE" connect "$T/twin/board" "$PORT"
service_stop || bad "twin: a clean stop"
judged twin "kex worker on its session worker"

# ---- roles: in the running service, which restarts what it cannot do without --

# violations: how many are in the audit log.
violations() {
	grep -c '"event":"violation"' "$T/state/audit/audit.log" || true
}
more_violations() {
	[ "$(violations)" -gt "$BEFORE" ]
}
running() {
	kill -0 "$SERVICE_PID" 2>/dev/null
}
service_settled() {
	! running || as alice ask "settled"
}

for role in engine certd llmproxy connector zygote sessiond; do
	roles_dir "live-$role" $role role
	start_with "live-$role"
	_made=0 _broke=0
	for first in 3 20 33 61; do
		BEFORE=$(violations)
		"$HOSTILE" arm "$T/live-$role/board" $first
		timeout 5 sh -c ". regress/lib.sh; T=$T; as alice ask x" \
		    >/dev/null 2>&1 || true
		_name=$("$HOSTILE" did "$T/live-$role/board") || {
			bad "$role: attempt $first was not made"
			continue
		}
		_made=$((_made + 1))
		if ! wait_for more_violations; then
			_broke=$((_broke + 1))
			bad "$role: $_name: it is in the audit log"
		fi
		if ! wait_for service_settled; then
			_broke=$((_broke + 1))
			bad "$role: $_name: the service stops or goes on"
		fi
		if ! running; then
			wait "$SERVICE_PID" || true
			SERVICE_PID=
			service_start
		fi
	done
	expect "$role: the service serves afterwards" 0 "afterwards" \
	    as alice ask "afterwards"
	service_stop || true
	echo "count hostile $role in the service: attempts $_made, breaches $_broke"
done

if wait $CELLS; then
	good "links between roles"
else
	bad "links between roles"
	grep '^breach' "$T/cells.out" | head -n 40 || true
	cat "$T/cells.err"
fi
grep '^count' "$T/cells.out" || true
