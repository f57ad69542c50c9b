# Shell functions for the demo and the end-to-end tests: a whole service with a
# throw-away state, numeric users (nothing is left behind), loopback only.
#
#   . regress/lib.sh; service_new; service_start; ...; service_stop
#
# B is the build directory.  Everything lives in $T, removed by service_cleanup.

: "${B:=build}"
B=$(cd "$B" && pwd)
export CLOISTER_LIBEXEC="$B" CLOISTER_SBIN="$B"
UID_BASE=${UID_BASE:-61100}
PIDS=

die() {
	echo "$0: $*" >&2
	exit 1
}

# A free TCP port of loopback.
free_port() {
	"$B/freeport"
}

# Wait until "$@" succeeds, at most a minute and what it takes itself: nothing is
# said about time by this, a busy machine has its own.
wait_for() {
	_n=0
	until "$@" >/dev/null 2>&1; do
		_n=$((_n + 1))
		[ $_n -le 600 ] || return 1
		sleep 0.1
	done
}

# The stand-in upstream: sets UPSTREAM_PORT and UPSTREAM_PID.
standin_start() {
	rm -f "$T/standin.out"
	"$B/standin" "$@" >"$T/standin.out" 2>&1 &
	UPSTREAM_PID=$!
	PIDS="$PIDS $UPSTREAM_PID"
	wait_for grep -q '^listening' "$T/standin.out" ||
	    die "the stand-in upstream does not start"
	UPSTREAM_PORT=$(sed -n 's/^listening //p' "$T/standin.out")
}

# Write the configuration.  URL, KEY_FILE, CA_FILE, MODELS (alias:upstream ...)
# and SHAPING may be set before; EXTRA and LIMITS are added as they are.
service_config() {
	: "${MODELS:=demo:demo}"
	{
		echo "listen = { \"127.0.0.1:$PORT\" }"
		echo "state_dir = \"$T/state\""
		echo "control_socket = \"$T/control\""
		# Unless it is what is looked at: tests that move much would wait.
		echo "shaping = ${SHAPING:-off}"
		# Unless it is what is looked at: unknown keys are refused.
		echo "enrolment = ${ENROLMENT:-no}"
		# Cheap enough for a test.
		echo "argon2 {"
		echo "	memory = ${ARGON2_MEMORY:-1024}"
		echo "	passes = ${ARGON2_PASSES:-1}"
		echo "}"
		echo "${EXTRA:-}"
		if [ "$(id -u)" = 0 ]; then
			echo "roles {"
			_u=$UID_BASE
			for _r in logger keyd sessiond zygote vault engine \
			    hasher connector certd llmproxy; do
				echo "	$_r = \"$_u\""
				_u=$((_u + 1))
			done
			echo "}"
		fi
		echo "provider upstream {"
		echo "	type = ${TYPE:-openai}"
		echo "	url = \"$URL\""
		[ -z "${KEY_FILE:-}" ] || echo "	key_file = \"$KEY_FILE\""
		[ -z "${CA_FILE:-}" ] || echo "	ca_file = \"$CA_FILE\""
		echo "${PROVIDER_EXTRA:-}"
		echo "}"
		_default=true
		for _m in $MODELS; do
			echo "model ${_m%%:*} {"
			echo "	provider = upstream"
			echo "	upstream = \"${_m#*:}\""
			echo "	default = $_default"
			echo "}"
			_default=false
		done
		echo "limits {"
		echo "	drain_timeout = ${DRAIN:-2}"
		echo "${LIMITS:-}"
		echo "}"
	} >"$T/cloisterd.conf"
}

# A directory, a configuration, keys and a database.
service_new() {
	T=$(mktemp -d "${TMPDIR:-/tmp}/cloister.XXXXXX")
	chmod 711 "$T"
	trap service_cleanup EXIT
	trap 'exit 130' INT TERM
	PORT=$(free_port)
}

service_init() {
	service_config
	"$B/cloisterctl" -f "$T/cloisterd.conf" -L "$B" init >"$T/init.out" \
	    2>"$T/init.err" || {
		cat "$T/init.err" >&2
		die "cloisterctl init failed"
	}
	FINGERPRINT=$(sed -n 's/^host key fingerprint: //p' "$T/init.out")
}

