#!/bin/sh
# make demo: a whole service with a throw-away state, and a real chat.
#
#   CLOISTER_UPSTREAM   base address of an OpenAI-compatible server (…/v1)
#   CLOISTER_API_KEY    its key, if it wants one
#   CLOISTER_MODEL      the model's name there
#   CLOISTER_CA         certificates for a private https upstream
#   PROMPT              what to ask
#   KEEP=1              leave it running
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
PROMPT=${PROMPT:-"In one sentence: why should the parts of a program not trust each other?"}

say() {
	printf '\n== %s\n' "$*"
}

# The first model that a server offers.
first_model() {
	curl -sf -m 5 ${CLOISTER_API_KEY:+-H "Authorization: Bearer $CLOISTER_API_KEY"} \
	    ${CLOISTER_CA:+--cacert "$CLOISTER_CA"} "$1/models" |
	    tr ',{' '\n\n' | sed -n 's/^ *"id" *: *"\([^"]*\)".*/\1/p' | head -n 1
}

answers() {
	curl -sf -m 1 -o /dev/null "$1"
}

SHAPING=tick
service_new
if [ -n "${CLOISTER_UPSTREAM:-}" ]; then
	URL=$CLOISTER_UPSTREAM
elif answers http://127.0.0.1:11434/v1/models; then
	URL=http://127.0.0.1:11434/v1
elif answers http://127.0.0.1:8080/v1/models; then
	URL=http://127.0.0.1:8080/v1
else
	standin_start --delay-ms 30
	URL=http://127.0.0.1:$UPSTREAM_PORT/v1
	CLOISTER_MODEL=stand-in
fi
[ -n "${CLOISTER_MODEL:-}" ] || CLOISTER_MODEL=$(first_model "$URL")
[ -n "$CLOISTER_MODEL" ] || die "$URL offers no model; set CLOISTER_MODEL"
if [ -n "${CLOISTER_API_KEY:-}" ]; then
	KEY_FILE=$T/api.key
	(umask 077 && printf '%s\n' "$CLOISTER_API_KEY" >"$KEY_FILE")
fi
CA_FILE=${CLOISTER_CA:-}
MODELS="demo:$CLOISTER_MODEL"

say "upstream: $URL, model $CLOISTER_MODEL"
say "cloisterctl init: keys and database"
service_init
cat "$T/init.out"
say "cloisterd starts"
service_start
ctl status
say "a user: keys, an account"
user_new alice
ctl user list
say "cloister ask"
echo "> $PROMPT"
as alice ask "$PROMPT"
say "the server stops and starts again"
service_stop
service_start
say "cloister list, cloister show"
as alice list
as alice show "$(as alice list | awk 'NR == 1 { print $1 }')"

say "live processes: own user, seccomp filter, no new privileges"
printf '%-8s %-7s %-8s %-12s %s\n' PID UID SECCOMP NO_NEW_PRIVS PROCESS
for p in $(service_pids); do
	[ -r "/proc/$p/status" ] || continue
	awk -v p="$p" '/^Uid:/ { u = $2 } /^Seccomp:/ { s = $2 }
	    /^NoNewPrivs:/ { n = $2 } END { printf "%-8s %-7s %-8s %-12s ",
	    p, u, s == 2 ? "filter" : "none", n ? "yes" : "no" }' \
	    "/proc/$p/status"
	tr '\0' ' ' <"/proc/$p/cmdline" | sed 's/ *$//; s/ -f .*//'
	echo
done
say "the audit log"
cut -c 1-150 "$T/state/audit/audit.log" 2>/dev/null ||
    echo "(only root can read it)"

if [ -n "${KEEP:-}" ]; then
	say "it keeps running; chat with it by"
	echo "CLOISTER_LIBEXEC=$B CLOISTER_HOME=$T/alice $B/cloister chat"
	echo "(stop it by: kill $SERVICE_PID)"
	trap - EXIT
	exit 0
fi
service_stop
say "done"
