# Moquette, embedded in a program of one class, which asks devicetwin auth: from Maven.
version=0.17
about="Moquette: make chaos BROKER=moquette"
needs="mvn javac"

# install takes the folder with pom.xml, which pins everything, and the program.
install() {
	cp "$1/pom.xml" .
	mvn -q -B -Dmoquette.version=$version dependency:copy-dependencies -DoutputDirectory=lib
	javac -cp 'lib/*' -d classes "$1/Broker.java"
	cat >moquette <<-'SCRIPT'
		#!/bin/sh
		# moquette CONFIG-FILE URL-OF-DEVICETWIN-AUTH
		here=$(cd "$(dirname "$0")" && pwd)
		exec java -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$here/classes:$here/lib/*" Broker "$@"
	SCRIPT
	chmod +x moquette
	rm pom.xml
}
