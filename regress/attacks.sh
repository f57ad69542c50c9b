#!/bin/sh
# The numbered list of attacks with their results: what regress/attacks.tbl says,
# looked up in what the tests have printed.
#
#   attacks.sh DIRECTORY	DIRECTORY/NAME has the output of test_X or t_X
#
# A line for each number, as "count attack ..." for check.sh, and "ok" or "FAIL".
set -eu
cd "$(dirname "$0")/.."
DIR=$1
SUITE2=no
! pkg-config --atleast-version=3.5 libcrypto || SUITE2=yes

# shown NUMBER WHERE: how many checks held there; fails when one did not.
shown() {
	_name=${2%%:*} _case=
	case $2 in
	*:*) _case=${2#*:} ;;
	esac
	[ "$_name" != net ] || { _name=t_attacks; _case="attack $1:"; }
	[ -s "$DIR/$_name" ] || return 1
	case $_name in
	test_*)
		if [ -n "$_case" ]; then
			grep -cxF "[       OK ] $_case" "$DIR/$_name"
		else
			! grep -q '^\[  FAILED  \]' "$DIR/$_name" &&
			    grep -c '^\[       OK \]' "$DIR/$_name"
		fi ;;
	*)
		! grep -qF "FAIL $_case" "$DIR/$_name" &&
		    grep -c "^ok $_case" "$DIR/$_name" ;;
	esac
}

# The measured numbers of a number, in one line.
counts() {
	cat "$DIR"/t_* "$DIR"/test_* 2>/dev/null |
	    sed -n "s/^count attack $1: //p" | sort -u | paste -s -d ';' |
	    sed 's/;/; /g'
}

grep -v '^#' regress/attacks.tbl | while IFS='|' read -r n what where expected
do
	n=$(echo $n) what=$(echo "$what" | sed 's/^ *//; s/ *$//')
	checks=0 missing=
	IFS=';'
	for w in $where; do
		w=$(echo "$w" | sed 's/^ *//; s/ *$//')
		case $w in
		+*)
			[ $SUITE2 = yes ] || continue
			w=${w#+} ;;
		esac
		if k=$(shown "$n" "$w"); then
			checks=$((checks + k))
		else
			missing="$missing $w"
		fi
	done
	unset IFS
	c=$(counts "$n")
	printf 'count attack %2d  %s: %s%d checks hold; %s\n' "$n" "$what" \
	    "${c:+$c; }" "$checks" "$(echo $expected)"
	if echo "$c" | grep -q '[1-9][0-9]* succeeded'; then
		echo "FAIL attack $n: succeeded"
	elif [ -z "$missing" ] && [ $checks -gt 0 ]; then
		echo "ok attack $n"
	else
		echo "FAIL attack $n: not shown by$missing"
	fi
done

# None may leave the table.
for n in $(seq 39); do
	grep -q "^$n | " regress/attacks.tbl || echo "FAIL attack $n: not tried"
done
