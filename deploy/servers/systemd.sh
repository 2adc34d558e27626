# A Debian with systemd, which systemd-nspawn boots: for the units of deploy/systemd.
version=bookworm
about="Debian with a booted systemd, in a container: the units of deploy/systemd"
needs="mmdebstrap systemd-nspawn nsenter unshare"

# install leaves the file system, and a script that boots a copy of it. The container has
# the network of this system, so Mosquitto is not started before it is configured.
install() {
	if [ "$(id -u)" != 0 ]; then
		echo "  only root can install and boot it" >&2
		return 1
	fi
	mmdebstrap --quiet --variant=minbase --include=systemd,systemd-sysv,dbus,mosquitto,sudo \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
		--customize-hook='chroot "$1" systemctl disable mosquitto' \
		--customize-hook='echo devicetwin >"$1/etc/hostname"; echo "127.0.0.1 localhost devicetwin" >"$1/etc/hosts"' $version root
	cat >boot <<-'SCRIPT'
		#!/bin/sh
		# boot ROOT [argument of systemd-nspawn …]: ROOT becomes a copy, unless it is there.
		# unshare, so that all of it ends with this process: systemd-nspawn killed with -9
		# leaves the container behind.
		here=$(cd "$(dirname "$0")" && pwd)
		root=$1
		shift
		[ -e "$root" ] || cp -a --reflink=auto "$here/root" "$root"
		exec unshare --fork --pid --kill-child --mount-proc systemd-nspawn --quiet --directory="$root" --register=no --keep-unit --boot "$@"
	SCRIPT
	chmod +x boot
}
