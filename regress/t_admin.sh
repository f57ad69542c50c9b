#!/bin/sh
# What an administrator says of users, limits and models, and what the service says
# of itself: status and metrics.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh

service_new
standin_start
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS="small:echo big:echo"
service_init
service_start
user_new alice
user_new bob

audit() {
	cat "$T/state/audit/audit.log"
}

# json JQ ARGS...: what cloisterctl --json ARGS says, through jq; fails if none.
json() {
	_q=$1
	shift
	ctl --json "$@" | jq -c "$_q"
}

# A session of alice's that stays; say TEXT asks in it, and waits for the answer.
peer_start() {
	rm -f "$T/fifo" "$T/peer.out"
	mkfifo "$T/fifo"
	"$B/peer" "127.0.0.1:$PORT" "$T/alice/id_cloister" <"$T/fifo" \
	    >"$T/peer.out" 2>&1 &
	PEER=$!
	PIDS="$PIDS $PEER"
	exec 7>"$T/fifo"
	wait_for grep -q ^session "$T/peer.out" || bad "the session begins"
}

say() {
	_before=$(grep -c -e ^answered -e ^failed "$T/peer.out" || :)
	echo "$1" >&7
	wait_for said || bad "an answer to $1"
	tail -n 1 "$T/peer.out"
}

said() {
	[ "$(grep -c -e ^answered -e ^failed "$T/peer.out")" -gt "$_before" ]
}

peer_stop() {
	exec 7>&-
	wait "$PEER" || :
}

# How many sessions alice has.
sessions() {
	json 'select(.type == "user") | .sessions' user show alice
}

# One user.
expect "user show" 0 "keys          1 active, 0 revoked" ctl user show alice
expect "user show: a user that is not" 1 "there is no user eve" \
    ctl user show eve
expect "user show --json" 0 '["alice",true,1,false,true]' \
    json 'select(.type == "user") | [.name, .enabled, .keys, .password,
    .all_models]' user show alice
expect "user show: limits" 0 '["sessions",64,false]' \
    json 'select(.type == "limit" and .name == "sessions") |
    [.name, .value, .own]' user show alice

# Limits.
expect "user limit" 0 "limits of alice set" ctl user limit alice sessions=1
expect "it is shown" 0 '[1,true]' json 'select(.type == "limit" and
    .name == "sessions") | [.value, .own]' user show alice
for w in sessions sessions= sessions=0 sessions=-1 sessions=1x nothing=3 \
    sessions=99999999999999999999 sessions=1000001 =1 "sessions= 1"; do
	expect "user limit: $w" 1 "a limit is NAME=NUMBER" \
	    ctl user limit alice "$w"
done
expect "user limit: one twice" 1 "twice" \
    ctl user limit alice sessions=2 sessions=3
expect "user limit: no such user" 1 "no user eve" \
    ctl user limit eve sessions=1
expect "user limit: none" 2 "usage" ctl user limit alice
expect "nothing of that counts" 0 '1' json 'select(.type == "limit" and
    .name == "sessions") | .value' user show alice
peer_start
one_session() {
	[ "$(sessions)" = 1 ]
}
wait_for one_session && good "one session" || bad "one session"
expect "a second session is refused" 5 "refused" as alice list
expect "and audited" 0 "too many sessions" audit
expect "others are not" 0 "" as bob list
expect "back to the default" 0 "limits" ctl user limit alice sessions=default
expect "and the second one is let in" 0 "" as alice list
peer_stop
expect "a limit outlives a restart: set" 0 "" ctl user limit bob sessions=7

# Models.
expect "every model at first" 0 "big" as alice models
expect "model list" 0 '["big",true,false]' json 'select(.alias == "big") |
    [.alias, .allowed, .default]' model list
expect "model deny" 0 "alice may not use model big" ctl model deny alice big
expect "model list NAME" 0 "false" sh -c "'$B/cloisterctl' \
    -f '$T/cloisterd.conf' --json model list alice |
    jq -c 'select(.alias == \"big\") | .allowed'"
expect_not "it is not offered" "big" as alice models
expect "and refused, clearly" 6 "may not use this model" \
    as alice ask -m big hello
expect "the other one answers" 0 "hello" as alice ask -m small hello
expect "and others may" 0 "hello" as bob ask -m big hello
expect "the refusal is audited" 0 '"event":"model.refuse"' audit
expect "no such model" 1 "no model huge" ctl model deny alice huge
expect "no such user" 1 "no user eve" ctl model allow eve big
expect "--all" 0 "alice may use no model" ctl model deny --all alice
expect "then none" 6 "may not use this model" as alice ask hello
expect "but one" 0 "alice may use model big" ctl model allow alice big
expect "which is then the default" 0 "hello" as alice ask hello
expect "and the only one" 6 "may not use" as alice ask -m small hello

