# devicetwin. `make help` lists the targets.

DEVICES  ?= 100
RATE     ?= 1
DURATION ?=
SEED     ?= 1
MODEL    ?= models/pump.yaml
SCENARIO ?=
REPORT   ?=
GRAFANA  ?=
ONLY     ?=
BROKER   ?= both
ACK      ?= logged
LOG      ?=
INFLUX   ?= 1
JOBS     ?= 2
SHORT    ?=
LONG     ?=

STACK       := deploy/devstack
HELM        := deploy/helm/test
STATICCHECK := go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
WORKFLOWCHECK := go run go.temporal.io/sdk/contrib/tools/workflowcheck@v0.6.0

# Packages with goroutines, tested with the race detector.
RACE := ./auth/... ./bridge/... ./mqtt/... ./points/... ./simulator/... ./workflows/... ./service/... ./wire/dialect/... ./wire/discovery/... ./internal/cli/... ./internal/figures/... ./internal/journal ./internal/recordlog

.DEFAULT_GOAL := help
.PHONY: help build servers demo dev chaos upgrade bench-e2e test test-race check fmt bench fuzz dashboards histories clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  demo takes DEVICES=$(DEVICES) RATE=$(RATE) DURATION=60s SEED=$(SEED) MODEL=$(MODEL) SCENARIO=… DIALECT=tasmota REPORT=path.json"
	@echo "  dev takes MODEL=$(MODEL), the model of new devices, and GRAFANA=1 to start an installed Grafana as well;"
	@echo "      settings of bin/devstack dev --help are taken from the environment: DEVICETWIN_MQTT_TLS_PORT=0 make dev"
	@echo "  chaos takes ONLY=name,kill-* ACK=$(ACK)|accepted BROKER=nats|mosquitto|rabbitmq|hivemq|moquette|nats-cluster|kafka INFLUX=1|2 SHORT=1 JOBS=$(JOBS) REPORT=path.json; bin/devstack chaos --list names the faults"
	@echo "  bench-e2e takes SECONDS=$(SECONDS) ONLY=name,*-memory LONG=1 ACK=$(ACK)|accepted LOG=none BROKER=nats|mosquitto REPORT=path.json PROFILE=folder; bin/devstack bench --list names the cases"
	@echo "  servers takes ONLY=name,name:"
	@deploy/servers/install.sh --list | sed 's/^/  /'

build: bin/devicetwin bin/devstack bin/devicetwin-standalone ## build the programs into bin/

.PHONY: bin/devicetwin bin/devstack bin/devicetwin-standalone
bin/devicetwin:
	@mkdir -p bin
	go build -o bin/devicetwin ./cmd/devicetwin

bin/devstack:
	@mkdir -p bin
	@test -x bin/devstack || echo "Building the embedded broker, Temporal and InfluxDB. The first time takes about 5 minutes on 2 cores; later builds take seconds."
	cd $(STACK) && go build -o ../../bin/devstack .

bin/devicetwin-standalone: bin/devstack # the same program: its name selects the command line
	ln -f bin/devstack bin/devicetwin-standalone

servers: ## install real servers for tests into .servers/; what is installed stays
	@deploy/servers/install.sh '$(ONLY)'

demo: bin/devstack ## broker, Temporal, InfluxDB, bridge, worker and a fleet; prints a report
	@bin/devstack demo --devices $(DEVICES) --rate $(RATE) --seed $(SEED) --model $(MODEL) \
		$(if $(DURATION),--duration $(DURATION)) $(if $(SCENARIO),--scenario $(SCENARIO)) $(if $(DIALECT),--dialect $(DIALECT)) $(if $(REPORT),--report $(REPORT))

dev: bin/devicetwin bin/devstack ## the same stack without a fleet, for your own devices; runs until Ctrl-C
	@bin/devstack dev --model $(MODEL) $(if $(GRAFANA),--grafana)

