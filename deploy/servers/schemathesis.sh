# Schemathesis, which tries the operator's API against its own OpenAPI document, with all that it
# needs of Python in a folder of its own.
version=4.32.5
about="Schemathesis: tries the API against its OpenAPI document"
needs="python3"

# install takes the folder with requirements.txt, which pins every package: the output of
# pip freeze. The folder is renamed afterwards, so that nothing but st may name it.
install() {
	local lists=$1
	python3 -m venv venv # Debian: apt-get install python3-venv
	venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r "$lists/requirements.txt"
	cat >st <<-'SCRIPT'
		#!/bin/sh
		exec "$(dirname "$0")/venv/bin/python" -m schemathesis.cli "$@"
	SCRIPT
	chmod +x st
}
