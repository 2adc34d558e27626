# Apache Kafka, a node of KRaft in a program of one class: from Maven.
version=4.1.1
about="Apache Kafka: the bridge's tests in bridge/kafka"
needs="mvn javac"

# install takes the folder with pom.xml, which pins everything, and the program.
install() {
	cp "$1/pom.xml" .
	mvn -q -B -Dkafka.version=$version dependency:copy-dependencies -DoutputDirectory=lib
	javac -cp 'lib/*' -d classes "$1/Node.java"
	cat >kafka <<-'SCRIPT'
		#!/bin/sh
		# kafka NUMBER DATA HOST:PORT HOST:PORT-OF-CONTROLLER [SETTING=VALUE …]
		here=$(cd "$(dirname "$0")" && pwd)
		exec java -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dorg.slf4j.simpleLogger.defaultLogLevel=warn \
			-Dlog4j2.disable.jmx=true -Dlog4j2.level=WARN -cp "$here/classes:$here/lib/*" Node "$@"
	SCRIPT
	chmod +x kafka
	rm pom.xml
}
