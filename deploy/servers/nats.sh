# A NATS server, built of its module, of the version that deploy/devstack embeds.
version=2.15.2
about="NATS server: deploy/nats, make chaos BROKER=nats-cluster"
needs="go"

# install takes the folder with go.mod and go.sum.
install() {
	local module=$1 out=$PWD
	export GOFLAGS=-mod=readonly
	go -C "$module" build -o "$out/nats-server" github.com/nats-io/nats-server/v2
}
