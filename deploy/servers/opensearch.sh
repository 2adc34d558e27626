# OpenSearch, one node in one process, from Maven: the last line for Java 17.
version=2.19.6
about="OpenSearch: Temporal's visibility for large fleets"
needs="mvn javac"

# install takes the folder with pom.xml, which pins everything, and the program.
install() {
	cp "$1/pom.xml" .
	mvn -q -B -Dopensearch.version=$version dependency:copy-dependencies -DoutputDirectory=lib
	javac -cp 'lib/*' -d classes "$1/Node.java"
	cat >opensearch <<-'SCRIPT'
		#!/bin/sh
		# opensearch DATA HOST HTTP-PORT TRANSPORT-PORT
		here=$(cd "$(dirname "$0")" && pwd)
		exec java -Xms512m -Xmx512m -XX:+UseSerialGC -Dlog4j2.disable.jmx=true -Dopensearch.log4j.disable.jmx=true \
			-cp "$here/classes:$here/lib/*" Node "$@"
	SCRIPT
	chmod +x opensearch
	rm pom.xml
}
