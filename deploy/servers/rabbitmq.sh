# RabbitMQ of this system, with the plugins that come with it: MQTT, and authentication over HTTP.
version=3.10
about="RabbitMQ: deploy/rabbitmq, make chaos BROKER=rabbitmq"
needs="setpriv epmd"

# programs is the folder with rabbitmq-server of at least this version.
programs() {
	local folder
	for folder in $(ls -d /usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin 2>/dev/null | sort -Vr); do
		if [ "$(printf '%s\n%s\n' "$version" "${folder#*rabbitmq_server-}" | sort -V | head -1)" = "$version" ]; then
			echo "$folder"
			return
		fi
	done
}

# install leaves a script that runs it: as the user rabbitmq for root. Debian's own
# rabbitmq-server keeps its output and its cookie in fixed places.
install() {
	local folder
	folder=$(programs)
	if [ -z "$folder" ]; then
		echo "  RabbitMQ $version or newer is missing: apt-get install rabbitmq-server" >&2
		return 1
	fi
	cat >rabbitmq-server <<-SCRIPT
		#!/bin/sh
		[ "\$(id -u)" = 0 ] || exec $folder/rabbitmq-server "\$@"
		exec setpriv --reuid=rabbitmq --regid=rabbitmq --init-groups --pdeathsig=KILL $folder/rabbitmq-server "\$@"
	SCRIPT
	chmod +x rabbitmq-server
}
