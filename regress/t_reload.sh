#!/bin/sh
# The configuration is read again while the service runs: refused whole, or in
# force at once; sessions and answers live on.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh

service_new
standin_start --delay-ms 30
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
KEY_FILE=$T/api.key
MODELS="echo:echo long:long-2"
(umask 077 && echo secret >"$KEY_FILE")
service_init
service_start
user_new alice

roles_now() {	# all but those that may be started anew
	ctl status | awk '$2 == "pid" { print $1, $3 }' | grep -v -e "${1:-^$}"
}

audited() {
	grep -c "\"event\":\"$1\"" "$T/state/audit/audit.log" || true
}

# Nothing has changed: nobody is started anew.
roles_now >"$T/before"
expect "a reload without a change" 0 "the configuration is in force" ctl reload
roles_now >"$T/after"
cmp -s "$T/before" "$T/after" && good "starts nobody anew" ||
    bad "starts nobody anew"
expect "and the service serves" 0 "still here" as alice ask -m echo "still here"

# A mistake is refused whole, with its line.
cp "$T/cloisterd.conf" "$T/good.conf"
{
	echo "shaping = off"
	cat "$T/good.conf"
	echo "model late { provider = nobody upstream = x }"
} | grep -v '^shaping = off' >"$T/cloisterd.conf"
"$B/cloisterd" -t -f "$T/cloisterd.conf" 2>"$T/why" || true
ctl_other() {	# ask while the file is wrong
	"$B/cloisterctl" -f "$T/ctl.conf" "$@"
}
cp "$T/good.conf" "$T/ctl.conf"
expect "a mistake is refused" 1 "unknown provider" ctl_other reload
grep -qF "$(sed 's/^[^:]*://' "$T/why")" "$T/expect.out" &&
    good "with what cloisterd -t says" || bad "with what cloisterd -t says"
expect_not "and nothing of it is in force" "late" as alice models
expect "the refusal is in the audit log" 0 "1" audited reload.refuse

# What needs a restart is named, and takes the rest with it.
refused() {	# name, sed expression, what is said
	sed "$2" "$T/good.conf" >"$T/cloisterd.conf"
	echo "model late { provider = upstream upstream = x }" \
	    >>"$T/cloisterd.conf"
	expect "$1 needs a restart" 1 "$3" ctl_other reload
}
refused "listen" "s/^listen.*/listen = { '127.0.0.1:1' }/" "listen:"
refused "state_dir" "s,^state_dir.*,state_dir = '/x'," "state_dir:"
refused "min_landlock_abi" "s/^limits {/&\nmin_landlock_abi = 2/" \
    "min_landlock_abi:"
refused "another provider" \
    '$a provider more { url = "http://127.0.0.1:9" user = "1234" }' \
    "the number of providers:"
expect_not "and takes the rest with it" "late" as alice models

# New models, limits and the log's level, while an answer is under way: of a
# provider that stays as it is, the answer goes on.
cp "$T/good.conf" "$T/cloisterd.conf"
sed -i 's/^limits {/&\n	max_prompt = 2000/; 1i log_level = "debug"' \
    "$T/cloisterd.conf"
as alice ask -m long "meanwhile" >"$T/long.out" 2>"$T/long.err" &
LONG=$!
wait_for test -s "$T/long.out"
expect "limits and the log's level" 0 "in force" ctl reload
wait "$LONG" && good "an answer in flight goes on" ||
    bad "an answer in flight goes on"
head -c 3000 /dev/zero | tr '\0' x >"$T/too-long"
too_long() {
	as alice ask -m echo <"$T/too-long"
}
expect "the new limit holds" 1,2,6 "" too_long
roles_now >"$T/after"
cmp -s "$T/before" "$T/after" && good "and nobody was started anew" ||
    bad "and nobody was started anew"

# A session that is open uses a model that was added meanwhile.
mkfifo "$T/chat.in"
as alice chat -m echo <"$T/chat.in" >"$T/chat.out" 2>&1 &
CHAT=$!
exec 3>"$T/chat.in"
echo "first" >&3
wait_for grep -q "first" "$T/chat.out"
echo "model added { provider = upstream upstream = echo }" \
    >>"$T/cloisterd.conf"
expect "a model is added" 0 "llmproxy[0]" ctl reload
wait_for as alice ask -m added "is it back?"	# its llmproxy is a new one
expect "and can be asked" 0 "to the new one" as alice ask -m added "to the new one"
expect "it is listed" 0 "added" as alice models
echo "second" >&3
wait_for grep -q "second" "$T/chat.out" && good "an open session lives on" ||
    bad "an open session lives on"
exec 3>&-
wait "$CHAT" || true
roles_now llmproxy >"$T/after"
grep -v llmproxy "$T/before" | cmp -s - "$T/after" &&
    good "one llmproxy alone was started anew" ||
    bad "one llmproxy alone was started anew"

# Another address: the connector's sandbox is made anew, too.
standin_start
sed -i "s,url = .*,url = \"http://127.0.0.1:$UPSTREAM_PORT/v1\"," \
    "$T/cloisterd.conf"
expect "another address of a provider" 0 "connector" ctl reload
wait_for as alice ask -m echo "elsewhere" &&
    good "is where questions go" || bad "is where questions go"

# By signal, as well.
sed -i '/^model added/d' "$T/cloisterd.conf"
kill -HUP "$SERVICE_PID"
gone_model() {
	! as alice models | grep -q added
}
wait_for gone_model && good "SIGHUP does the same" || bad "SIGHUP does the same"
expect "a model that is gone is refused" 6 "" as alice ask -m added "hello?"
sum=$(sha256sum <"$T/cloisterd.conf")
grep '"event":"reload"' "$T/state/audit/audit.log" | tail -n 1 |
    grep -qF "${sum%% *}" && good "the audit log has the file's hash" ||
    bad "the audit log has the file's hash"
expect "it stops in order" 0 "" service_stop