# They are kept, and a model that comes is not granted by itself.
service_stop
MODELS="small:echo big:echo huge:echo"
service_config
service_start
expect "grants outlive a restart" 0 "hello" as alice ask -m big hello
expect "a new model is not in them" 6 "may not use" \
    as alice ask -m huge hello
expect "limits outlive it" 0 '7' json 'select(.type == "limit" and
    .name == "sessions") | .value' user show bob
expect "--all, the other way" 0 "all models" ctl model allow --all alice
expect "then all" 0 "hello" as alice ask -m huge hello

# A deny reaches a session that has the model open already.
peer_start
expect "a session with both models" 0 "answered" say "big: hello"
expect "of the other" 0 "answered" say "small: hello"
expect "deny under a session" 0 "may not" ctl model deny alice big
expect "it gets no more of it" 0 "failed 25" say "big: hello"
expect "but of the other" 0 "answered" say "small: hello"
expect "allow under a session" 0 "may use" ctl model allow alice big
expect "it may again" 0 "answered" say "big: hello"
peer_stop
# How the provider fares.
MODELS="small:echo big:echo bad:err500"
service_stop
service_config
service_start
expect "a provider that was not asked yet" 0 '[0,null,0,null]' \
    json 'select(.type == "upstream") | [.successes, .last_success, .errors,
    .last_error]' status
expect "an answer" 0 "hello" as alice ask -m small "hello"
expect "an error" 6 "" as alice ask -m bad "a canary of 500"
expect "are in the status" 0 '["upstream",1,true,true,4]' \
    json 'select(.type == "upstream") | [.name, .successes, .errors >= 1,
    .last_success <= .last_error, .code]' status
expect "with a reason" 0 "upstream upstream" ctl status

# For Prometheus: what it says is parsed, and says nothing of anybody.
metrics() {
	ctl metrics >"$T/metrics" && python3 regress/prom.py <"$T/metrics"
}
expect "metrics are in the format" 0 "cloister_up 1" metrics
metrics >"$T/samples" || :
for m in "cloister_users 2" "cloister_sessions 0" "cloister_answers_total 2" \
    'cloister_upstream_successes_total{provider="upstream"} 1' \
    'cloister_role_restarts_total{role="keyd"} 0'; do
	expect "metrics: $m" 0 "" grep -qxF "$m" "$T/samples"
done
for m in cloister_role_start_time_seconds cloister_start_time_seconds \
    cloister_upstream_last_error_time_seconds; do
	_v=$(awk -v m="$m" 'index($1, m) == 1 { print $NF; exit }' "$T/samples")
	[ $(($(date +%s) - ${_v:-0})) -lt 3600 ] && good "metrics: $m is a time" ||
	    bad "metrics: $m is a time: $_v"
done
expect "nothing of users" 1 "" grep -qi -e alice -e bob -e canary -e hello \
    "$T/metrics"
expect "metrics --json" 0 '["llmproxy[0]",true]' \
    json 'select(.name == "cloister_role_start_time_seconds" and
    (.role | startswith("llmproxy"))) | [.role, .value > 0]' metrics
mkdir "$T/node"
expect "a file for the node exporter" 0 "" \
    ctl metrics --textfile "$T/node/cloister.prom"
expect "the same in it" 0 "cloister_up 1" \
    sh -c "python3 regress/prom.py <'$T/node/cloister.prom'"
expect "for others to read" 0 "644" stat -c %a "$T/node/cloister.prom"
expect "a directory that is not there" 1 "No such file" \
    ctl metrics --textfile "$T/nowhere/cloister.prom"
expect "an unknown option" 2 "usage" ctl metrics --text x
expect "both" 2 "" ctl --json metrics --textfile "$T/node/x.prom"

# What was used, as llmproxy says, also after a restart.
expect "usage" 0 "alice" ctl usage
expect "usage of one, by model" 0 '["alice","small",true,true]' \
    json 'select(.model == "small") | [.user, .model,
    .month_requests >= 3 and .day_requests <= .month_requests,
    .month_tokens > 0 and .day_tokens <= .month_tokens]' usage alice
expect_not "and no other's" bob ctl usage alice
expect "requests that failed are counted" 0 "1" \
    json 'select(.model == "bad") | .month_requests' usage alice
expect "usage of nobody" 1 "no user eve" ctl usage eve

expect "usage of model allow" 2 "usage" ctl model allow alice
for e in admin.user.limit admin.model.allow admin.model.deny model.refuse; do
	expect "audited: $e" 0 "\"event\":\"$e\"" audit
done
expect "audit log" 0 "" ctl audit verify
service_stop
expect "metrics of no service" 3 "is cloisterd running" \
    ctl metrics --textfile "$T/node/cloister.prom"
expect "are that it is down" 0 "cloister_up 0" cat "$T/node/cloister.prom"
[ "$(ls "$T/node")" = cloister.prom ] && good "nothing else is left" ||
    bad "nothing else is left: $(ls "$T/node")"
