# HiveMQ CE, embedded in a program of one class, which asks devicetwin auth: from Maven.
version=2025.5
about="HiveMQ CE: make chaos BROKER=hivemq"
needs="mvn javac"

# install takes the folder with pom.xml, which pins everything, and the program.
install() {
	cp "$1/pom.xml" .
	mvn -q -B -Dhivemq.version=$version dependency:copy-dependencies -DoutputDirectory=lib
	javac -cp 'lib/*' -d classes "$1/Broker.java"
	cat >hivemq <<-'SCRIPT'
		#!/bin/sh
		# hivemq CONFIG-FOLDER DATA-FOLDER EXTENSIONS-FOLDER URL-OF-DEVICETWIN-AUTH
		here=$(cd "$(dirname "$0")" && pwd)
		exec java -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 --add-opens java.base/java.lang=ALL-UNNAMED \
			--add-opens java.base/java.nio=ALL-UNNAMED --add-opens java.base/sun.nio.ch=ALL-UNNAMED \
			--add-opens jdk.management/com.sun.management.internal=ALL-UNNAMED --add-exports java.base/jdk.internal.misc=ALL-UNNAMED \
			-cp "$here/classes:$here/lib/*" Broker "$@"
	SCRIPT
	chmod +x hivemq
	rm pom.xml
}
