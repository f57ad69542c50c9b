#!/bin/sh
# make fuzz: run every fuzzer for FUZZ_TIME seconds on seeds that it makes
# itself, and on what earlier runs found (B/fuzz/corpus).  Prints "ok NAME" or
# "FAIL NAME" for each; an input that failed is in B/fuzz/found.
set -u
cd "$(dirname "$0")/.."
: "${B:=build}" "${FUZZ_TIME:=60}"
export ASAN_OPTIONS=abort_on_error=0 TMPDIR="${TMPDIR:-/tmp}"
mkdir -p "$B/fuzz/found"
failed=0

for f in ${*:-"$B"/fuzz/fuzz_*}; do
	[ -x "$f" ] || continue
	name=${f##*/}
	corpus=$B/fuzz/corpus/$name
	log=$B/fuzz/$name.log
	mkdir -p "$corpus"
	if FUZZ_SEEDS=$corpus "$f" >"$log" 2>&1 &&
	    "$f" -max_total_time="$FUZZ_TIME" -timeout=20 -rss_limit_mb=3000 \
	    -artifact_prefix="$B/fuzz/found/$name-" -print_final_stats=1 \
	    "$corpus" >"$log" 2>&1
	then
		echo "ok $name"
		echo "count $name: $(sed -n \
		    's/^stat::number_of_executed_units: *//p' "$log") inputs"
	else
		echo "FAIL $name"
		tail -n 30 "$log"
		failed=1
	fi
done
exit $failed
