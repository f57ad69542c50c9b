#!/bin/sh
# What somebody can do to the files of a stopped service without its keys: every
# change is noticed and named in the audit log, and refuses the conversation that
# it touches; who may come in, what was deleted and an older whole refuse the start.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh

CONVS=40
ATTEMPTS=0 UNNOTICED=0

service_new
standin_start
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS="echo:echo"
ENROLMENT=yes
service_init
DB=$T/state/db
LOG=$T/state/audit/audit.log
mkdir -m 777 "$T/kept"
service_start
user_new alice
user_new bob

# conv_new USER N: a conversation of four messages.
conv_new() {
	printf '{"format":"cloister conversation","version":1,"title":"number %s","messages":[{"role":"user","text":"question %s"},{"role":"assistant","text":"answer %s"},{"role":"user","text":"another %s"},{"role":"assistant","text":"the last %s"}]}' \
	    "$2" "$2" "$2" "$2" "$2" | as "$1" import - >/dev/null
}

# What is copied before the change, and what there is afterwards.
I=0
while [ $I -lt $CONVS ]; do
	I=$((I + 1))
	conv_new alice $I &
	[ $((I % 4)) -ne 0 ] || wait $! || bad "conversation $I is made"
done
conv_new bob 101
conv_new bob 102
ctl invite -t 1h bob >/dev/null
as alice list >"$T/alice.list"
as bob list >"$T/bob.list"
ctl key list bob >"$T/bob.key"
service_stop || bad "a clean stop has status 0"
cp -a "$T/state" "$T/older"
"$B/tamper" "$DB" save CLDM "" "$T/kept/older" save KkH "" "$T/kept/accounts"

# conv N: the id of that conversation.
conv() {
	awk -F '\t' -v t="number $1" '$4 == t { print $1 }' "$T/alice.list" \
	    "$T/bob.list"
}

service_start
for n in 5 6 11 25; do
	as alice ask --cid "$(conv $n)" "and more" >/dev/null
done
as alice delete "$(conv 7)" >/dev/null
ctl key revoke bob "$(awk 'NR == 1 { print $1 }' "$T/bob.key")" >/dev/null
service_stop || bad "a clean stop has status 0"
cp -a "$T/state" "$T/right"

right() {
	rm -rf "$DB/data" "$DB/log" "$T/state/vault"
	cp -a "$T/right/db/data" "$T/right/db/log" "$DB/"
	cp -a "$T/right/vault" "$T/state/"
	SEEN=$(wc -l <"$LOG")
}
audited() {
	tail -n "+$((SEEN + 1))" "$LOG"
}
edit() {
	"$B/tamper" "$DB" "$@" || die "the editor failed: $*"
}
# keys KIND [N]: the keys of a kind that belong to a conversation.
keys() {
	_id=${2:+$(conv "$2")}
	"$B/tamper" "$DB" list "$1" | grep -e "$_id"
}
# msg N NUMBER CHUNK: the key of a message.
msg() {
	printf '4d%s%016x%04x' "$(conv "$1")" "$2" "$3"
}
# hex of the ids, put together by kind
C() { printf '43%s%s' "${2:-$ALICE}" "$(conv "$1")"; }
D() { printf '44%s%s' "${2:-$ALICE}" "$(conv "$1")"; }

noticed() {	# what, status of the check
	ATTEMPTS=$((ATTEMPTS + 1))
	if [ "$2" = 0 ]; then
		good "noticed: $1"
	else
		UNNOTICED=$((UNNOTICED + 1))
		bad "not noticed: $1"
	fi
}

# started: the service starts; everything of alice is read in one session.
started() {
	service_start
	as alice list >"$T/list" 2>&1 || bad "the list: $(cat "$T/list")"
	as alice search the last >"$T/found" 2>&1 || bad "search"
}
stopped() {
	: >"$T/touched"
	service_stop || bad "a clean stop has status 0"
}

named() {
	audited | grep '"event":"storage.tamper"' | grep -q -e "$1"
}

# touched WHAT N: that conversation is refused and named.
touched() {
	_s=0 _id=$(conv "$2")
	as alice show "$_id" >"$T/shown" 2>&1 && _s=2
	named "$_id" || _s=1
	! grep -q "the last $2\$" "$T/shown" || _s=3
	noticed "$1" $_s
	echo "$2" >>"$T/touched"
}

# entry WHAT N: that conversation is shown as changed in the list, and named.
entry() {
	_s=0 _id=$(conv "$2")
	named "$_id" || _s=1
	grep -q "^$_id.*(refused: it was changed" "$T/list" || _s=2
	noticed "$1" $_s
	echo "$2" >>"$T/touched"
}

# others WHAT: the others are served, all of them.
others() {
	_bad=
	for n in $(seq 1 $CONVS); do
		grep -qx -e "$n" "$T/touched" || [ "$n" = 7 ] || {
			grep -q "$(conv $n).*number $n\$" "$T/list" &&
			    grep -q "the last $n\$" "$T/found"
		} || _bad="$_bad $n"
	done
	if [ -z "$_bad" ]; then
		good "$1: the others are served"
	else
		bad "$1: not served though nobody touched them:$_bad"
	fi
	stopped
}