ctl() {
	"$B/cloisterctl" -f "$T/cloisterd.conf" "$@"
}

# UNDER is a command that runs cloisterd in its place (same pid), or nothing.
service_start() {
	${UNDER:-} "$B/cloisterd" ${DEBUG:+-d} -f "$T/cloisterd.conf" -L "${ROLES_DIR:-$B}" \
	    >>"$T/cloisterd.log" 2>&1 &
	SERVICE_PID=$!
	wait_for ctl status || {
		cat "$T/cloisterd.log" >&2
		die "cloisterd does not start"
	}
}

service_stop() {
	[ -n "${SERVICE_PID:-}" ] || return 0
	kill "$SERVICE_PID" 2>/dev/null || true
	_stopped=0
	wait "$SERVICE_PID" || _stopped=$?
	SERVICE_PID=
	return $_stopped
}

service_cleanup() {
	_status=$?
	trap - EXIT
	[ -z "${SERVICE_PID:-}" ] || kill "$SERVICE_PID" 2>/dev/null || true
	for _p in $PIDS; do
		kill "$_p" 2>/dev/null || true
	done
	wait
	[ -n "${KEEP_FILES:-}" ] || rm -rf "$T"
	exit $_status
}

# user_new NAME: keys, an account, and a client directory that knows the server.
user_new() {
	mkdir -m 700 "$T/$1"
	CLOISTER_HOME="$T/$1" "$B/cloister" keygen -N >/dev/null ||
	    die "keygen failed"
	ctl user add "$1" >/dev/null
	ctl key add "$1" "$T/$1/id_cloister.pub" >/dev/null
	user_home "$1"
}

# The client's configuration and pinned server key.
user_home() {
	(
		umask 077
		echo "server = \"127.0.0.1:$PORT\"" >"$T/$1/config"
		echo "127.0.0.1:$PORT $FINGERPRINT" >"$T/$1/known_servers"
	)
}

# as NAME ARGS...: run the client as that user.
as() {
	_who=$1
	shift
	CLOISTER_HOME="$T/$_who" "$B/cloister" "$@"
}

# Pids of the service: the monitor, the roles, and the workers below them.
service_pids() {
	_todo=$SERVICE_PID
	while [ -n "$_todo" ]; do
		_next=
		for _p in $_todo; do
			echo "$_p"
			_next="$_next $(cat "/proc/$_p/task/$_p/children" \
			    2>/dev/null || true)"
		done
		_todo=$(echo $_next)
	done
}

# session_pid USER: the pid of a session worker of that user, if there is one.
session_pid() {
	for _p in $(service_pids); do
		if tr '\0' ' ' <"/proc/$_p/cmdline" 2>/dev/null |
		    grep -q "^cloisterd: session $1 "; then
			echo "$_p"
			return
		fi
	done
}

# Whether every process in $BEFORE, an earlier service_pids, has ended.
gone() {
	for _p in $BEFORE; do
		! kill -0 "$_p" 2>/dev/null || return 1
	done
}

# role_pid NAME: the pid of a role, by cloisterctl status; one that is about to be
# restarted has none (0) for a while, which is waited for.
role_pid() {
	for _k in $(seq 300); do
		_pid=$(ctl status 2>/dev/null | awk -v r="$1" \
		    '$1 == r || index($1, r "[") == 1 { print $3; exit }')
		[ "${_pid:-0}" -eq 0 ] || break
		sleep 0.1
	done
	[ "${_pid:-0}" -gt 0 ] || die "$1 has no process"
	echo "$_pid"
}

# wait_show NAME: show the newest conversation once it has an answer.
has_answer() {
	_id=$(as "$1" list | awk 'NR == 1 { print $1 }')
	as "$1" show "$_id" >"$T/show.out" 2>&1
	[ "$(wc -l <"$T/show.out")" -ge 4 ]
}
wait_show() {
	wait_for has_answer "$1" || true
	cat "$T/show.out"
}
