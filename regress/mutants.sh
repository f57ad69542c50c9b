#!/bin/sh
# make mutants: does some test fail without this check?
#
# mutate.c makes mutants of the files in mutants.map: a message permitted where
# it is not, a check that is not made.  Each is built, with sanitizers, in a
# copy of the tree, and the file's tests are run until one fails.  What none
# sees is printed, unless mutants.explained says why it cannot matter:
#
#	FILE <tab> WHAT (as printed after the operator) <tab> WHY
#
#   B=DIR          where the build is; the work is done in DIR/mutants
#   FILES="F..."   mutants of these files alone
#   SHARD=I/N      every Nth mutant, from the Ith on (1 to N)
#   MUTANTS=N      N of them at random (SEED=S makes it the same ones again)
#   JOBS=N         at once; 2 unless told
#
# A run that was interrupted goes on where it was: mutants that died are not
# tried again until their file changes (rm -r DIR/mutants to forget that).
set -u
cd "$(dirname "$0")/.."
: "${B:=build}" "${FILES:=}" "${SHARD:=1/1}" "${MUTANTS:=}" "${JOBS:=2}"
: "${SEED:=$$}" "${CC:=cc}" "${MAKE:=make}"
unset MAKEFLAGS MFLAGS MAKELEVEL
mkdir -p "$B/mutants"
W=$(cd "$B/mutants" && pwd)
EXPLAINED=$PWD/regress/mutants.explained
TAB=$(printf '\t')
export ASAN_OPTIONS=detect_leaks=0:max_free_fill_size=16777216:free_fill_byte=90

die() {
	echo "mutants: $*" >&2
	exit 2
}

map() {
	sed -e '/^#/d' -e '/^$/d' regress/mutants.map
}

tests_of() {	# file
	map | awk -v f="$1" '$1 == f { for (i = 2; i <= NF; i++) print $i }'
}

object() {	# file: what is compiled again when it has changed
	case $1 in
	*.def)	echo build/obj/common/msg.o ;;
	*)	echo "build/obj/${1%.c}.o" ;;
	esac
}

mk() {		# in a copy
	"$MAKE" -s SANITIZE=1 WARN=-w B=build "$@"
}

# The sources into a copy, which keeps what was built in it: only what differs
# is written, so make sees what to build again.
copy() {	# number
	mkdir -p "$W/$1/build"
	[ ! -s "$W/$1.dirty" ] || (cd "$W/$1" && rm -f $(cat "$W/$1.dirty"))
	: >"$W/$1.dirty"
	(cd "$W/$1" && find . -path ./build -prune -o -type f -print) |
	    while read -r f; do
		[ -e "$f" ] || rm "$W/$1/$f"
	done
	find . \( -path ./build -o -path ./.git -o -path "./$B" \) -prune -o \
	    -type f -print | while read -r f; do
		cmp -s "$f" "$W/$1/$f" && continue
		mkdir -p "$W/$1/${f%/*}"
		cp "$f" "$W/$1/$f"
	done
}

# Run a test until its first failure; false when it has one.
try() {		# test, seconds
	timeout -k 2 "$2" "build/tests/$1" >"$OUT" 2>&1 &
	_pid=$!
	while kill -0 $_pid 2>/dev/null; do
		if grep -q -e '^\[  FAILED' -e '^\[  ERROR' "$OUT"; then
			kill $_pid 2>/dev/null
			wait $_pid 2>/dev/null
			return 1
		fi
		sleep 0.05
	done
	wait $_pid
}

# An interrupted run leaves no test behind.
_pid=
trap '[ -z "$_pid" ] || kill $_pid 2>/dev/null; exit 2' INT TERM

# Once without a mutant: all must pass, and how long they take is noted.
baseline() {
	OUT=$W/out.1
	export TMPDIR="$W/tmp.1"
	mkdir -p "$TMPDIR"
	: >"$W/seconds"
	for t in $(cut -f 2 "$W/todo" | sort -u | while read -r f; do
	    tests_of "$f"; done | sort -u); do
		_at=$(date +%s)
		mk "build/tests/$t" || die "$t is not built"
		try "$t" 300 || die "$t fails without a mutant: see $OUT"
		echo "$t $(($(date +%s) - _at))" >>"$W/seconds"
	done
}

