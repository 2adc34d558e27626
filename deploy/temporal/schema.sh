#!/bin/sh
# Creates Temporal's two databases, or migrates them to the schema of this version.
# It may run at every start.
set -eu

SQL_PASSWORD="$(cat /run/secrets/postgres/password)"
export SQL_PASSWORD

schema() {
	temporal-sql-tool --database "$1" create-database
	temporal-sql-tool --database "$1" setup-schema --version 0.0
	temporal-sql-tool --database "$1" update-schema --schema-name "$2"
}

schema temporal postgresql/v12/temporal
schema temporal_visibility postgresql/v12/visibility
