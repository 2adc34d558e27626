# PostgreSQL of this system: its packages bring initdb and postgres, outside of PATH.
version=15
about="PostgreSQL: Temporal's store and visibility"
needs="setpriv"

# programs is the folder with the newest PostgreSQL of at least this version.
programs() {
	local folder
	for folder in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -t/ -k5 -rn) "$(dirname "$(command -v initdb || echo /)")"; do
		if [ -x "$folder/initdb" ] && [ "$("$folder/initdb" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')" -ge "$version" ]; then
			echo "$folder"
			return
		fi
	done
}

# install leaves scripts that run the programs: as the user postgres for root, whom they refuse.
install() {
	local folder program
	folder=$(programs)
	if [ -z "$folder" ]; then
		echo "  initdb of PostgreSQL $version or newer is missing: apt-get install postgresql" >&2
		return 1
	fi
	for program in initdb postgres; do
		cat >$program <<-SCRIPT
			#!/bin/sh
			[ "\$(id -u)" = 0 ] || exec $folder/$program "\$@"
			exec setpriv --reuid=postgres --regid=postgres --init-groups --pdeathsig=KILL $folder/$program "\$@"
		SCRIPT
		chmod +x $program
	done
}
