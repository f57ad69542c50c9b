#!/bin/sh
# What a person does at a terminal: a passphrase, the question at first contact,
# a chat with ^C and ^D.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh

# at_terminal NAME: run the expect(1) script on standard input; it exits 0 when
# everything was seen.
at_terminal() {
	{
		echo 'set timeout 20'
		echo 'proc see {what} { expect {
			-re $what { return }
			timeout { puts "NOT SEEN: $what"; exit 1 }
			eof { puts "ENDED BEFORE: $what"; exit 1 } } }'
		echo 'proc ends {} { expect { eof {} timeout { exit 1 } }
			return [lindex [wait] 3] }'
		cat
	} >"$T/script"
	if CLOISTER_HOME="$T/alice" TERM=xterm command expect -f "$T/script" \
	    >"$T/terminal.out" 2>&1; then
		good "$1"
	else
		bad "$1"
		tail -n 20 "$T/terminal.out" | cat -v | sed 's/^/    /'
	fi
}

service_new
standin_start --delay-ms 20
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS="echo:echo long:long slow:slow"
service_init
service_start
mkdir -m 700 "$T/alice"
echo "content of a file" >"$T/attached.txt"

at_terminal "keygen asks for a passphrase, twice" <<EOF
spawn $B/cloister keygen
see {assphrase}
send "correct horse\r"
see {assphrase|gain}
send "correct horse\r"
see {id_cloister.pub}
exit [ends]
EOF
expect "the private keys are encrypted" 0 "ENCRYPTED" \
    cat "$T/alice/id_cloister"
ctl user add alice >/dev/null
ctl key add alice "$T/alice/id_cloister.pub" >/dev/null
(umask 077; echo "server = \"127.0.0.1:$PORT\"" >"$T/alice/config")

at_terminal "first contact: no means no" <<EOF
spawn $B/cloister ask hello
see {assphrase}
send "correct horse\r"
see {This is the first contact}
see {yes, no}
send "no\r"
if {[ends] != 4} { exit 1 }
EOF
at_terminal "first contact: yes is remembered" <<EOF
spawn $B/cloister ask hello
see {assphrase}
send "correct horse\r"
see {yes, no}
send "yes\r"
see {hello}
exit [ends]
EOF
at_terminal "a wrong passphrase, then the right one" <<EOF
spawn $B/cloister ask "once more"
see {assphrase}
send "wrong\r"
see {wrong passphrase}
see {Passphrase}
send "correct horse\r"
see {once more\r\n}
exit [ends]
EOF
at_terminal "a chat: two turns, then ^D" <<EOF
spawn $B/cloister chat -m echo
see {assphrase}
send "correct horse\r"
see {> }
send "first line of a chat\r"
see {\nfirst line of a chat}
see {> }
send "second line of a chat\r"
see {\nsecond line of a chat}
see {> }
send "\004"
exit [ends]
EOF
at_terminal "a chat: commands, completion, several lines, a file" <<EOF
spawn $B/cloister chat -m long
see {assphrase}
send "correct horse\r"
see {> }
send "/mo\techo\r"
see {from now on: echo}
send "/nonsense\r"
see {no command}
send "/help\r"
see {/file}
send "\"\"\"\r"
see {\.\.\. }
send "line one\r"
see {\.\.\. }
send "line two\r"
see {\.\.\. }
send "\"\"\"\r"
see {\nline one\r\nline two}
send "/file $T/attached.txt\r"
see {goes with your next}
send "what is this\r"
see {\nwhat is this.*attached\.txt:.*content of a file}
send "//slash\r"
see {\n/slash}
send "/list\r"
see {[0-9]+  line one}
send "/quit\r"
exit [ends]
EOF
at_terminal "Markdown is rendered" <<EOF
spawn $B/cloister ask -m echo "# Head\nsome **bold** \`code\`"
see {assphrase}
send "correct horse\r"
see {\x1b\[1;34mHead.*\x1b\[1mbold.*\x1b\[36mcode}
exit [ends]
EOF
at_terminal "a sign while nothing comes" <<EOF
spawn $B/cloister ask -m slow "x"
see {assphrase}
send "correct horse\r"
see {1 s}
see {slow but here}
exit [ends]
EOF
at_terminal "^C ends the answer and not the chat" <<EOF
spawn $B/cloister chat -m long
see {assphrase}
send "correct horse\r"
see {> }
send "count for me\r"
see {word5 }
send "\003"
see {ancel|nterrupt}
see {> }
send "\004"
exit [ends]
EOF
service_stop