one() {		# number in its file, file: prints what saw it, or nothing
	_obj=$(object "$2")
	echo "$_obj" >"$DIRTY"
	cp -p "$2" "$ORIG"
	"$W/mutate" "$W/0/$2" "$1" >"$2" || die "no mutant $1 of $2"
	touch -r "$ORIG" "$2"
	rm -f "$_obj"
	for t in $(tests_of "$2"); do
		if ! mk "build/tests/$t" >"$OUT" 2>&1; then
			echo compiler
			break
		fi
		_s=$(awk -v t="$t" '$1 == t { print $2 }' "$W/seconds")
		if ! try "$t" $((3 * _s + 10)); then
			echo "$t"
			break
		fi
	done
	cp -p "$ORIG" "$2"
	rm -f "$_obj"
	: >"$DIRTY"
	rm -rf "$TMPDIR"
	mkdir -p "$TMPDIR"
}

# Take mutants that nobody has taken, until there are none.
worker() {	# number
	cd "$W/$1" || exit 2
	trap '[ -z "$_pid" ] || kill $_pid 2>/dev/null; exit 2' INT TERM
	OUT=$W/out.$1 DIRTY=$W/$1.dirty ORIG=$W/orig.$1
	export TMPDIR="$W/tmp.$1"
	mkdir -p "$TMPDIR"
	while IFS=$TAB read -r key file n line what; do
		mkdir "$W/taken/$key" 2>/dev/null || continue
		seen=$(one "$n" "$file")
		if [ -n "$seen" ]; then
			echo "$key$TAB$file:$line$TAB$what$TAB$seen" \
			    >>"$W/killed"
		else
			echo "$file$TAB$line$TAB$what" >>"$W/survived"
			echo "survives: $file:$line: $what"
		fi
	done <"$W/todo"
}

# Key, file, number in it, line and what: of each mutant that is to be tried.
list() {
	for f in ${FILES:-$(map | awk '{ print $1 }')}; do
		[ -n "$(tests_of "$f")" ] || die "$f is not in mutants.map"
		sum=$(cksum <"$W/0/$f" | tr ' ' '-')
		"$W/mutate" "$W/0/$f" | awk -F '\t' -v OFS='\t' -v f="$f" \
		    -v k="$(echo "$f" | tr / -)-$sum" \
		    '{ print k "-" $1, f, $1, $2, $3 ": " $4 }'
	done | awk -v i="${SHARD%/*}" -v n="${SHARD#*/}" '(NR - i) % n == 0' |
	    if [ -n "$MUTANTS" ]; then
		awk -v s="$SEED" 'BEGIN { srand(s) } { print rand() "\t" $0 }' |
		    sort -n | cut -f 2- | head -n "$MUTANTS"
	    else
		cat
	    fi
}

$CC -D_GNU_SOURCE -O2 -o "$W/mutate" regress/mutate.c || die "no generator"
copy 0
list >"$W/list"
touch "$W/killed"
awk -F '\t' 'FILENAME == ARGV[1] { dead[$1]; next } !($1 in dead)' \
    "$W/killed" "$W/list" >"$W/todo"
: >"$W/survived"
rm -rf "$W/taken"
mkdir "$W/taken"
echo "$(wc -l <"$W/list") mutants, $(wc -l <"$W/todo") of them to try"

i=1
while [ $i -le "$JOBS" ] && [ -s "$W/todo" ]; do
	if [ $i -gt 1 ] && [ ! -d "$W/$i" ]; then
		cp -a "$W/1" "$W/$i"
		rm -f "$W/$i.dirty"
	else
		copy $i
	fi
	[ $i -gt 1 ] || (cd "$W/1" && baseline) || exit 2
	i=$((i + 1))
done
i=1
while [ $i -le "$JOBS" ] && [ -s "$W/todo" ]; do
	worker $i &
	i=$((i + 1))
done
wait

# Explained, or not.
unexplained=$(awk -F '\t' -v OFS='\t' '
	FILENAME == ARGV[1] { if ($0 !~ /^#/ && NF == 3) why[$1, $2]; next }
	!(($1, $3) in why) { print $1 ":" $2 ": " $3 }
	' "$EXPLAINED" "$W/survived")
all=$(wc -l <"$W/list")
alive=$(wc -l <"$W/survived")
killed=$(awk -F '\t' 'FILENAME == ARGV[1] { dead[$1]; next } $1 in dead' \
    "$W/killed" "$W/list" | wc -l)
[ $((killed + alive)) -eq "$all" ] || die "some were not tried"
bad=$(printf '%s' "$unexplained" | grep -c .)
[ "$bad" -eq 0 ] || printf 'Not seen by any test:\n%s\n' "$unexplained"
echo "$all mutants: $killed killed, $((alive - bad)) explained," \
    "$bad survive"
[ "$bad" -eq 0 ]
