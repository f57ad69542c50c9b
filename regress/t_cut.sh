#!/bin/sh
# The network is lost at each stage of a question: it is asked once or not at all,
# and what the client says of it is so.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh

service_new
standin_start --delay-ms 0 --log "$T/standin.log"
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS="echo:echo long:long"
service_init
service_start
user_new alice

RELAY=$(free_port)
"$B/relay" "$PORT" "$RELAY" "$T/cut" >"$T/relay.out" &
PIDS="$PIDS $!"
wait_for grep -q '^listening' "$T/relay.out" || die "no relay"
(umask 077; echo "127.0.0.1:$RELAY $FINGERPRINT" >>"$T/alice/known_servers")

through() {
	as alice -H "127.0.0.1:$RELAY" "$@"
}
upstream() {
	grep -c . "$T/standin.log" || true
}
# What a whole question takes in each direction.
passed() {
	awk -v n="$1" -v d="$2" '$1 == n && $2 == d { s += $4 } END { print s }' \
	    "$T/relay.out"
}
idle() {	# nothing is under way: the last session has stored what it had
	[ "$(ctl session list | wc -l)" -le "$1" ]
}
IDLE=$(ctl session list | wc -l)

touch "$T/standin.log"
through ask "a question of usual length" >/dev/null
wait_for grep -q '^1 e' "$T/relay.out"
C=$(passed 1 c) S=$(passed 1 s)
N=0

# cut NAME DIRECTION BYTES: ask while the connection is cut there.
cut_at() {
	N=$((N + 1))
	_text="a question of usual kind $N"
	_before=$(upstream)
	echo "$2 $3" >"$T/cut"
	_rc=0
	through ask "$_text" >"$T/cut.out" 2>"$T/cut.err" || _rc=$?
	if ! wait_for idle "$IDLE"; then
		bad "$1: a session stays"
	fi
	_asked=$(($(upstream) - _before))
	as alice search "usual kind $N" >"$T/found" 2>/dev/null
	_stored=$(grep -c "	you	" "$T/found" || true)
	_why=
	[ ! -e "$T/cut" ] || _why="it was not cut"
	[ $_asked -le 1 ] || _why="it was asked $_asked times"
	[ "$_stored" -le 1 ] || _why="it was stored $_stored times"
	[ $_asked -eq "$_stored" ] || [ "$_stored" -eq 1 ] ||
	    _why="asked $_asked, stored $_stored"
	case $_rc in
	0)
		grep -qx "$_text" "$T/cut.out" || _why="no answer" ;;
	3)
		if grep -q "does not have your question" "$T/cut.err"; then
			[ "$_stored" -eq 0 ] || _why="it has it all the same"
		elif grep -q "has your question" "$T/cut.err"; then
			[ "$_stored" -eq 1 ] || _why="it does not have it"
		elif grep -q "nothing was asked" "$T/cut.err"; then
			[ $_asked -eq 0 ] || _why="it was"
		else
			_why="it does not say what became of the question"
		fi ;;
	*)
		_why="status $_rc" ;;
	esac
	if [ -z "$_why" ]; then
		good "$1: asked $_asked, status $_rc"
	else
		bad "$1: $_why"
		sed 's/^/    /' "$T/cut.err"
	fi
}

# The question's record has 532 bytes, and 63 follow it to say the end; the server
# says 556 bytes and the answer behind its part of the handshake.
cut_at "at once" c 1
cut_at "in the server's hello" s 60
cut_at "in the client's proof" c 3000
cut_at "in the server's welcome" s 1500
cut_at "in the question" c $((C - 63 - 300))
cut_at "at the question's last byte but one" c $((C - 64))
cut_at "behind the question" c $((C - 63))
cut_at "in the word that it is stored" s 1600
cut_at "before the answer" s 1663
cut_at "before the last word" s 2019
cut_at "in the last word" s $((S - 20))

# A long answer, in a chat at a terminal: it goes on by itself.
cat >"$T/script" <<SCRIPT
set timeout 20
proc see {what} { expect {
	-re \$what { return }
	timeout { puts "NOT SEEN: \$what"; exit 1 }
	eof { puts "ENDED BEFORE: \$what"; exit 1 } } }
spawn $B/cloister -H 127.0.0.1:$RELAY chat -m long
see {> }
send "count for me\r"
see {connection lost}
see {the whole answer|has your question}
see {> }
send "/model echo\r"
see {> }
send "after the loss\r"
see {\nafter the loss}
see {> }
send "\004"
expect eof
exit [lindex [wait] 3]
SCRIPT
before=$(upstream)
echo "s 20000" >"$T/cut"
if CLOISTER_HOME="$T/alice" TERM=xterm command expect -f "$T/script" \
    >"$T/terminal.out" 2>&1; then
	good "a chat goes on after a loss, and says what became of the question"
else
	bad "a chat goes on after a loss, and says what became of the question"
	tail -n 20 "$T/terminal.out" | cat -v | sed 's/^/    /'
fi
[ "$(upstream)" -eq $((before + 2)) ] && good "... two questions, asked once each" ||
    bad "... two questions, asked once each: $(($(upstream) - before))"
service_stop
