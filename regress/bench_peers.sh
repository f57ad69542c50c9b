# Shell functions for bench.sh: nginx (TLS 1.3, certificates of both ends) and
# OpenSSH's sshd beside the service, all with RSA keys of 3072 bits.  Their
# packages are unpacked under $PEERS and installed nowhere; they listen on
# loopback, with configurations of their own.

PEERS=${PEERS:-$B/peers}

# The programs of Debian's packages, fetched once.
peers_get() {
	[ ! -x "$PEERS/usr/sbin/sshd" ] || return 0
	rm -rf "$PEERS"
	mkdir -p "$PEERS/deb"
	(cd "$PEERS/deb" && apt-get download -qq nginx openssh-server \
	    openssh-client >/dev/null 2>&1) || return 1
	for _d in "$PEERS"/deb/*.deb; do
		dpkg -x "$_d" "$PEERS"
	done
}

# certificate NAME SUBJECT CA: $T/peers/NAME.key and .crt.
certificate() {
	openssl req -newkey rsa:3072 -nodes -keyout "$T/peers/$1.key" \
	    -subj "/CN=$2" -out "$T/peers/$1.csr" 2>/dev/null
	openssl x509 -req -in "$T/peers/$1.csr" -CA "$T/peers/ca.crt" \
	    -CAkey "$T/peers/ca.key" -CAcreateserial -days 2 -sha256 \
	    -out "$T/peers/$1.crt" 2>/dev/null
}

nginx_start() {
	NGINX_PORT=$(free_port)
	openssl req -x509 -newkey rsa:3072 -nodes -keyout "$T/peers/ca.key" \
	    -subj /CN=ca -days 2 -out "$T/peers/ca.crt" 2>/dev/null
	certificate server localhost
	certificate client client
	# One worker, as keyd is one process; both hold the server's RSA key.
	cat >"$T/peers/nginx.conf" <<-EOF
		daemon off;
		worker_processes 1;
		pid $T/peers/nginx.pid;
		error_log $T/peers/nginx.log;
		events { }
		http {
			access_log off;
			client_body_temp_path $T/peers/b;
			proxy_temp_path $T/peers/p;
			fastcgi_temp_path $T/peers/f;
			uwsgi_temp_path $T/peers/u;
			scgi_temp_path $T/peers/s;
			server {
				listen 127.0.0.1:$NGINX_PORT ssl;
				ssl_protocols TLSv1.3;
				ssl_certificate $T/peers/server.crt;
				ssl_certificate_key $T/peers/server.key;
				ssl_client_certificate $T/peers/ca.crt;
				ssl_verify_client on;
				ssl_session_cache shared:s:1m;
				location / { return 204; }
			}
		}
	EOF
	"$PEERS/usr/sbin/nginx" -p "$T/peers" -c "$T/peers/nginx.conf" \
	    2>"$T/peers/nginx.err" &
	NGINX_PID=$!
	PIDS="$PIDS $NGINX_PID"
	wait_for test -s "$T/peers/nginx.pid"
}

# As an ordinary user: sshd then serves that user alone, and starts no shell.
sshd_start() {
	SSHD_PORT=$(free_port)
	_k="$PEERS/usr/bin/ssh-keygen -q -t rsa -b 3072 -N"
	$_k '' -f "$T/peers/host"
	$_k '' -f "$T/peers/user"
	cat >"$T/peers/sshd_config" <<-EOF
		ListenAddress 127.0.0.1:$SSHD_PORT
		HostKey $T/peers/host
		AuthorizedKeysFile $T/peers/user.pub
		PidFile none
		StrictModes no
		PasswordAuthentication no
		KbdInteractiveAuthentication no
		UsePAM yes
		UseDNS no
		MaxStartups 100
		LogLevel ERROR
		ForceCommand internal-sftp
		Subsystem sftp internal-sftp
	EOF
	chown -R nobody "$T/peers/host" "$T/peers/user.pub" "$T/peers/sshd_config"
	setpriv --reuid nobody --regid nogroup --clear-groups \
	    "$PEERS/usr/sbin/sshd" -D -e -f "$T/peers/sshd_config" \
	    2>"$T/peers/sshd.err" &
	SSHD_PID=$!
	PIDS="$PIDS $SSHD_PID"
	echo "[127.0.0.1]:$SSHD_PORT $(cut -d ' ' -f 1,2 "$T/peers/host.pub")" \
	    >"$T/peers/known_hosts"
	sleep 1
	kill -0 "$SSHD_PID"
}

ssh_login() {
	echo "$PEERS/usr/bin/ssh -F none -p $SSHD_PORT -i $T/peers/user
	    -o UserKnownHostsFile=$T/peers/known_hosts -o BatchMode=yes
	    -o HostKeyAlgorithms=rsa-sha2-256 -o IdentitiesOnly=yes
	    -o PubkeyAcceptedAlgorithms=rsa-sha2-256
	    -o KexAlgorithms=curve25519-sha256
	    -o Ciphers=aes256-gcm@openssh.com -n -s nobody@127.0.0.1 sftp"
}

# Those that can be had: sets NGINX_PID and SSHD_PID, or leaves them empty.
peers_start() {
	NGINX_PID= SSHD_PID=
	peers_get || {
		echo "nginx and sshd cannot be fetched, and are left out" >&2
		return 0
	}
	mkdir "$T/peers"
	chmod 755 "$T/peers"
	nginx_start || NGINX_PID=
	[ "$(id -u)" != 0 ] || sshd_start || SSHD_PID=
}
