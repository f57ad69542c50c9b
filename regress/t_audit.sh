#!/bin/sh
# The audit log, end to end: what verifies it with which keys, each thing that
# somebody may do to its files, other files, a logger that is killed at any time,
# checkpoints checked by openssl(1) alone, log levels.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh

service_new
standin_start
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS=echo:echo
service_init
service_start
user_new alice
user_new bob
SAY="what nobody else is told"
as alice ask "$SAY" >/dev/null
as bob ask "$SAY" >/dev/null
AUDIT=$T/state/audit

# An event that documentation promises is written somewhere.
unwritten=$(sed -n 's/^EVENT(\([a-z_]*\),.*/EV_\1/p' common/events.def |
    while read -r _e; do
	grep -qw "$_e" ./*/*.c || echo "$_e"
    done)
[ -z "$unwritten" ] && good "every event of the table is written somewhere" ||
    bad "every event of the table is written somewhere: $unwritten"

# ---- while the service runs --------------------------------------------------

expect "a running service's log verifies" 0 "good: " ctl audit verify
expect "by signed checkpoints, too" 0 "checkpoints: " ctl audit verify
expect "as JSON" 0 '"good":true' ctl --json audit verify
expect "a user's lines" 0 "auth.accept user=alice" ctl audit show --user alice
expect_not "and no other's" bob ctl audit show --user alice
expect "an event's" 0 "admin.key.add user=bob" \
    ctl audit show --event admin.key.add
expect "a group of events" 0 "admin.user.add" ctl audit show --event admin.
expect_not "no others" auth.accept ctl audit show --event admin.
expect_not "since a time to come" seq \
    ctl --json audit show --since 2999-01-01
expect "since an hour ago" 0 "admin.user.add" ctl audit show --since 1h
expect_not "until then" seq ctl --json audit show --until 2020
expect "a role's" 0 '"role":"cloisterd"' \
    ctl audit show --role cloisterd --json
expect "sandboxes, with their Landlock ABI" 0 "landlock=" \
    ctl audit show --event role.start
expect "the configuration's hash" 0 \
    "sha256=$(sha256sum "$T/cloisterd.conf" | cut -d ' ' -f 1)" \
    ctl audit show --event config
expect_not "no prompt" "$SAY" ctl audit show
expect "a bad time is said" 2 "not a time" ctl audit show --since yesterday
expect "nothing to verify with" 2 "nothing to verify with" \
    ctl audit verify "$AUDIT/audit.log"

"$B/cloisterctl" -f "$T/cloisterd.conf" audit follow --event admin. \
    >"$T/followed" 2>&1 &
FOLLOW=$!
PIDS="$PIDS $FOLLOW"
follows() {
	for _f in "/proc/$FOLLOW/fd/"*; do
		case "$(readlink "$_f")" in
		*/audit/audit.log) return 0 ;;
		esac
	done
	return 1
}
wait_for follows || bad "audit follow reads the log"

# ---- another file ----------------------------------------------------------------

files() {
	ls "$AUDIT" | grep -c '^audit\.log' || true
}
two() {
	[ "$(files)" -eq 2 ]
}
expect "another file is asked for" 0 "asked for" ctl audit rotate
wait_for two && good "and there" || bad "and there"
user_new carol
wait_for grep -q "audit.rotate" "$AUDIT"/audit.log.* &&
    good "the old one says so" || bad "the old one says so"
switched() {
	grep -q '"user":"carol"' "$AUDIT/audit.log"
}
wait_for switched && good "the log goes on in the new one" ||
    bad "the log goes on in the new one"
expect "who asked is written down" 0 "uid=" \
    ctl audit show --event admin.audit.rotate
expect "both verify as one" 0 "in 2 files" ctl audit verify
followed() {
	grep -q "admin.user.add user=carol" "$T/followed"
}
wait_for followed && good "who follows the log follows it there" ||
    bad "who follows the log follows it there"
kill $FOLLOW

# ---- log levels --------------------------------------------------------------------

