#!/usr/bin/env bash
# Installs real servers for tests into .servers/, a folder for each: make servers.
#
#   install.sh             installs all of them
#   install.sh name,name   installs some
#   install.sh --list      says which there are
#
# Every other script in this folder is a server. <name>.sh sets
#   version  the version that is installed
#   about    what it is for
#   needs    the programs that install runs (see how_to_get)
# and defines install, which is called in an empty folder and leaves there what becomes
# .servers/<name>. Files that it needs are in the folder <name>, if any. A server is installed
# again when its script or one of these files has changed.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
servers=$(cd "$here/../.." && pwd)/.servers
names=$(cd "$here" && ls -- *.sh | sed -e 's/\.sh$//' -e '/^install$/d')

# how_to_get is the line that installs a program.
how_to_get() {
	case $1 in
	go) echo "Go 1.26.8 or newer: https://go.dev/dl" ;;
	cargo) echo "Rust 1.72 or newer: https://rustup.rs" ;;
	gcc) echo "apt-get install gcc libc6-dev" ;;
	mvn) echo "apt-get install maven" ;;
	javac) echo "apt-get install openjdk-17-jdk-headless" ;;
	setpriv | nsenter | unshare) echo "apt-get install util-linux" ;;
	epmd) echo "apt-get install rabbitmq-server" ;;
	systemd-nspawn) echo "apt-get install systemd-container" ;;
	*) echo "apt-get install $1" ;;
	esac
}

# missing prints a line for each program that isn't there.
missing() {
	local program
	for program in "$@"; do
		command -v "$program" >/dev/null || echo "  $program is missing: $(how_to_get "$program")"
	done
}

# fingerprint changes when a server has to be installed again.
fingerprint() {
	local files=$1.sh
	[ ! -d "$here/$1" ] || files="$files $1"
	# shellcheck disable=SC2086 # a list of words
	(cd "$here" && find $files -type f -print0 | LC_ALL=C sort -z | xargs -0 cksum)
}

# one installs one server. It runs in a subshell.
one() {
	local name=$1 target=$servers/$1 work=$servers/.$1.new began=$SECONDS lacking
	# shellcheck source=/dev/null
	. "$here/$name.sh"
	if [ "$(cat "$target/.installed" 2>/dev/null)" = "$(fingerprint "$name")" ]; then
		echo "$name $version is installed in .servers/$name"
		return
	fi
	# shellcheck disable=SC2086 # a list of words
	lacking=$(missing $needs)
	if [ -n "$lacking" ]; then
		printf '%s %s can not be installed:\n%s\n' "$name" "$version" "$lacking" >&2
		return 1
	fi
	echo "$name $version: installing"
	rm -rf "$work"
	mkdir -p "$work"
	(cd "$work" && install "$here/$name")
	fingerprint "$name" >"$work/.installed"
	rm -rf "$target"
	mv "$work" "$target"
	echo "$name $version is installed in .servers/$name after $((SECONDS - began)) s"
}

if [ "${1:-}" = --list ]; then
	for name in $names; do
		(. "$here/$name.sh" && printf '  %-12s %-10s %s\n' "$name" "$version" "$about")
	done
	exit
fi

chosen=$(echo "${1:-}" | tr ',' ' ')
for name in $chosen; do
	if ! echo "$names" | grep -qxF -- "$name"; then
		echo "no server is called \"$name\": expected some of" $names >&2
		exit 2
	fi
done
mkdir -p "$servers"
if command -v flock >/dev/null; then # two at once would build in one folder
	exec 9>"$servers/.lock"
	flock 9
fi
failed=
for name in ${chosen:-$names}; do
	# Not "|| …" around one: bash would ignore errors inside.
	set +e
	(set -e; one "$name")
	status=$?
	set -e
	[ "$status" = 0 ] || failed="$failed $name"
done
if [ -n "$failed" ]; then
	echo "not installed:$failed" >&2
	exit 1
fi
