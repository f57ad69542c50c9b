#!/bin/sh
# The packages under a real systemd, in this machine's Debian.
exec sh "$(dirname "$0")/systemd.sh"