# whole WHAT TEXT: the service does not start, says so, and it is audited.
whole() {
	_s=0
	timeout 60 "$B/cloisterd" -f "$T/cloisterd.conf" -L "$B" \
	    >"$T/whole.out" 2>&1 || _s=$?
	cat "$T/whole.out" >>"$T/cloisterd.log"
	case $_s in 0 | 124) noticed "$1 (it starts)" 1; return ;; esac
	grep -qF -e "$2" "$T/whole.out" && _s=0 || _s=1
	audited | grep -q '"event":"\(storage.tamper\|vault.refuse\)"' || _s=2
	[ $_s = 0 ] || tail -n 3 "$T/whole.out"
	noticed "$1" $_s
}

ALICE=$(keys C 1 | cut -c 3-34)
BOB=$(keys C 101 | cut -c 3-34)
: >"$T/touched"

# Nothing changed: nothing is noticed.
right
started
if named ""; then
	bad "control: tampering where there is none"
else
	good "control: without a change nothing is noticed"
fi
others control

# Heads.
right
edit flip "$(C 1)" cut "$(C 2)" 30 drop "$(C 3)" \
    swap "$(C 4)" "$(C 101 "$BOB")" \
    save CLD "" "$T/kept/now" wipe C "$(conv 5)" wipe CLDM "$(conv 6)" \
    wipe CLDM "$(conv 8)"
# Older ones of 5 and 6 out of what was kept.
"$B/tamper" "$T/older/db" save C "$(conv 5)" "$T/kept/5" \
    save CLDM "$(conv 6)" "$T/kept/6" save CLDM "$(conv 7)" "$T/kept/7"
edit load "$T/kept/5" load "$T/kept/6"
started
touched "a head with another bit" 1
touched "a head cut" 2
touched "a head removed" 3
touched "heads exchanged between users" 4
touched "an older head" 5
touched "an older state of a whole conversation" 6
touched "a conversation removed with everything" 8
others heads

right
edit move "$(C 1)" "$(C 1 "$BOB")" copy "$(C 2)" "$(C 2 "$BOB")" \
    swap "$(C 3)" "$(C 4)" cut "$(C 9)" 3 long "$(C 10)" 6000 load "$T/kept/7" \
    copy "$(C 12)" "$(C 12)$(printf '%0800d' 0)"
started
touched "a head moved to another user" 1
noticed "a head under another user's name too" \
    "$(named "$(conv 2) does not verify"; echo $?)"
touched "heads exchanged (one)" 3
touched "heads exchanged (the other)" 4
touched "a head of three bytes" 9
touched "a head of 6000 bytes" 10
noticed "a deleted conversation put back" \
    "$(named "$(conv 7): there is no such"; echo $?)"
noticed "a key of 433 bytes" \
    "$(grep -q "with a key that none has" "$T/cloisterd.log"; echo $?)"
others "more heads"

# Data keys, entries in the list, messages.
right
edit flip "$(D 1)" drop "$(D 2)" swap "$(D 3)" "$(D 101 "$BOB")" cut "$(D 4)" 40 \
    cut "$(D 5)" 2 long "$(D 6)" 9000 swap "$(D 8)" "$(D 9)" \
    flip "$(keys L 10)" drop "$(keys L 12)" cut "$(keys L 13)" 9 \
    swap "$(keys L 14)" "$(keys L 15)" \
    flip "$(msg 16 1 0)" drop "$(msg 17 1 0)" drop "$(msg 18 4 0)" \
    swap "$(msg 19 1 0)" "$(msg 19 3 0)" \
    copy "$(msg 20 4 0)" "$(msg 20 5 0)" copy "$(msg 21 1 0)" "$(msg 21 1 1)" \
    cut "$(msg 22 2 0)" 60 long "$(msg 23 2 0)" 5000 cut "$(msg 24 3 0)" 1 \
    move "$(msg 26 2 0)" "$(msg 26 2 1)" \
    swap "$(msg 27 2 0)" "$(msg 101 2 0)" swap "$(msg 28 2 0)" "$(msg 29 2 0)" \
    wipe M "$(conv 30)" junk "$(msg 31 9 0)" 100 \
    copy "$(msg 32 1 0)" "$(msg 32 1 0)00"
_l=$(keys L 33)
edit move "$_l" "4c$BOB${_l#4c$ALICE}"
_l=$(keys L 34)
edit copy "$_l" "4c$ALICE$(printf '%016x' 1)$(conv 34)"
_l=$(keys L 35)
edit copy "$_l" "4c$ALICE$(printf '%016x' 2)00112233445566778899aabbccddeeff"
"$B/tamper" "$T/older/db" save L "$(conv 25)" "$T/kept/25" \
    save L "$(conv 11)" "$T/kept/11"
