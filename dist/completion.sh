#!/bin/sh
# Completion of one program for one shell, from the program's own usage:
#
#   completion.sh bash|zsh|fish PROGRAM
#
# A line of usage that begins with two blanks and a small letter is a command of
# one or two words; "-X" and "--long" are options.
set -eu
SHELL_NAME=$1 PROGRAM=$2
NAME=${PROGRAM##*/}

usage() {
	"$PROGRAM" help 2>&1 || :
}

# "command subcommand", one a line; the second word may be missing.
commands() {
	usage | awk '/^  [a-z]/ {
		sub(/^  /, ""); sub(/  .*/, "")
		print $1, ($2 ~ /^[a-z][a-z-]*$/ ? $2 : "")
	}'
}

options() {
	usage | grep -o -e '[[ ]--*[a-zA-Z][a-z-]*' | tr -d '[ ' | sort -u
}

first() {
	commands | awk '!seen[$1]++ { printf "%s%s", n++ ? " " : "", $1 }'
}

# What may follow each first word, in a line of this form.
seconds() {
	commands | awk -v form="$1" 'NF > 1 { w[$1] = w[$1] " " $2 }
	    END { for (f in w) printf form, f, substr(w[f], 2) }' | sort
}

case $SHELL_NAME in
bash)
	cat <<EOF
# bash completion for $NAME: made by completion.sh.
_$NAME() {
	local cur=\${COMP_WORDS[COMP_CWORD]} list= i
	local -a words=()

	for ((i = 1; i < COMP_CWORD; i++)); do
		case \${COMP_WORDS[i]} in
		-[fLHkmn] | --host | --key | --model | --cid | --number)
			((++i)) ;;
		-*) ;;
		*) words+=("\${COMP_WORDS[i]}") ;;
		esac
	done
	case \$cur in
	-*)	list="$(options | tr '\n' ' ')" ;;
	*)
		case \${#words[@]} in
		0)	list="$(first)" ;;
		1)
			case \${words[0]} in
$(seconds '\t\t\t%s)\tlist="%s" ;;\n')
			esac ;;
		esac ;;
	esac
	if [[ -n \$list ]]; then
		mapfile -t COMPREPLY < <(compgen -W "\$list" -- "\$cur")
	else
		mapfile -t COMPREPLY < <(compgen -f -- "\$cur")
	fi
}
complete -o filenames -F _$NAME $NAME
EOF
	;;
zsh)
	cat <<EOF
#compdef $NAME
# zsh completion for $NAME: made by completion.sh.
local -a list
case \$words[CURRENT] in
-*)	list=($(options | tr '\n' ' ')) ;;
*)
	case \$CURRENT in
	2)	list=($(first)) ;;
	3)
		case \$words[2] in
$(seconds '\t\t%s)\tlist=(%s) ;;\n')
		esac ;;
	esac ;;
esac
if (( \$#list )); then
	compadd -- \$list
else
	_files
fi
EOF
	;;
fish)
	echo "# fish completion for $NAME: made by completion.sh."
	echo "complete -c $NAME -n __fish_use_subcommand -f -a '$(first)'"
	seconds "complete -c $NAME -n '__fish_seen_subcommand_from %s' -a '%s'\n"
	options | while read -r o; do
		case $o in
		--*) echo "complete -c $NAME -l ${o#--}" ;;
		-?) echo "complete -c $NAME -s ${o#-}" ;;
		esac
	done
	;;
*)
	echo "completion.sh: no such shell: $SHELL_NAME" >&2
	exit 2 ;;
esac
