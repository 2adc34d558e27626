# A Temporal server as a process, with the tools that prepare its databases, built from its Go
# module: the version that deploy/devstack embeds.
version=1.32.1
about="Temporal as a process: on PostgreSQL, with OpenSearch"
needs="go"

# install takes the folder with go.mod and go.sum. They began as those of deploy/devstack, so that
# both are built of the same parts and share Go's build cache.
install() {
	local module=$1 out=$PWD
	export GOFLAGS=-mod=readonly
	echo "  building the server and its tools; without what deploy/devstack built it takes about 3 minutes on 2 cores"
	go -C "$module" build -o "$out/temporal-server" go.temporal.io/server/cmd/server
	go -C "$module" build -o "$out/temporal-sql-tool" go.temporal.io/server/cmd/tools/sql
	go -C "$module" build -o "$out/temporal-elasticsearch-tool" go.temporal.io/server/cmd/tools/elasticsearch
}
