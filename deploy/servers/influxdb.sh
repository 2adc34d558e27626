# InfluxDB 2, built from its Go module: the version of deploy/compose.yaml.
version=2.7.12
about="InfluxDB 2: writer, dashboards, make chaos INFLUX=2"
needs="go cargo gcc"

# install takes the folder with go.mod and go.sum, which pin everything. Go's build cache keeps
# what was built: Flux, whose library is in Rust, within it.
install() {
	local module=$1 out=$PWD
	export GOFLAGS=-mod=readonly CGO_ENABLED=1
	echo "  building its helper for libraries in Rust"
	go -C "$module" build -o "$out/pkg-config" github.com/influxdata/pkg-config
	# Flux denies warnings, of which newer compilers have more. RUSTFLAGS does not reach its
	# build script.
	cat >rustc-wrapper <<-'SCRIPT'
		#!/bin/sh
		case " $* " in
		*" --cap-lints"*) exec "$@" ;;
		esac
		exec "$@" --cap-lints=warn
	SCRIPT
	chmod +x rustc-wrapper
	echo "  building influxd; the first time takes about 3 minutes on 2 cores"
	# Flux asks for a compiler of its own time, which rustup would have to fetch.
	export PKG_CONFIG=$out/pkg-config RUSTC_WRAPPER=$out/rustc-wrapper RUSTUP_TOOLCHAIN=${RUSTUP_TOOLCHAIN:-stable}
	# Go asks for the library only when it compiles the package that uses it. Where the package
	# is still in the cache and the library is not, the link would fail.
	(cd "$module" && "$PKG_CONFIG" --libs flux)
	go -C "$module" build -tags sqlite_foreign_keys,sqlite_json -ldflags "-X main.version=v$version" \
		-o "$out/influxd" github.com/influxdata/influxdb/v2/cmd/influxd
	rm pkg-config rustc-wrapper
}
