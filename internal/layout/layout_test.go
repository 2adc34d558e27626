package layout

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "devicetwin"

// layer is one package's place in the layout.
type layer struct {
	imports []string // of this module, at most
	reason  string
}

// The layering: who may import whom of this module. A package that is not named
// here may not exist without a decision.
var layers = map[string]layer{
	"device":                      {nil, "the vocabulary: everybody imports it, so it imports nothing"},
	"source":                      {[]string{"internal/text"}, "reads YAML with places; knows nothing of models"},
	"devicefsm/pattern":           {nil, "pure matcher of event patterns"},
	"devicefsm/calendar":          {nil, "pure: local times, of zones that are recorded"},
	"devicefsm/calendar/zonedata": {[]string{"devicefsm/calendar"}, "records zones of this machine's database: I/O, so not a part of what is pure"},
	"devicefsm":                   {[]string{"device", "devicefsm/calendar", "devicefsm/pattern", "devicefsm/window", "internal/expression", "internal/schema", "internal/text", "source"}, "the pure state machine: no I/O, no servers"},
	"devicefsm/diff":              {[]string{"device", "devicefsm", "internal/text"}, "pure comparison of two models"},
	"devicefsm/plan":              {[]string{"devicefsm", "devicefsm/diff", "internal/text", "source"}, "pure plans for moving devices to another version of a model, as files"},
	"devicefsm/replay":            {[]string{"device", "devicefsm", "devicefsm/calendar"}, "runs histories of devices through models again: pure"},
	"devicefsm/script":            {[]string{"device", "devicefsm", "devicefsm/calendar/zonedata", "internal/text", "source"}, "tests of models, as files"},
	"twin":                        {[]string{"device"}, "pure shadow documents"},
	"twin/command":                {[]string{"device"}, "pure queue of commands"},
	"devicefsm/window":            {nil, "pure aggregates over time"},

	"wire":        {[]string{"device", "internal/faults", "internal/jsonobject", "internal/text", "mqtt", "twin"}, "topics and payloads, both ways: of mqtt the rules of filters, of twin the names of shadows"},
	"wire/format": {[]string{"internal/faults", "internal/jsonobject", "internal/text"}, "bytes to values and back, for dialects: knows nothing of topics and devices"},
	"wire/discovery": {[]string{"internal/jsonobject", "internal/text", "wire/discovery/jinja"},
		"what is on which topics, as discovery messages say: knows nothing of devices' ids and of the service's messages"},
	"wire/discovery/jinja": {[]string{"internal/jsonobject"}, "templates of values, evaluated: pure"},
	"wire/dialect": {[]string{"device", "internal/expression", "internal/jsonobject", "internal/schema", "internal/text", "mqtt", "source", "wire", "wire/discovery", "wire/format"},
		"topics and payloads of other devices, as files say; of mqtt the rules of filters"},
	"dialects":      {[]string{"source", "wire/dialect"}, "the files that come with the program"},
	"mqtt":          {[]string{"internal/backoff", "internal/faults", "internal/text", "internal/tlsfiles"}, "the client: connections, publisher, rules of filters"},
	"mqtt/mqtttest": {[]string{"mqtt"}, "a broker under the control of a test"},
	"points": {[]string{"internal/backoff", "internal/durable", "internal/faults", "internal/figures", "internal/jsonobject", "internal/jsonsize", "internal/measure", "internal/recordlog",
		"internal/text", "internal/tlsfiles"}, "the writer of time series: of devices it knows how what they measure becomes points, and nothing of MQTT"},
	"bridge": {[]string{"bridge/ingest", "device", "internal/backoff", "internal/faults", "internal/figures", "internal/measure", "internal/recordlog", "internal/text", "mqtt", "wire"},
		"the MQTT source: session, status, dead letters; of device it passes on faults"},
	"bridge/kafka": {[]string{"bridge/ingest", "device", "internal/backoff", "internal/faults", "internal/figures", "internal/measure", "internal/recordlog", "internal/text", "internal/tlsfiles", "wire"},
		"the Kafka source: a member of a group, partitions as lanes, dead letters; and what writes records; knows no MQTT, and of wire what a message is"},
	"bridge/history": {[]string{"device", "wire"}, "what was received, as records of a log: for whoever reads one"},
	"bridge/ingest": {[]string{"bridge/history", "device", "devicefsm", "internal/backoff", "internal/faults", "internal/figures", "internal/jsonobject", "internal/jsonsize", "internal/measure", "internal/recordlog", "twin", "wire"},
		"lanes to batches: no MQTT and no topics; of wire it knows messages and reasons, of twin a limit; of the workflows nothing"},
	"workflows/device": {[]string{"device", "devicefsm", "devicefsm/calendar", "devicefsm/calendar/zonedata", "devicefsm/replay", "internal/figures", "internal/measure", "mqtt", "twin", "twin/command", "wire", "workflows/aggregate"},
		"the device workflow and its activities; of mqtt, the rule of topic filters only"},
	"workflows/aggregate": {nil, "collects what many workflows report to one: knows nothing of devices"},
	"workflows/registry":  {[]string{"device"}, "keeps versions of models: knows their names, hashes and contents, and not what is in them"},
	"workflows/migration": {[]string{"device"}, "moves the devices of a fleet by a plan: knows neither what is in the plan nor their workflows"},
	"workflows/client": {[]string{"device", "devicefsm", "internal/measure", "twin/command", "workflows/device", "workflows/migration", "workflows/registry"},
		"what other processes ask of device workflows; one package for all kinds of them"},
	"simulator": {[]string{"device", "devicefsm", "internal/measure", "source", "wire"}, "plays devices; an independent check, so it shares nothing with bridge and workflows but the grammar of topics"},

	"api":         {[]string{"device", "source"}, "HTTP in front of an interface; must not know what is behind it; of source, how durations are written, and faults of a file with their places"},
	"api/apitest": {[]string{"api", "device", "source", "twin"}, "a backend in memory, with the real rules of documents"},
	"api/client":  {[]string{"api", "device", "internal/text", "source"}, "speaks the API's types, with durations as in source"},

	"auth":          {[]string{"device", "internal/faults", "internal/text", "mqtt", "wire"}, "who may connect, and what a client may do: knows no broker; of mqtt the rules of filters, of wire the topics"},
	"auth/authtest": {nil, "passwords in memory, and hashes of those of accounts: for tests"},
	"auth/callout":  {[]string{"auth", "internal/natsresume"}, "what NATS asks, and how it is answered"},
	"auth/hooks":    {[]string{"auth"}, "what brokers ask over HTTP, and how they are answered"},

	"service": {[]string{"api", "auth", "auth/callout", "auth/hooks", "bridge", "bridge/history", "bridge/ingest", "bridge/kafka", "device", "devicefsm", "devicefsm/plan", "dialects", "internal/backoff", "internal/codec", "internal/credentials", "internal/faults", "internal/figures", "internal/journal", "internal/kinds", "internal/measure",
		"internal/modelfile", "internal/recordlog", "internal/text", "internal/tlsfiles", "mqtt", "points", "twin", "twin/command", "wire", "wire/dialect", "workflows/aggregate", "workflows/client", "workflows/device", "workflows/migration", "workflows/registry"}, "the one place that wires all parts"},

	"internal/version":      {nil, "which build this is"},
	"internal/cli":          {[]string{"api/client", "internal/codec", "internal/recordlog", "internal/version", "service", "source"}, "shared by all command lines: exit statuses come from the errors of these"},
	"internal/cli/clitest":  {[]string{"internal/cli"}, "finds flags that a command does not use"},
	"internal/cli/operator": {[]string{"api", "api/client", "device", "devicefsm/plan", "internal/cli", "internal/text"}, "asks the API only; of plans, it reads whether a file is one"},
	"internal/cli/dialect":  {[]string{"device", "dialects", "internal/cli", "internal/modelfile", "mqtt", "wire", "wire/dialect"}, "works on files, without servers"},
	"internal/cli/model": {[]string{"api/client", "device", "devicefsm", "devicefsm/calendar/zonedata", "devicefsm/diff", "devicefsm/plan", "devicefsm/replay", "devicefsm/script", "internal/cli", "internal/journal", "internal/measure", "internal/modelfile", "source"},
		"works on files; asks the API for versions of the registry only; a model's name is that of a measurement"},
	"internal/cli/logs": {[]string{"bridge/history", "device", "devicefsm/replay", "internal/cli", "internal/journal", "internal/recordlog", "points", "source"},
		"reads the files of journals and logs: of bridge and points it knows what is in records"},
	"internal/cli/simulate": {[]string{"device", "devicefsm", "dialects", "internal/cli", "internal/modelfile", "internal/tlsfiles", "mqtt", "points", "service", "simulator", "wire", "wire/dialect", "workflows/client"},
		"plays a fleet against a running service; of dialects, what simulated devices speak"},
	"internal/cli/admin":       {[]string{"api", "internal/cli", "internal/codec", "service", "workflows/client"}, "prepares what the service needs"},
	"internal/cli/credentials": {[]string{"api/client", "auth", "device", "internal/cli", "internal/credentials", "service", "source"}, "works on the credential store; of the API it sets tags"},
	"internal/cli/tap": {[]string{"device", "devicefsm", "dialects", "internal/cli", "internal/modelfile", "internal/text", "mqtt", "service", "wire", "wire/dialect"},
		"looks at a broker, and changes nothing"},
	"internal/cli/devicetwin": {[]string{"internal/cli", "internal/cli/admin", "internal/cli/credentials", "internal/cli/dialect", "internal/cli/logs", "internal/cli/model", "internal/cli/operator", "internal/cli/simulate", "internal/cli/tap", "service"}, "the grammar of the program"},
	"cmd/devicetwin":          {[]string{"internal/cli/devicetwin"}, "main: nothing but the exit status"},

	"internal/backoff": {nil, "waits between attempts"},
	"internal/durable": {nil, "files that survive the end of a process"},
	"internal/schema":  {nil, "JSON Schemas of files that people write: of models and of dialects"},
	"internal/schema/schematest": {[]string{"source"},
		"what these schemas accept, for tests; of source, what loaders find"},
	"internal/expression":   {[]string{"source"}, "what an expression means, whoever evaluates it: models, and what maps foreign messages; of source, the hint to a mistyped name"},
	"internal/faults":       {nil, "collects errors of settings"},
	"internal/jsonobject":   {nil, "reads encoded JSON without decoding it"},
	"internal/jsonsize":     {nil, "bounds of encoded JSON"},
	"internal/recordlog":    {[]string{"internal/durable"}, "records on disk: knows nothing of what is in them"},
	"internal/journal":      {[]string{"device", "devicefsm/replay", "internal/durable", "internal/figures", "internal/recordlog"}, "files of what state machines took: knows no models; of recordlog the keys"},
	"internal/text":         {nil, "clips strings for logs, checks tokens for headers, and writes values for people: pure"},
	"internal/testfile":     {nil, "files that tests write"},
	"internal/brokertest":   {[]string{"auth/authtest", "device", "internal/cli", "internal/cli/credentials", "internal/credentials", "internal/testfile", "service", "wire"}, "tests of a broker that runs"},
	"internal/testhistory":  {nil, "histories of workflows that a server recorded, for tests"},
	"internal/testlog":      {nil, "a log that tests can search"},
	"internal/testserver":   {[]string{"internal/durable", "internal/testfile"}, "servers that are installed, for tests: addresses, programs, and a Mosquitto"},
	"internal/tlsfiles":     {[]string{"internal/faults"}, "reports every fault of the files"},
	"internal/measure":      {nil, "names of measurements, shared by writers and dashboards"},
	"internal/figures":      {nil, "turns metrics into points"},
	"internal/codec":        {nil, "encrypts payloads"},
	"internal/credentials":  {[]string{"device", "internal/durable", "internal/figures", "internal/text"}, "hashes of devices' passwords, shared with the broker's login"},
	"internal/natsresume":   {nil, "puts what NATS has in flight for an MQTT session back in line: for the callout, and for the broker that is embedded"},
	"internal/npmtest":      {[]string{"internal/testserver"}, "installs clients for Node.js, for tests"},
	"internal/kafkatest":    {[]string{"internal/testserver"}, "an Apache Kafka for tests"},
	"internal/postgrestest": {[]string{"internal/testfile", "internal/testserver"}, "a PostgreSQL for tests"},
	"internal/modelfile":    {[]string{"devicefsm", "internal/durable", "source"}, "finds model files: for service and model commands"},
	"internal/language":     {nil, "a test of the words in all files"},
	"internal/kinds":        {[]string{"device", "source"}, "which kinds of entities there are, as a file says"},
	"internal/layout":       {nil, "this test"},

	"deploy/grafana/gen":     {[]string{"bridge", "bridge/ingest", "internal/measure"}, "dashboards use the names that the writers use"},
	"deploy/mosquitto":       {nil, "tests of the broker's configuration"},
	"deploy/mosquitto/login": {[]string{"auth", "device", "internal/credentials"}, "the settings of the broker's plugin: what is decided is decided in auth"},
	"deploy/aedes":           {nil, "tests of the broker that it starts"},
	"deploy/nats":            {nil, "tests of the broker's configuration"},
	"deploy/rabbitmq":        {nil, "tests of the broker's configuration"},
	"deploy/systemd":         {nil, "tests of the units"},
}

