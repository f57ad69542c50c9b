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

running() {
	kill -0 "$SERVICE_PID" 2>/dev/null
}
service_settled() {
	! running || as alice ask "settled"
}

# since TEXT...: lines of the audit log since $BEFORE that have all the texts.
since() {
	tail -c "+$((BEFORE + 1))" "$T/state/audit/audit.log" >"$T/since"
	for _t; do
		grep -F -e "$_t" "$T/since" >"$T/since.new" || true
		mv "$T/since.new" "$T/since"
	done
	[ -s "$T/since" ]
}

# attempted: whether the role that was armed has done something.
attempted() {
	"$HOSTILE" did "$T/live-$role/board"
}

# act WHAT FIRST: the hostile role does something while alice asks; $NAME is what.
act() {
	BEFORE=$(wc -c <"$T/state/audit/audit.log")
	"$HOSTILE" arm "$T/live-$role/board" "$2" "$1"
	# Some may have nothing to say but at their start.
	case $role in
	hasher | certd | connector) kill -9 "$(role_pid $role)" || true ;;
	esac
	CLOISTER_HOME="$T/alice" "$B/cloister" ask x >"$T/act.out" 2>&1 &
	_client=$!
	if ! wait_for attempted; then
		bad "$role: $1: attempt $2 was not made"
		kill $_client 2>/dev/null || true
		wait $_client || true
		return 1
	fi
	NAME=$(attempted)
	made=$((made + 1))
	ASKED=0
	wait $_client || ASKED=$?
}

# settled: whatever it did, the service goes on, or stops and can be started.
settled() {
	if ! wait_for service_settled; then
		broke=$((broke + 1))
		bad "$role: $NAME: the service stops or goes on"
	fi
	if ! running; then
		wait "$SERVICE_PID" || true
		SERVICE_PID=
		service_start
	fi
}

# named: who did that is written down; what the logger did by cloisterd itself.
named() {
	if [ $role = logger ]; then
		grep -q "violation: logger: control: " "$T/cloisterd.log"
	else
		since '"event":"violation"' "$role"
	fi
}

# attack CHANNEL FIRST: it must be written down who did that.
attack() {
	act "$@" || return 0
	if ! wait_for named; then
		broke=$((broke + 1))
		bad "$role: $1: $NAME: it is in the audit log"
	fi
	settled
}

first=0
for row in "keyd KEYD_VAULT KEYD_ZYG KEX_KEYD LOG CTL" \
    "engine VAULT_ENGINE LOG CTL" \
    "hasher HASHER_VAULT LOG CTL" \
    "storaged VAULT_ENGINE VAULT_ZYG VAULT_LLM LOG CTL" \
    "certd VAULT_CERT LOG CTL" \
    "connector LLM_CONN LOG CTL" \
    "llmproxy VAULT_LLM LLM_CONN SESS_LLM LOG CTL" \
    "zygote KEYD_ZYG VAULT_ZYG SESSD_ZYG ZYG_KEX LOG CTL" \
    "sessiond SESSD_ZYG LOG CTL" \
    "logger CTL"; do
	role=${row%% *} channels=${row#* }
	roles_dir "live-$role" $role role
	start_with "live-$role"
	made=0 broke=0
	for c in $channels; do
		first=$((first + 13))
		attack $c $first
		# Garbage of every kind is tried by cells.c; here is who dies.
		# (Each next start of a role is waited for twice as long.)
		case $role,$c in
		*,LOG | *,CTL | hasher,* | certd,* | connector,*) ;;
		*) attack $c $((first + 7)) ;;
		esac
	done
	case $role in
	logger)
		act back 0
		settled
		for p in edit drop; do
			act $p 0
			settled
			expect "logger: $NAME: that is noticed" 0 "ed 3" \
			    "$HOSTILE" verify "$T/state/audit/audit.log" \
			    "$T/state/keys/audit.key"
		done ;;
	keyd)
		for p in signature nonce; do
			act $p 0
			if [ $ASKED = 0 ]; then
				broke=$((broke + 1))
				bad "keyd: $NAME: nobody gets in"
			fi
			settled
		done ;;
	esac
	expect "$role: the service serves afterwards" 0 "afterwards" \
	    as alice ask "afterwards"
	service_stop || true
	echo "count hostile $role in the service: attempts $made, breaches $broke"
done

# ---- roles against the monitor: every provider's llmproxy, one life each -------

PROVIDERS=
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
	PROVIDERS="$PROVIDERS
provider p$i {
	type = openai
	url = \"$URL\"
}"
done
EXTRA="${EXTRA:-}$PROVIDERS"
service_config
roles_dir puppets puppet role
ln -sf "$B/hostile/puppet" "$T/puppets/llmproxy"
rm "$T/puppets/puppet"
none_left() {
	! "$HOSTILE" left "$T/puppets/board"
}
_at=$(wc -c <"$T/state/audit/audit.log")
for run in 1 2 3 4 5 6 7 8 9 10; do
	"$HOSTILE" disarm "$T/puppets/board"
	start_with puppets
	"$HOSTILE" arm "$T/puppets/board" 0
	expect "control, run $run: others are served meanwhile" 0 "" \
	    as alice list
	# Each next life is waited for twice as long: enough is enough.
	_n=0
	until none_left || [ $_n -ge 70 ]; do
		sleep 0.1
		_n=$((_n + 1))
	done
	"$HOSTILE" disarm "$T/puppets/board"
	wait_for "$HOSTILE" quiet "$T/puppets/board" \
	    "$T/state/audit/audit.log" "$_at" || true
	expect "control, run $run: others are served afterwards" 0 "" \
	    as alice list
	service_stop || bad "control: a clean stop"
	! none_left || break
done
if "$HOSTILE" control "$T/puppets/board" "role on the monitor" \
    "$T/state/audit/audit.log" "$_at" >"$T/puppets.result"; then
	good "roles on the monitor"
else
	bad "roles on the monitor"
	grep '^breach' "$T/puppets.result" | head -n 40 || true
fi
grep '^count' "$T/puppets.result"

if wait $CELLS; then
	good "links between roles"
else
	bad "links between roles"
	grep '^breach' "$T/cells.out" | head -n 40 || true
	cat "$T/cells.err"
fi
grep '^count' "$T/cells.out" || true