# What Mosquitto asks who may connect.
.PHONY: bin/devicetwin-auth.so
bin/devicetwin-auth.so:
	@mkdir -p bin
	@echo '#include <mosquitto_plugin.h>' | $(or $(CC),cc) -E - >/dev/null || { echo "the plugin for Mosquitto needs a C compiler and the headers of Mosquitto (on Debian: apt-get install mosquitto-dev libmosquitto-dev); without it, use BROKER=nats" >&2; exit 1; }
	go build -tags mosquitto_plugin -buildmode=c-shared -o bin/devicetwin-auth.so ./deploy/mosquitto/plugin

chaos: bin/devicetwin bin/devstack $(if $(filter both mosquitto,$(BROKER)),bin/devicetwin-auth.so) ## break each part and each link while a fleet runs; a table of what was lost, duplicated or reordered
	@bin/devstack chaos --broker $(BROKER) --ack $(ACK) $(if $(filter 2,$(INFLUX)),--influx 2) --jobs $(JOBS) $(if $(ONLY),--only '$(ONLY)') $(if $(SHORT),--short) $(if $(REPORT),--report $(REPORT))

upgrade: ## replace workers and bridges of the version before the log under load; needs the history of this repository
	cd $(STACK) && go test ./e2e -run TestRollingUpgrade -count=1 -v

SECONDS ?= 30
PROFILE     ?=
bench-e2e: bin/devicetwin bin/devstack ## capacity of this machine, end to end: a table of cases, targets and raw limits
	@bin/devstack bench --seconds $(SECONDS) --ack $(if $(filter none,$(LOG)),none,$(ACK)) $(if $(ONLY),--only '$(ONLY)') $(if $(LONG),--long) \
		$(if $(filter nats mosquitto,$(BROKER)),--broker $(BROKER)) $(if $(REPORT),--report $(REPORT)) $(if $(PROFILE),--profile $(PROFILE))

test: ## all tests, of the root module, of deploy/devstack and of the Helm chart
	go test ./...
	@echo "Testing the whole path. The first build takes about 5 minutes on 2 cores."
	cd $(STACK) && go test -timeout 60m ./...
	cd $(HELM) && go test ./...

test-race: ## the packages with goroutines, under the race detector
	go test -race $(RACE)

check: ## formatting, go.mod, vet, staticcheck, workflow determinism, import direction
	@test -z "$$(gofmt -l . | tee /dev/stderr)" || { echo "gofmt: the files above need formatting (make fmt)"; exit 1; }
	go mod tidy -diff
	cd $(STACK) && go mod tidy -diff
	cd $(HELM) && go mod tidy -diff
	go vet ./...
	cd $(STACK) && go vet ./...
	cd $(HELM) && go vet ./...
	$(STATICCHECK) ./...
	cd $(STACK) && $(STATICCHECK) ./...
	cd $(HELM) && $(STATICCHECK) ./...
	$(WORKFLOWCHECK) -config .workflowcheck.yaml ./workflows/...
	go test -count=1 -run TestImportsPointOneWay ./internal/layout

fmt: ## format the code
	gofmt -w .

bench: ## Go benchmarks, in benchstat's format
	go test -run '^$$' -bench . -benchmem ./devicefsm/... ./twin/... ./wire/... ./bridge/... ./points/... ./auth/...

FUZZTIME ?= 30s
fuzz: ## run every fuzz target for FUZZTIME
	@for package in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "$$package $$target"; \
			go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$package || exit 1; \
		done; \
	done

dashboards: ## write deploy/grafana/dashboards and its alert rules
	go run ./deploy/grafana/gen deploy/grafana

histories: ## record the workflow histories of the present rules, which the replay tests use (before a release of new rules)
	cd $(STACK) && go test ./e2e -run 'TestRecord(Histories|Processed|Decided|Records)|TestModelsOfTheRegistry' -count=1 -record
	go test ./workflows/device ./workflows/aggregate ./workflows/registry -run 'Histories|Replay' -count=1

clean: ## remove what make built and the data of make dev
	rm -rf bin .devstack
