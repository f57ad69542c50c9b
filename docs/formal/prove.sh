#!/bin/sh
# make prove: every model by ProVerif, the verdicts compared with those that the
# model's own last line, (* verdicts: ... *), names.  Prints "ok" or "FAIL" for each.
set -u
cd "$(dirname "$0")"
: "${PROVERIF:=proverif}"
command -v "$PROVERIF" >/dev/null || {
	echo "ProVerif is not here, and Debian has no package of it: see README.md" >&2
	exit 1
}
status=0
for f in *.pv; do
	want=$(sed -n 's/^(\* verdicts: \(.*\) \*)$/\1/p' "$f")
	# A "(but ...)" says more about the query before it.
	got=$("$PROVERIF" "$f" | grep '^RESULT' | grep -v '^RESULT (but' |
	    sed 's/.* is \(true\|false\)\.$/\1/; s/^RESULT.*/unknown/' |
	    paste -s -d ' ')
	if [ -n "$want" ] && [ "$got" = "$want" ]; then
		echo "ok $f: $got"
	else
		echo "FAIL $f: $got, not $want"
		status=1
	fi
done
exit $status
