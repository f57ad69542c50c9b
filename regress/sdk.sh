#!/bin/sh
# cloister serve with OpenAI's own SDK, as programs use it: make check-sdk.  Needs
# node, npm and a registry that npm knows; the SDK is installed into a throw-away
# directory, at the version that is named here.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh
SDK=openai@6.49.0

command -v npm >/dev/null || die "npm is not here (Debian's nodejs and npm)"
service_new
PNG=iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==
standin_start --delay-ms 2 --log "$T/upstream.log"
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS="echo:echo long:long-50 err400:err400 trunc:trunc call:call look:look
    slow:slow"
service_init
service_start
user_new alice
API=$(free_port)
CLOISTER_HOME="$T/alice" "$B/cloister" serve --listen "$API" \
    >"$T/serve.out" 2>&1 &
PIDS="$PIDS $!"
wait_for grep -q "^cloister: serving" "$T/serve.out" ||
    die "serve does not start"

mkdir "$T/sdk"
cp regress/sdk.mjs "$T/sdk"
(cd "$T/sdk" && npm install --no-audit --no-fund --no-save --ignore-scripts \
    "$SDK" >npm.out 2>&1) || {
	tail -n 5 "$T/sdk/npm.out"
	die "the SDK cannot be installed"
}
OPENAI_BASE_URL=http://127.0.0.1:$API/v1 PNG=$PNG UPSTREAM_LOG=$T/upstream.log \
    OPENAI_API_KEY=$(cat "$T/alice/serve_token") node "$T/sdk/sdk.mjs"
service_stop
