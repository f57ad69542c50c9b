#!/bin/sh
# A running service, as the kernel sees it: descriptors, ids, capabilities,
# limits and filters of every process are those of regress/live.tbl.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh

[ "$(id -u)" = 0 ] || {
	good "(another user's processes are for root to look at)"
	exit 0
}
SPARE=3
PROVIDERS=1

own_limit() {
	sed -n "s/^Max $1  *[^ ]*  *\([^ ]*\) .*/\1/p" /proc/self/limits
}

# The table, as `live` would say it.
wanted() {
	"$B/live" -d $PROVIDERS | awk -v spare=$SPARE \
	    -v max="$(own_limit "open files")" \
	    -v all="$(own_limit processes)" -v conf="$T/cloisterd.conf" '
	function sum(expr,	part, n, i, total) {
		gsub("-", "+-", expr)
		n = split(expr, part, "+")
		total = 0
		for (i = 1; i <= n; i++)
			if (part[i] == "D")
				total += declared[$1]
			else if (part[i] ~ /S$/)
				total += spare * (part[i] == "S" ? 1 : part[i])
			else
				total += part[i]
		return total
	}
	FILENAME == "-" { declared[$1] = $2; next }
	FILENAME == conf {
		if ($2 == "=" && $3 ~ /^"[0-9]+"$/)
			uid[$1] = substr($3, 2, length($3) - 2)
		next
	}
	/^#/ || NF == 0 { next }
	{
		id = $2 == "root" ? 0 : uid[$2]
		split($4, f, ",")
		nofile = $5 == "MAX" ? max : $5
		if (nofile != "unlimited" && nofile + 0 > 65536 ||
		    nofile == "unlimited" && $1 != "monitor")
			nofile = $1 == "monitor" ? max : 65536
		line = $1 " uid=" id " gid=" id " groups=none inh=0 prm=" $3 \
		    " eff=" $3 " bnd=" $3 " amb=0 nnp=1 seccomp=" f[1] \
		    " filters=" f[2] " proc=0 core=0 nofile=" nofile \
		    " nproc=" ($6 == "ALL" ? all : $6) " fsize=" $7
		for (i = 8; i <= NF; i++) {
			split($i, kv, "=")
			line = line " " kv[1] "=" sum(kv[2])
		}
		for (i = $1 == "kex" || $1 == "session" ? spare : 1; i > 0; i--)
			print line
	}' - "$T/cloisterd.conf" regress/live.tbl | sort
}

seen() {
	"$B/live" $(service_pids) | sed 's/ stream=2 epoll=1$/ wakeup=1 epoll=1/
	    s/ epoll=1 eventfd=1$/ wakeup=1 epoll=1/' | sort
}

# The spare pairs are made again after each connection: wait for them.
same() {
	wanted >"$T/wanted"
	seen >"$T/seen" 2>/dev/null
	cmp -s "$T/wanted" "$T/seen"
}

hold_session() {
	rm -f "$T/hold" "$T/peer.out"
	mkfifo "$T/hold"
	CLOISTER_HOME="$T/alice" "$B/peer" "127.0.0.1:$PORT" \
	    "$T/alice/id_cloister" <"$T/hold" >"$T/peer.out" 2>&1 &
	PEER=$!
	exec 9>"$T/hold"
	wait_for grep -q '^c_ap' "$T/peer.out" || bad "the test peer connects"
}

end_session() {
	exec 9>&-
	wait $PEER || true
}

service_new
ulimit -c 0
standin_start
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS="echo:echo"
LIMITS="	spare_workers = $SPARE"
service_init
service_start
user_new alice
hold_session
wait_for same || true
for p in $(cut -d ' ' -f 1 "$T/wanted" | uniq); do
	grep "^$p " "$T/wanted" >"$T/a"
	grep "^$p " "$T/seen" >"$T/b" || true
	if cmp -s "$T/a" "$T/b"; then
		good "$p is as in live.tbl"
	else
		bad "$p is not as in live.tbl"
		diff "$T/a" "$T/b" || true
	fi
done
if same; then
	good "nothing else runs"
else
	bad "nothing else runs"
fi
ctl status >"$T/status"
n=$(grep -c 'landlock [1-9]' "$T/status" || true)
[ "$n" = 10 ] && good "Landlock holds every role" ||
    bad "Landlock holds every role: $n"
echo "count processes audited $(wc -l <"$T/seen")"
end_session
service_stop || bad "a clean stop"

# The audit must see a leak: one descriptor more, in one role.
mkdir -m 711 "$T/leaky"
for r in logger keyd engine hasher storaged certd connector llmproxy zygote \
    sessiond; do
	ln -s "$B/$r" "$T/leaky/$r"
done
rm "$T/leaky/connector"
cat >"$T/leaky/connector" <<EOF
#!/bin/sh
exec 9</etc/passwd
exec "$B/connector"
EOF
chmod 755 "$T/leaky/connector"
ROLES_DIR=$T/leaky
service_start
ctl user add bob >/dev/null	# the engine opens its log when it writes
hold_session
# Then nothing differs but this.
leak_alone() {
	! same && [ "$(comm -13 "$T/wanted" "$T/seen" | wc -l)" = 1 ] &&
	    comm -13 "$T/wanted" "$T/seen" | grep -q '^connector .* file=1 '
}
if wait_for leak_alone; then
	good "a leaked descriptor is seen"
else
	bad "a leaked descriptor is seen"
	diff "$T/wanted" "$T/seen" || true
fi
end_session
service_stop || bad "a clean stop"
