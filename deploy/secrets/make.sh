#!/bin/sh
# Creates every missing secret, below /secrets: one folder for each service that
# may read it. Existing secrets are not changed.
set -eu
umask 022

# once FILE: 64 random hexadecimal digits, written in one step.
once() {
	[ -s "$1" ] && return
	head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$1.new"
	mv "$1.new" "$1"
	echo "made $1" >&2
}

cd "${1:-/secrets}"

once postgres/password
once influxdb/admin-password
once influxdb/admin-token
once grafana/admin-password

# Accounts of services at the broker, which itself gets only their hashes.
for service in bridge worker fleet; do
	once "$service/mqtt-password"
	printf 'devicetwin.%s:%s\n' "$service" "$(tr -d '\n' <"$service/mqtt-password" | sha256sum | cut -d ' ' -f 1)"
done >mqtt/accounts.new
mv mqtt/accounts.new mqtt/accounts

# The operator's token for the API, which itself gets only its hash.
once operator/api-token
printf 'operator sha256:%s admin\n' "$(tr -d '\n' <operator/api-token | sha256sum | cut -d ' ' -f 1)" >api/tokens.new
mv api/tokens.new api/tokens

# InfluxDB makes these tokens itself at its first start, as its own user.
if [ "$(id -u)" = 0 ]; then
	chown 1000:1000 influx-write influx-read
fi
