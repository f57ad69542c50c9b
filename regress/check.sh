#!/bin/sh
# make check: run every test, then say how many passed and failed.
#
#   check.sh BUILD SANITIZED-BUILD		(LONG=1: make check-long)
#
# Unit tests are cmocka programs; an end-to-end script prints a line "ok NAME"
# or "FAIL NAME" for each thing that it checked.  A program that ends badly
# without having said so counts as one failure.  Most of them wait more than
# they compute, so JOBS run at a time, each with users and a directory of its own.
set -u
cd "$(dirname "$0")/.."
PLAIN=$1 SANE=$2
: "${JOBS:=$(($(nproc) + 1))}" "${UID_BASE:=61100}"
OUT=$(mktemp -d "${TMPDIR:-/tmp}/cloister-check.XXXXXX")
chmod 711 "$OUT"
WORKERS=
trap 'rm -rf "$OUT"' EXIT
trap 'kill $WORKERS 2>/dev/null; exit 130' INT TERM
passed=0 failed=0

# The outputs of the plain build, for the list of attacks.
mkdir "$OUT/list"

# ---- what is to be done, in the order in which it is told -----------------------

JOB=0
job() {	# unit | script, build directory, program
	JOB=$((JOB + 1))
	echo "$1 $2 $3" >"$OUT/job.$JOB"
}

scripts() {	# build directory
	for s in regress/t_*.sh; do
		case $s in
		*/t_cells.sh | */t_systemd.sh)
			;;		# the longest: see below
		# Those in which bytes of strangers are parsed.
		*/t_chat.sh | */t_crash.sh | */t_hostile.sh | */t_kill.sh | \
		    */t_secrets.sh | */t_tls.sh | */t_upstream.sh)
			job script "$1" "$s" ;;
		*)
			[ "$1" = "$PLAIN" ] || [ -n "${LONG:-}" ] &&
			    job script "$1" "$s" ;;
		esac
	done
}

units() {	# build directory
	for t in "$1"/tests/test_*; do
		[ ! -x "$t" ] || job unit "$1" "$t"
	done
}

# ---- doing it -------------------------------------------------------------------

# Job number $1, in the place number $2 of those that run at a time.
run() {
	read -r _kind _build _what <"$OUT/job.$1"
	mkdir -p -m 711 "$OUT/tmp.$2"
	_since=$(date +%s)
	if [ "$_kind" = unit ]; then
		TMPDIR=$OUT/tmp.$2 timeout 600 "$_what" \
		    >"$OUT/out.$1" 2>&1 </dev/null &
	else
		TMPDIR=$OUT/tmp.$2 UID_BASE=$((UID_BASE + $2 * 40)) \
		    B=$_build timeout 900 sh "$_what" \
		    >"$OUT/out.$1" 2>&1 </dev/null &
	fi
	_st=0
	wait $! || _st=$?
	echo "$_st $(($(date +%s) - _since))" >"$OUT/rc.$1.new"
	mv "$OUT/rc.$1.new" "$OUT/rc.$1"
}

worker() {	# place
	trap - EXIT
	trap 'kill $!; exit 143' INT TERM
	_i=0
	while [ $_i -lt $JOB ]; do
		_i=$((_i + 1))
		! mkdir "$OUT/taken.$_i" 2>/dev/null || run $_i "$1"
	done
}

# ---- telling --------------------------------------------------------------------

count() {	# name, ok, bad, exit status, seconds, output
	_bad=$3
	[ "$_bad" -gt 0 ] || [ "$4" -eq 0 ] || _bad=1
	[ "$2" -gt 0 ] || [ "$_bad" -gt 0 ] || _bad=1
	passed=$((passed + $2))
	failed=$((failed + _bad))
	printf '%-52s %4d passed, %d failed  (%d s)\n' "$1" "$2" "$_bad" "$5"
	[ "$_bad" -eq 0 ] || { sed 's/^/    /' "$6" | tail -n 60; }
	grep '^count ' "$6" | sed 's/^count /    /'
}

number() {	# of "[  PASSED  ] N test(s)" in $2: the first such line
	sed -n "s/^\[  $1  \] \([0-9]*\) test.*/\1/p" "$2" | head -n 1
}

ok_lines() {	# name, exit status, seconds, output
	count "$1" "$(grep -c '^ok ' "$4")" "$(grep -c '^FAIL ' "$4")" "$2" \
	    "$3" "$4"
}

tell() {	# job
	read -r _kind _build _what <"$OUT/job.$1"
	read -r _st _s <"$OUT/rc.$1"
	if [ "$_kind" = unit ]; then
		_ok=$(number PASSED "$OUT/out.$1")
		_no=$(number FAILED "$OUT/out.$1")
		count "$_what" "${_ok:-0}" "${_no:-0}" "$_st" "$_s" \
		    "$OUT/out.$1"
	else
		ok_lines "$_what ($_build)" "$_st" "$_s" "$OUT/out.$1"
	fi
	[ "$_build" != "$PLAIN" ] ||
	    cp "$OUT/out.$1" "$OUT/list/$(basename "$_what" .sh)"
}

# Freed memory is overwritten, as mallopt(3) does for the plain build.
export ASAN_OPTIONS=detect_leaks=0:max_free_fill_size=16777216:free_fill_byte=90
# The longest go first, beside everything else.
job script "$SANE" regress/t_cells.sh
job script "$PLAIN" regress/t_cells.sh
# What needs a systemd of its own is not for a place without network or devices
# (make check-debian13, which runs it beside).
[ -n "${NO_BOX:-}" ] || job script "$PLAIN" regress/t_systemd.sh
scripts "$PLAIN"
scripts "$SANE"
units "$PLAIN"
units "$SANE"
FUZZ_TIME=4
export FUZZ_TIME
job script "$PLAIN" regress/fuzz.sh
_n=0
while [ $_n -lt "$JOBS" ]; do
	worker $_n &
	WORKERS="$WORKERS $!"
	_n=$((_n + 1))
done
_n=0
while [ $_n -lt $JOB ]; do
	_n=$((_n + 1))
	until [ -e "$OUT/rc.$_n" ]; do
		sleep 0.2
	done
	tell $_n
done
wait
sh regress/attacks.sh "$OUT/list" >"$OUT/out" 2>&1
ok_lines "the numbered attacks" $? 0 "$OUT/out"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
