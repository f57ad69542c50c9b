#!/bin/sh
# make attacks: the numbered list alone, by the tests that it names.
#
#   attacks_only.sh BUILD
set -u
cd "$(dirname "$0")/.."
B=$1
OUT=$(mktemp -d "${TMPDIR:-/tmp}/cloister-attacks.XXXXXX")
trap 'rm -rf "$OUT"' EXIT
for name in $(grep -v '^#' regress/attacks.tbl | cut -d '|' -f 3 |
    tr ';' '\n' | sed 's/^ *+*//; s/[: ].*//; s/^net$/t_attacks/' | sort -u); do
	case $name in
	test_*)	timeout 300 "$B/tests/$name" ;;
	t_*)	B=$B timeout 600 sh "regress/$name.sh" ;;
	esac >"$OUT/$name" 2>&1
done
sh regress/attacks.sh "$OUT" >"$OUT/list"
sed -n 's/^count //p' "$OUT/list"
! grep '^FAIL' "$OUT/list"
