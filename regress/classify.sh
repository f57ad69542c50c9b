#!/bin/sh
# make classify: what a simple classifier makes of the traces that answers about
# four "topics" leave on the wire, in each mode of shaping (docs/performance.md).
# A topic is the length of its words; every answer has about 400 characters, and
# comes word by word.  RUNS answers for each topic.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
RUNS=${RUNS:-10}

# A text of words of $1 to $2 letters; the same for the same $3.
text() {
	awk -v a="$1" -v b="$2" -v seed="$3" 'BEGIN {
		srand(seed)
		while (n < 400) {
			w = a + int(rand() * (b - a + 1))
			for (i = 0; i < w; i++)
				printf "%c", 97 + int(rand() * 26)
			printf " "
			n += w + 1
		}
		print "end"
	}'
}

relay_start() {
	"$B/relay" "$PORT" >"$T/relay.$1" &
	RELAY_PID=$!
	PIDS="$PIDS $RELAY_PID"
	wait_for grep -q '^listening' "$T/relay.$1" || die "no relay"
	RELAY=127.0.0.1:$(sed -n 's/^listening //p' "$T/relay.$1")
	echo "$RELAY $FINGERPRINT" >>"$T/alice/known_servers"
}

all_ended() {
	[ "$(grep -c ' e ' "$1")" -ge "$((4 * RUNS))" ]
}

run() {	# mode
	: >"$T/labels"
	relay_start "$1"
	_run=1
	while [ "$_run" -le "$RUNS" ]; do
		for _topic in "2 4" "4 7" "7 10" "10 14"; do
			as alice ask -H "$RELAY" "$(text $_topic \
			    "$_run${_topic% *}")" >/dev/null
			echo "$_topic" >>"$T/labels"
		done
		_run=$((_run + 1))
	done
	wait_for all_ended "$T/relay.$1" || die "connections do not end"
	kill "$RELAY_PID"
	grep -v listening "$T/relay.$1" >"$T/log"
	printf '%-7s %s\n' "$1" "$("$B/classify" "$T/log" "$T/labels")"
}

service_new
standin_start --delay-ms 20
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS="echo:echo"
LIMITS="	max_connections_per_source = 64"
for SHAPING in off bucket tick; do
	if [ "$SHAPING" = off ]; then
		service_init
		service_start
		user_new alice
	else
		service_config
		service_start
	fi
	run "$SHAPING"
	service_stop
done
