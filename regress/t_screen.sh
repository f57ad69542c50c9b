#!/bin/sh
# A chat as it looks: a terminal of 80 columns and 24 lines, kept by tmux, whose
# whole screen is compared.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh

service_new
standin_start --delay-ms 5 --log "$T/standin.log"
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS="echo:echo long:long hang:hang request:request"
service_init
service_start
user_new alice

unset TMUX
mux() {
	command tmux -L cloister -S "$T/tmux" -f /dev/null "$@"
}
# chat WORDS...: a chat in a new terminal.
chat() {
	mux new-session -d -s chat -x 80 -y 24 "env LC_ALL=C.UTF-8 \
	    CLOISTER_HOME=$T/alice $B/cloister chat $*; echo status \$?; cat" ||
	    die "tmux does not start"
	mux set-option -g status off
	PIDS="$PIDS $(mux display-message -p '#{pid}')"
}
screen() {
	mux capture-pane -p -t chat | sed 's/ *$//' |
	    sed -e :a -e '/^\n*$/{$d;N;ba' -e '}'
}
is_screen() {
	screen >"$T/screen"
	cmp -s "$T/screen" "$T/screen.want"
}
# looks NAME: the screen becomes what is on standard input, and nothing else.
looks() {
	cat >"$T/screen.want"
	if wait_for is_screen; then
		good "$1"
	else
		bad "$1"
		diff -u "$T/screen.want" "$T/screen" | sed 's/^/    /' || true
	fi
}
# A line as typed, or keys by tmux's names.
types() {
	mux send-keys -t chat -l -- "$1"
	mux send-keys -t chat Enter
}
keys() {
	mux send-keys -t chat "$@"
}
shows() {
	screen | grep -qF -e "$1"
}
# sees NAME TEXT: the text comes on the screen.
sees() {
	if wait_for shows "$2"; then
		good "$1"
	else
		bad "$1: \"$2\" does not come"
		screen | sed 's/^/    /'
	fi
}
clears() {
	mux clear-history -t chat
	keys C-l
	wait_for is_clear || true
}
is_clear() {
	[ "$(screen | wc -l)" -eq 1 ]
}
asked() {
	grep -c . "$T/standin.log" || true
}
aborted() {
	[ "$(grep -c aborted "$T/standin.log")" -eq "$1" ]
}

HELLO="cloister: ^C cancels an answer, ^D ends, /help tells more"
chat -m echo
looks "the prompt" <<SCREEN
$HELLO
>
SCREEN
types "# A heading with **bold** and a \`word\`"
looks "an answer, its Markdown rendered" <<SCREEN
$HELLO
> # A heading with **bold** and a \`word\`
A heading with bold and a word
>
SCREEN
types "/he	"
sees "/help, by tab" "a question that begins with /"
clears
types '"""'
types "first line"
types "second line"
types '"""'
looks "a question of several lines" <<SCREEN
> """
... first line
... second line
... """
first line
second line
>
SCREEN
clears
types "/undo"
looks "/undo" <<SCREEN
> /undo
cloister: withdrawn, with its answer: first line ...
>
SCREEN
types "/model request"
clears
types "what is left"
sees "... and the model does not see it" '"content":"what is left"}]'
if shows "second line"; then
	bad "... nothing of it"
else
	good "... nothing of it"
fi
types "/model echo"
clears
n=$(asked)
types "/retry"
looks "/retry" <<SCREEN
> /retry
cloister: once more: what is left
what is left
>
SCREEN
[ "$(asked)" -eq $((n + 1)) ] && good "... asks once" || bad "... asks once"
clears
types "/edit"
sees "/edit shows the question again" "> what is left"
keys BSpace BSpace BSpace BSpace
types "new"
looks "... and asks what is made of it" <<SCREEN
> /edit
> what is new
what is new
>
SCREEN
clears
types "/edit"
sees "/edit, once more" "> what is new"
keys C-c
sees "... with ^C" ">"
types "/system Be a pirate."
types "/title Of what is new"
types "/export $T/chat.md"
sees "/export" "written:"
expect "... the last question is still there, once" 0 "what is new" \
    grep -x "what is new" "$T/chat.md"
expect_not "... what was withdrawn is not" "what is left" cat "$T/chat.md"
expect "... under its title" 0 "# Of what is new" cat "$T/chat.md"
types "/export $T/chat.md"
sees "... and over no file" "choose another name"
types "/model request"
clears
types "ahoy"
sees "/system" '"role":"system","content":"Be a pirate."'
types "/new"
types "/undo"
sees "/undo where nothing was asked" "nothing was asked here yet"

types "/model hang"
clears
types "a question without an answer"
sees "a sign while nothing comes" " 0 s"
keys C-c
looks "^C before the first word" <<SCREEN
> a question without an answer
cloister: cancelled
>
SCREEN
wait_for aborted 1 && good "... and the model's server sees it" ||
    bad "... and the model's server sees it"
types "/model long"
clears
types "count"
sees "an answer comes" "word9 "
keys C-c
sees "^C in the answer" "cloister: cancelled"
wait_for aborted 2 && good "... and the model's server sees it" ||
    bad "... and the model's server sees it"

types "/model echo"
clears
mux resize-window -t chat -x 40 -y 12
types "a line that is longer than the forty columns that there are now"
looks "a narrower window" <<SCREEN
> a line that is longer than the forty c
olumns that there are now
a line that is longer than the forty col
umns that there are now
>
SCREEN
types "/quit"
sees "/quit" "status 0"
expect "the lines are kept for the next chat, for nobody else" 0 "600" \
    stat -c %a "$T/alice/history"
expect "... those that were typed" 0 "ahoy" sh -c \
    "tr -d '\\\\' <$T/alice/history"
service_stop
