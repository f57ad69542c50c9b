#!/bin/sh
# Manual pages are well-formed and complete; completion offers every command.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh
T=$(mktemp -d "${TMPDIR:-/tmp}/cloister.XXXXXX")
trap 'rm -rf "$T"' EXIT

# Warnings and errors: how long a line of the source is does not show in a page,
# nor whether others are installed here.
for f in docs/man/*; do
	mandoc -Tlint -Wwarning "$f" >"$T/lint" 2>&1 || :
	[ ! -s "$T/lint" ] && good "mandoc -Tlint: ${f##*/}" || {
		bad "mandoc -Tlint: ${f##*/}"
		sed 's/^/    /' "$T/lint"
	}
	grep -q "^\.Sh SEE ALSO" "$f" || bad "${f##*/} refers to no other"
	# Those of the project that it refers to are there.
	sed -n 's/^\.Xr \([a-z_.]*\) \([158]\).*/\1.\2/p' "$f" | sort -u |
	while read -r _page; do
		case $_page in
		cloister* | keyd.* | certd.* | sessiond.* | storaged.* | \
		    llmproxy.*)
			[ -f "docs/man/$_page" ] ||
			    bad "${f##*/} refers to $_page" ;;
		esac
	done
done
# Each role is described in a page of section 8.
for r in $(sed -n 's/^ROLE([A-Z]*, "\([a-z]*\)".*/\1/p' common/roles.def); do
	grep -lq "^\.Nm $r\$\|^\.Nm $r ,\|^\.It Nm $r" docs/man/*.8 &&
	    good "$r is in a manual page" || bad "$r is in a manual page"
done

commands() {	# program: "command" or "command subcommand", one a line
	"$B/$1" help 2>&1 | awk '/^  [a-z]/ { sub(/^  /, ""); sub(/  .*/, "")
	    print $1 ($2 ~ /^[a-z][a-z-]*$/ ? " " $2 : "") }' | sort -u
}

# What bash offers behind these words.
offered() {	# program, words...
	bash -c '. "$1"; shift; COMP_WORDS=("$@" ""); COMP_CWORD=$#
	    "_$1"; printf "%s\n" "${COMPREPLY[@]}"' bash \
	    "$B/completion/$1.bash" "$@"
}

for p in cloister cloisterctl; do
	_missing= _undoc= _n=0
	page=docs/man/cloister.1
	[ $p = cloister ] || page=docs/man/cloisterctl.8
	commands $p >"$T/commands"
	while read -r first second; do
		_n=$((_n + 1))
		offered $p | grep -qxF -e "$first" || _missing="$_missing $first"
		[ -z "$second" ] || offered $p "$first" |
		    grep -qxF -e "$second" ||
		    _missing="$_missing $first-$second"
		grep -q "^\.It \(Xo \)\?Cm $first${second:+ $second}\( \|\$\)" \
		    "$page" ||
		    _undoc="$_undoc $first${second:+-$second}"
	done <"$T/commands"
	[ "$_n" -gt 10 ] || bad "$p says its commands: $_n"
	[ -z "$_missing" ] && good "completion of $p offers $_n commands" ||
	    bad "completion of $p lacks$_missing"
	[ -z "$_undoc" ] && good "${page##*/} has every command of $p" ||
	    bad "${page##*/} lacks$_undoc"
	for s in zsh fish; do
		_missing=
		while read -r first second; do
			grep -qw -e "$first" "$B/completion/$p.$s" &&
			    { [ -z "$second" ] || grep -qw -e "$second" \
			    "$B/completion/$p.$s"; } ||
			    _missing="$_missing $first-$second"
		done <"$T/commands"
		[ -z "$_missing" ] && good "$s has them too" ||
		    bad "$s: completion of $p lacks$_missing"
	done
done
[ "$(offered cloisterctl user | grep -c .)" -ge 9 ] &&
    good "cloisterctl user: its own words" || bad "cloisterctl user: its own words"
offered cloisterctl user | grep -qx rotate &&
    bad "and no other's" || good "and no other's"
