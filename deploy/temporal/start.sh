#!/bin/sh
# Starts Temporal with the password from its file: the image takes it from the
# environment only.
set -eu

POSTGRES_PWD="$(cat /run/secrets/postgres/password)"
export POSTGRES_PWD
exec /etc/temporal/entrypoint.sh