// The core does no I/O and knows no server. These packages may
// not appear anywhere below it.
var notInTheCore = []string{
	"net/http", "os/exec", "go.temporal.io/", "github.com/eclipse/paho", "github.com/influxdata/", "math/rand",
}

// The root module stays slim: heavy servers live in deploy/devstack only.
var notInTheRoot = []string{
	module + "/deploy", "go.temporal.io/server", "github.com/nats-io/nats-server", "github.com/influxdata/influxdb/",
	"github.com/temporalio/ui-server",
}

type goPackage struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func listPackages(t *testing.T) map[string]goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", module+"/...").Output()
	if err != nil {
		t.Fatalf("list packages: %v", err)
	}
	packages := map[string]goPackage{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages[strings.TrimPrefix(p.ImportPath, module+"/")] = p
	}
}

func TestImportsPointOneWay(t *testing.T) {
	packages := listPackages(t)
	for name, p := range packages {
		place, known := layers[name]
		if !known {
			t.Errorf("package %s has no place in the layout: add it here, with a reason", name)
		}
		if known && place.reason == "" {
			t.Errorf("package %s has no reason for its place", name)
		}
		for _, imported := range p.Imports {
			short, ours := strings.CutPrefix(imported, module+"/")
			if ours && !slices.Contains(place.imports, short) {
				t.Errorf("%s imports %s, and may only import %v", name, short, place.imports)
			}
		}
		refuse(t, name, p.Deps, notInTheRoot)
	}
	for _, core := range []string{"devicefsm", "devicefsm/calendar", "devicefsm/diff", "devicefsm/pattern", "devicefsm/plan", "devicefsm/replay", "devicefsm/script", "devicefsm/window", "internal/expression", "internal/text", "twin", "twin/command"} {
		refuse(t, core, packages[core].Imports, notInTheCore)
	}
	for name := range layers {
		if _, ok := packages[name]; !ok {
			t.Errorf("package %s of the layout is gone", name)
		}
	}
}

func refuse(t *testing.T, name string, imports, forbidden []string) {
	t.Helper()
	for _, imported := range imports {
		for _, f := range forbidden {
			if strings.HasPrefix(imported, f) {
				t.Errorf("%s depends on %s", name, imported)
			}
		}
	}
}
