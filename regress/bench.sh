#!/bin/sh
# make bench: what things cost, in numbers.
#
#   ROUNDS   how often everything is measured (5): the table shows medians
#   RESULTS  keep all measured values in this file
#
# A service with a throw-away state answers by way of the stand-in upstream,
# which answers at once and keeps connections.  Every round measures everything,
# each limit beside what it limits, so that a slow moment of the machine is
# seen by both.  Memory of other users' processes needs root.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/bench_peers.sh
ROUNDS=${ROUNDS:-5}

service_new
RESULTS=${RESULTS:-$T/results}
: >"$RESULTS"
standin_start --delay-ms 0 --keep-alive 1
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS="echo:echo long-5:long-5"
LIMITS="	max_connections = 1024
	max_connections_per_source = 1024
	max_sessions_per_user = 1024"
service_init
service_start
user_new alice
peers_start

measure() {
	CLOISTER_HOME="$T/alice" "$B/bench" "$@" >>"$RESULTS" ||
	    die "bench $1 failed"
}

echo "$(nproc) processors, $(openssl version), Linux $(uname -r), $ROUNDS rounds"
measure cells fresh "$SERVICE_PID"
_round=0
while [ $_round -lt "$ROUNDS" ]; do
	_round=$((_round + 1))
	[ ! -t 2 ] || printf 'round %d\r' $_round >&2
	measure limits
	# All that log somebody in, each beside the others.
	measure handshake "$SERVICE_PID" 50
	measure resume "$SERVICE_PID" 50
	[ -z "$NGINX_PID" ] || measure tls "$NGINX_PID" 50 "$NGINX_PORT" \
	    "$T/peers"
	[ -z "$SSHD_PID" ] || measure spawn ssh "$SSHD_PID" 25 $(ssh_login)
	measure chat "$UPSTREAM_PORT" 400 "$T"
	measure load "$UPSTREAM_PORT" "$SERVICE_PID" 32 50
	measure deltas "$UPSTREAM_PORT" "$SERVICE_PID" 64 5
	measure idle "$SERVICE_PID" 200
	measure cells used "$SERVICE_PID"
	mkdir "$T/store"
	measure store "$T/store"
	rm -rf "$T/store"
done
service_stop
"$B/bench" table "$RESULTS"