_l=$(keys L 11)
edit drop "$_l" load "$T/kept/11" load "$T/kept/25"
started
touched "a data key with another bit" 1
touched "a data key removed" 2
touched "data keys exchanged between users" 3
touched "a data key cut" 4
touched "a data key of two bytes" 5
touched "a data key of 9000 bytes" 6
touched "data keys exchanged (one)" 8
touched "data keys exchanged (the other)" 9
entry "an entry of the list with another bit" 10
entry "an entry of the list removed" 12
entry "an entry of the list cut" 13
entry "entries of the list exchanged (one)" 14
entry "entries of the list exchanged (the other)" 15
touched "a message with another bit" 16
touched "the first message removed" 17
touched "the last message removed" 18
touched "messages in another order" 19
touched "the last message once more" 20
touched "a chunk once more" 21
touched "a message cut" 22
touched "a message of 5000 bytes" 23
touched "a message of one byte" 24
touched "a chunk with another number" 26
touched "messages exchanged between users" 27
touched "messages exchanged (one)" 28
touched "messages exchanged (the other)" 29
touched "all messages removed" 30
touched "a message far behind the last" 31
touched "a message under a longer key" 32
entry "an entry moved to the list of another user" 33
entry "an older entry in place of the newest" 11
for n in 34 25; do
	noticed "another entry of a conversation ($n)" \
	    "$(named "$(conv $n): an old entry"; echo $?)"
done
noticed "an entry of a conversation that is not there" "$(named \
    "in the list that does not exist"; echo $?)"
others "keys, entries, messages"

# What is not of one conversation.
for k in U K k I X H R; do
	_k=$(keys $k | head -n 1)
	for what in flip drop; do
		right
		edit $what "$_k"
		whole "$k: $what" ""
	done
done
right
edit load "$T/kept/accounts"
whole "a revoked key put back, with H" ""
right
"$B/tamper" "$T/older/db" save Kk "" "$T/kept/keys"
edit load "$T/kept/keys"
whole "a revoked key put back" "do not add up"
right
edit $(for n in 1 2 3 4 5 6 8 9 10; do echo drop "$(C $n)"; done)
whole "more heads than can be told apart" "do not add up"

# The log: what was acknowledged is in it alone.
right
service_start
LOGFILE=$(find "$DB/log" -name "log.*" | sort | tail -n 1)
cp "$T/state/vault/anchor" "$LOGFILE" "$T/kept/"
as alice ask "in the log alone" >/dev/null
anchored() {
	! cmp -s "$T/state/vault/anchor" "$T/kept/anchor"
}
wait_for anchored || bad "the anchor follows"
BEFORE=$(service_pids)
kill -9 "$(role_pid engine)"
wait "$SERVICE_PID" || true
SERVICE_PID=
wait_for gone || bad "the service ends"
rm -rf "$T/right"
cp -a "$T/state" "$T/right"
# The first byte of what was written since; the file was as long before.
WRITTEN=$(cmp "$LOGFILE" "$T/kept/${LOGFILE##*/}" |
    sed 's/.*byte \([0-9]*\).*/\1/')
truncate -s $((WRITTEN + 100)) "$LOGFILE"
whole "the last log cut" "it was rolled back"
right
printf 'XXXXXXXX' | dd of="$LOGFILE" bs=1 seek=$((WRITTEN + 40)) \
    conv=notrunc 2>/dev/null
whole "the last log with other bytes" "it was rolled back"
right
rm "$LOGFILE"
whole "the last log removed" ""
right

# An older whole: not without a word of the administrator's, on the record.
expect "nothing is to be accepted" 1 "there is nothing to accept" \
    ctl -L "$B" storage accept-rollback
right
rm -rf "$DB/data" "$DB/log"
cp -a "$T/older/db/data" "$T/older/db/log" "$DB/"
whole "an older copy of the whole database" "it was rolled back"
expect "accept-rollback" 0 "is accepted" ctl -L "$B" storage accept-rollback
if audited | grep -q '"event":"admin.storage.accept".*"uid":'"$(id -u)" &&
    audited | grep -q '"event":"storage.rollback"'; then
	good "it is on the record, with who did it"
else
	bad "it is on the record, with who did it"
fi
service_start
expect "it serves the older state" 0 "number 7" as alice list
expect "a running service is not touched" 1 "somebody is listening already" \
    ctl -L "$B" storage accept-rollback
as alice ask "after the rollback" >/dev/null
service_stop || bad "a clean stop has status 0"
SEEN=$(wc -l <"$LOG")
cp -a "$DB/data" "$DB/log" "$T/kept/"
rm -rf "$DB/data" "$DB/log"
cp -a "$T/right/db/data" "$T/right/db/log" "$DB/"
whole "what was given up put back" "it was rolled back"
rm -rf "$DB/data" "$DB/log"
cp -a "$T/kept/data" "$T/kept/log" "$DB/"
service_start
expect "and what came afterwards is there" 0 "after the rollback" as alice list
service_stop || bad "a clean stop has status 0"

# A database with nothing in it.
SEEN=$(wc -l <"$LOG")
edit wipe UKkCLMDIBXHR ""
whole "an empty database" "no record R"
expect "which cannot be accepted" 1 "no record R" \
    ctl -L "$B" storage accept-rollback

echo "count tamper attempts: $ATTEMPTS, unnoticed $UNNOTICED"