says() {
	grep -c "storaged\[.*usage" "$T/cloisterd.log" || true
}
expect "a role is told to say less" 0 "done" ctl log level storaged error
N=$(says)
as alice ask "quiet" >/dev/null
sleep 0.3
[ "$(says)" -eq "$N" ] && good "it does" || bad "it does"
expect "and to say more" 0 "done" ctl log level all debug
as alice ask "loud" >/dev/null
more() {
	[ "$(says)" -gt "$N" ]
}
wait_for more && good "it does, too" || bad "it does, too"
expect "a role that there is not" 1 "no role" ctl log level nobody debug
expect "a level that there is not" 2 "a level is" ctl log level all loud
expect "who did it is written down" 0 "role=storaged level=3 uid=" \
    ctl audit show --event admin.log.level
service_stop

# ---- on another machine, with what is public, or with the first key ------------

mkdir "$T/away"
cp "$AUDIT"/audit.log* "$AUDIT/audit.state" "$T/state/keys/host.pub" \
    "$T/state/keys/audit.key" "$T/away"
LOGS=$(ls "$T"/away/audit.log.*)
NEWEST=$T/away/audit.log
away() {
	"$B/cloisterctl" audit verify "$@"
}
public() {
	away --host-key "$T/away/host.pub" "$@"
}
secret() {
	away --key "$T/away/audit.key" --state "$T/away/audit.state" "$@"
}
expect "with the public key alone" 0 "lines behind it: 1" public $LOGS "$NEWEST"
expect "with the first key and the state" 0 "good: " secret $LOGS "$NEWEST"
expect "the end alone is not all" 4 "dropped" public "$NEWEST"
FIRST=$(head -n 1 "$NEWEST" | sed 's/.*"seq":\([0-9]*\),.*/\1/')
expect "unless it is asked for" 0 "good: " public --first "$FIRST" "$NEWEST"
expect "files exchanged" 4 "reordered" public "$NEWEST" $LOGS
openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:3072 \
    -pkeyopt rsa_pss_keygen_md:sha256 -pkeyopt rsa_pss_keygen_mgf1_md:sha256 \
    -pkeyopt rsa_pss_keygen_saltlen:32 2>/dev/null |
    openssl pkey -pubout -outform DER -out "$T/away/other.pub" 2>/dev/null
expect "with another server's key" 4 "forged checkpoint" \
    away --host-key "$T/away/other.pub" $LOGS "$NEWEST"

# ---- a checkpoint without a line of Cloister's code ---------------------------------

value() {	# NAME: of the last checkpoint
	grep '"event":"audit.checkpoint"' "$NEWEST" | tail -n 1 |
	    sed "s/.*\"$1\":\"\{0,1\}\([^,\"}]*\).*/\1/"
}
hex() {
	printf %s "$1" | tr a-f A-F | basenc --base16 -d
}
{
	printf '%64s' ''
	printf 'Cloister v1 audit checkpoint\0\001'
	hex "$(printf %016x "$(value line)")"
	hex "$(value hash)"
	hex "$(printf %016x "$(value signed_us)")"
	hex "$(value key)"
} >"$T/away/signed"
value sig | base64 -d >"$T/away/sig"
openssl pkey -pubin -inform DER -in "$T/away/host.pub" \
    -out "$T/away/host.pem" 2>/dev/null
expect "openssl verifies a checkpoint" 0 "Verified OK" \
    openssl dgst -sha256 -sigopt rsa_padding_mode:pss \
    -sigopt rsa_pss_saltlen:32 -verify "$T/away/host.pem" \
    -signature "$T/away/sig" "$T/away/signed"
LINE=$(grep "\"seq\":$(value line)," "$NEWEST")
[ "$(printf %s "$LINE" | sha256sum | cut -d ' ' -f 1)" = "$(value hash)" ] &&
    good "the hash is that line's" || bad "the hash is that line's"
[ "$(value key)" = "$(sha256sum <"$T/away/host.pub" | cut -d ' ' -f 1)" ] &&
    good "the key is the host's" || bad "the key is the host's"

# ---- what somebody may do to the files ---------------------------------------------

