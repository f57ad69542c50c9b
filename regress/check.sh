#!/bin/sh
# make check: run every test, then say how many passed and failed.
#
#   check.sh BUILD SANITIZED-BUILD		(LONG=1: make check-long)
#
# Unit tests are cmocka programs; an end-to-end script prints a line "ok NAME"
# or "FAIL NAME" for each thing that it checked.  A program that ends badly
# without having said so counts as one failure.
set -u
cd "$(dirname "$0")/.."
PLAIN=$1 SANE=$2
OUT=$(mktemp -d "${TMPDIR:-/tmp}/cloister-check.XXXXXX")
trap 'rm -rf "$OUT"' EXIT
passed=0 failed=0

count() {	# name, ok, bad, exit status
	_bad=$3
	[ "$_bad" -gt 0 ] || [ "$4" -eq 0 ] || _bad=1
	[ "$2" -gt 0 ] || [ "$_bad" -gt 0 ] || _bad=1
	passed=$((passed + $2))
	failed=$((failed + _bad))
	printf '%-52s %4d passed, %d failed\n' "$1" "$2" "$_bad"
	[ "$_bad" -eq 0 ] || { sed 's/^/    /' "$OUT/out" | tail -n 60; }
}

number() {	# of "[  PASSED  ] N test(s)": the first such line
	sed -n "s/^\[  $1  \] \([0-9]*\) test.*/\1/p" "$OUT/out" | head -n 1
}

# The outputs of the plain build, for the list of attacks.
mkdir "$OUT/list"
keep() {	# build directory, name
	[ "$1" != "$PLAIN" ] || cp "$OUT/out" "$OUT/list/$2"
}

unit() {	# build directory
	for t in "$1"/tests/test_*; do
		[ -x "$t" ] || continue
		timeout 300 "$t" >"$OUT/out" 2>&1
		_st=$?
		_ok=$(number PASSED) _no=$(number FAILED)
		count "$t" "${_ok:-0}" "${_no:-0}" $_st
		keep "$1" "$(basename "$t")"
		grep '^count ' "$OUT/out" | sed 's/^count /    /'
	done
}

script() {	# build directory, script
	B=$1 timeout 600 sh "$2" >"$OUT/out" 2>&1
	_st=$?
	count "$2 ($1)" "$(grep -c '^ok ' "$OUT/out")" \
	    "$(grep -c '^FAIL ' "$OUT/out")" $_st
	grep '^count ' "$OUT/out" | sed 's/^count /    /'
	keep "$1" "$(basename "$2" .sh)"
}

# Freed memory is overwritten, as mallopt(3) does for the plain build.
export ASAN_OPTIONS=detect_leaks=0:max_free_fill_size=16777216:free_fill_byte=90
unit "$PLAIN"
unit "$SANE"
# What needs a systemd of its own is not for a place without network or devices
# (make check-debian13, which runs it beside).
for s in regress/t_*.sh; do
	[ "$s" = regress/t_systemd.sh ] && [ -n "${NO_BOX:-}" ] && continue
	script "$PLAIN" "$s"
done
# Those in which bytes of strangers are parsed; LONG=1 runs the others too.
for s in regress/t_*.sh; do
	case $s in
	*/t_systemd.sh) ;;
	*/t_cells.sh | */t_chat.sh | */t_crash.sh | */t_hostile.sh | \
	    */t_kill.sh | */t_secrets.sh | */t_tls.sh | */t_upstream.sh)
		script "$SANE" "$s" ;;
	*)
		[ -z "${LONG:-}" ] || script "$SANE" "$s" ;;
	esac
done
sh regress/attacks.sh "$OUT/list" >"$OUT/out" 2>&1
_st=$?
count "the numbered attacks" "$(grep -c '^ok ' "$OUT/out")" \
    "$(grep -c '^FAIL ' "$OUT/out")" $_st
grep '^count ' "$OUT/out" | sed 's/^count /    /'
FUZZ_TIME=4 script "$PLAIN" regress/fuzz.sh
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
