#!/bin/sh
# The filters and what is said of them: a debug build names the system call that
# a filter caught, no other build has such a handler, and docs/architecture.md
# has every call of the policy.
set -eu
cd "$(dirname "$0")/.."
. regress/expect.sh
: "${B:=build}"
T=$(mktemp -d "${TMPDIR:-/tmp}/cloister.XXXXXX")
trap 'rm -rf "$T"' EXIT

# 159: by SIGSYS, as the shell says it.
silent() {
	expect "$1: dies" 159 "" "$B/trap" $2
	if grep -q caught "$T/expect.out"; then
		bad "$1: says nothing"
	else
		good "$1: says nothing"
	fi
}
silent "release, a role" ""
silent "release, a worker" -w
for p in logger keyd engine hasher storaged certd connector llmproxy zygote \
    sessiond cloisterd cloister; do
	if grep -qa "caught system call" "$B/$p" ||
	    nm "$B/$p" | grep -q "on_sigsys"; then
		bad "release: $p has no handler"
	else
		good "release: $p has no handler"
	fi
done

D=$T/debug
make -s DEBUG=1 B="$D" "$D/trap" >"$T/make.out" 2>&1 ||
    bad "the debug build: $(tail -n 3 "$T/make.out")"
# Standard error is no file: its size would be limited to 0.
named() {
	expect "debug, $1: dies" 159 "" sh -c "'$D/trap' $2 2>/dev/null"
	expect "debug, $1: named" 0 "$4)" sh -c \
	    "'$D/trap' $2 2>&1 | grep 'the filter of $3 caught system call'"
}
named "a role" "" keyd "(execve"
named "a worker" -w session "(socketpair"

# Every call of the policy is explained, by its name.
sed -n '/^static const struct rule base/,/^static const struct rule \*const/p' \
    common/seccomp_policy.c | sed '/#ifdef __SAN/,/#endif/d' |
    grep -oE '(ALLOW|FAIL)[1-3]?\([a-z][a-z0-9_]*' | sed 's/.*(//' |
    sort -u >"$T/calls"
sed -n '/^\*\*seccomp\.\*\*/,/^## /p' docs/architecture.md |
    grep -oE '[a-z][a-z0-9_]*' | sort -u >"$T/explained"
missing=$(comm -23 "$T/calls" "$T/explained" | tr '\n' ' ')
if [ -z "$missing" ] && [ "$(wc -l <"$T/calls")" -gt 80 ]; then
	good "docs/architecture.md explains every call"
else
	bad "docs/architecture.md lacks: $missing"
fi
