#!/bin/bash
# Runs once, after InfluxDB has made its organisation and its bucket: a database
# name for InfluxQL, a token that may only write, for bridge and worker, and one
# that may only read, for Grafana.
set -euo pipefail

bucket=$DOCKER_INFLUXDB_INIT_BUCKET_ID

influx v1 dbrp create --bucket-id "$bucket" --db devicetwin --rp autogen --default

# token FILE RIGHT DESCRIPTION: keeps the new token in a file of its own.
token() {
	influx auth create --"$2" "$bucket" --description "$3" --json |
		sed -n 's/.*"token": *"\([^"]*\)".*/\1/p' | head -n 1 | tr -d '\n' >"$1.new"
	test -s "$1.new"
	mv "$1.new" "$1"
}

token /run/secrets/influx-write/token write-bucket "bridge and worker"
token /run/secrets/influx-read/token read-bucket "Grafana"
