# A throw-away certificate authority, by openssl(1), for the end-to-end tests.
# Everything lives in $T; `. regress/lib.sh' comes first.

# ca_new NAME [openssl genpkey arguments]: an authority in $T/NAME, its
# certificate in $T/NAME/ca.pem.  CA_DAYS: until when (3650).
ca_new() {
	_ca=$T/$1
	_cn=$1
	shift
	[ $# -gt 0 ] || set -- -algorithm EC -pkeyopt ec_paramgen_curve:P-256
	mkdir "$_ca"
	: >"$_ca/index"
	echo 1000 >"$_ca/serial"
	echo 01 >"$_ca/crlnumber"
	cat >"$_ca/conf" <<-END
		[ca]
		default_ca = this
		[this]
		dir = $_ca
		database = $_ca/index
		new_certs_dir = $_ca
		serial = $_ca/serial
		crlnumber = $_ca/crlnumber
		certificate = $_ca/ca.pem
		private_key = $_ca/ca.key
		default_md = sha256
		default_crl_days = 30
		policy = any
		unique_subject = no
		copy_extensions = copy
		x509_extensions = leaf
		[any]
		commonName = optional
		[leaf]
		authorityKeyIdentifier = keyid
		[req]
		distinguished_name = any_dn
		[any_dn]
		[ca_ext]
		basicConstraints = critical,CA:TRUE
		keyUsage = critical,keyCertSign,cRLSign
		subjectKeyIdentifier = hash
	END
	openssl genpkey "$@" -out "$_ca/ca.key" 2>/dev/null
	openssl req -new -x509 -key "$_ca/ca.key" -subj "/CN=authority $_cn" \
	    -sha256 -days 3650 -config "$_ca/conf" -extensions ca_ext \
	    -out "$_ca/ca.pem" 2>/dev/null
}

# ca_sign NAME REQUEST CERTIFICATE [openssl ca arguments]
ca_sign() {
	_ca=$T/$1 _csr=$2 _crt=$3
	shift 3
	openssl ca -batch -notext -config "$_ca/conf" -in "$_csr" \
	    -out "$_crt" -days 300 "$@" >"$_ca/out" 2>&1 || {
		cat "$_ca/out" >&2
		die "the authority does not sign $_csr"
	}
}

# ca_sign_ext NAME REQUEST CERTIFICATE EXTENSIONS [openssl ca arguments]: with
# these extensions in place of the request's ("A = B|C = D").
ca_sign_ext() {
	_e=$T/$1/ext
	sed 's/copy_extensions = copy/copy_extensions = none/' "$T/$1/conf" \
	    >"$T/$1/conf.ext"
	printf '[given]\n%s\n' "$(echo "$4" | tr '|' '\n')" >>"$T/$1/conf.ext"
	_ca=$T/$1 _csr=$2 _crt=$3
	shift 4
	openssl ca -batch -notext -config "$_ca/conf.ext" -extensions given \
	    -in "$_csr" -out "$_crt" -days 300 "$@" >"$_ca/out" 2>&1 || {
		cat "$_ca/out" >&2
		die "the authority does not sign $_csr"
	}
}

# ca_crl NAME FILE [openssl ca arguments]: its revocation list.
ca_crl() {
	_ca=$T/$1 _crl=$2
	shift 2
	openssl ca -gencrl -config "$_ca/conf" -out "$_crl" "$@" \
	    >"$_ca/out" 2>&1 || die "no revocation list"
}

# ca_revoke NAME CERTIFICATE
ca_revoke() {
	openssl ca -config "$T/$1/conf" -revoke "$2" >"$T/$1/out" 2>&1 ||
	    die "not revoked"
}