# N is a line of the newest file with covered ones around it; S its number.
N=3
S=$((FIRST + N - 1))
attempts=0 unnoticed=0
# tamper NAME REASON FILE-LINE FILE [PUBLIC-REASON PUBLIC-LINE]: the file in the
# place of the newest one, by each kind of proof.
tamper() {
	for _proof in secret public; do
		_why=$2 _line=$3
		[ $_proof = secret ] || { _why=${5:-$2} _line=${6:-$3}; }
		attempts=$((attempts + 1))
		expect "$_proof: $1 is named $_why" 4 \
		    "line $_line, sequence number $((FIRST + _line - 1)): $_why" \
		    $_proof $LOGS "$4"
		$_proof $LOGS "$4" >/dev/null 2>&1 &&
		    unnoticed=$((unnoticed + 1)) || true
	done
}
X=$T/away/x
sed "${N}s/\"pid\":/\"pid\":1/" "$NEWEST" >"$X"
tamper "an edit" edited $N "$X"
sed "${N}d" "$NEWEST" >"$X"
tamper "a drop" dropped $N "$X"
sed "${N}{h;d};$((N + 1)){G}" "$NEWEST" >"$X"
tamper "an exchange" reordered $N "$X"
sed "${N}p" "$NEWEST" >"$X"
tamper "a repetition" reordered $((N + 1)) "$X"
{ head -n $((N - 1)) "$NEWEST"; sed -n 4p $LOGS; tail -n +$N "$NEWEST"; } >"$X"
tamper "an old line put in" reordered $N "$X"
{ head -n $((N - 1)) "$NEWEST"; echo '{"time":"x"}'; tail -n +$N "$NEWEST"; } \
    >"$X"
tamper "a made up line" edited $N "$X"
head -c -2 "$NEWEST" >"$X"
tamper "a torn end" truncated "$(wc -l <"$NEWEST")" "$X"
attempts=$((attempts + 1))
sed '$d' "$NEWEST" >"$X"
expect "secret: a dropped end is named truncated" 4 "truncated" \
    secret $LOGS "$X"
expect "public: what is left is no more than the last checkpoint covers" 0 \
    "up to line" public $LOGS "$X"
CP=$(grep -n '"event":"audit.checkpoint"' "$NEWEST" | head -n 1 | cut -d : -f 1)
sed "${CP}s/\"signed_us\":1/\"signed_us\":2/" "$NEWEST" >"$X"
attempts=$((attempts + 1))
expect "public: a forged checkpoint is named" 4 "line $CP, " public $LOGS "$X"
echo "count audit attempts $attempts unnoticed $unnoticed"

# A splice: the beginning of this log with the end of another service's.
mv "$T/state" "$T/state.first"
service_init
service_start
user_new dave >/dev/null
service_stop
cat $LOGS "$NEWEST" | head -n 12 >"$X"
tail -n +13 "$AUDIT/audit.log" >>"$X"
expect "secret: a splice is named" 4 \
    "line 13, sequence number 13: spliced" secret "$X"
expect "public: a splice is named" 4 \
    "line 13, sequence number 13: spliced" public "$X"
rm -r "$T/state"
mv "$T/state.first" "$T/state"

# ---- a logger that is killed ---------------------------------------------------------

gone() {
	! kill -0 "$SERVICE_PID" 2>/dev/null
}
for i in 1 2 3 4; do
	service_start
	(
		while ctl audit rotate && ctl user list; do
			[ "$i" -gt 2 ] || sleep 0.2
		done
	) >/dev/null 2>&1 &
	BUSY=$!
	sleep "0.$((i * 17 + 5))"
	kill -9 "$(role_pid logger)"
	wait_for gone || bad "the service ends with its logger"
	wait "$SERVICE_PID" || true
	wait $BUSY || true
	SERVICE_PID=
done
service_start
expect "after all that the log is whole" 0 "good: " ctl audit verify
expect_not "and nothing says otherwise" audit.tamper ctl audit show
expect "with old and new lines" 0 "admin.user.add user=alice" \
    ctl audit show --event admin.user.add

# A change while the service is down is seen by the logger, and stays seen.
service_stop
sed -i '$s/"pid":/"pid":1/' "$AUDIT/audit.log"
service_start
expect "the logger says that it was changed" 0 "changed from outside" \
    cat "$T/cloisterd.log"
expect "in the log, too" 0 "audit.tamper" ctl audit show --event audit.tamper
expect "and it never verifies again" 4 "edited" ctl audit verify
service_stop
