package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"devicetwin/api"
	"devicetwin/api/client"
	"devicetwin/deploy/devstack/stack"
	"devicetwin/device"
	"devicetwin/service"
	deviceworkflow "devicetwin/workflows/device"
	"devicetwin/workflows/registry"
)

// registryHistories is where the histories of the registry of models are.
const registryHistories = root + "/workflows/registry/testdata/histories"

// A third version of the model lamp.
const editedAgain = "model: lamp\nevents: {boot: {channel: status}}\ninitial: low\nstates: {low: {on: {boot: high}}, high: {on: {boot: low}}}\n"

// published is a registry of models with the processes that use it, each with copies of its own.
type published struct {
	*testing.T
	servers *stack.Stack
	config  service.Config
	parts   map[string]*service.Service
	api     *client.Client
	url     string
	dir     string
	devices map[string]*mqttDevice
	births  int
}

func startPublished(t *testing.T, keys string) *published {
	p := &published{
		T: t, dir: t.TempDir(), parts: map[string]*service.Service{}, devices: map[string]*mqttDevice{},
		servers: start(t, stack.Options{Parts: []stack.Part{stack.PartMQTT, stack.PartTemporal}}),
	}
	c := service.DefaultConfig()
	c.MQTT.URL, c.Temporal.Address, c.Temporal.Namespace, c.Temporal.Keys = []string{p.servers.MQTT.URL()}, p.servers.Temporal.Addr(), stack.Namespace, keys
	c.Influx.URL, c.HTTP.Listen, c.API.Listen = "", "127.0.0.1:0", "127.0.0.1:0"
	c.Model.Registry, c.Bridge.ID, c.Worker.Credentials = true, "lamps", filepath.Join(p.dir, "credentials")
	p.config = c
	t.Cleanup(func() {
		for name := range p.parts {
			p.stop(name)
		}
	})
	return p
}

// file writes a version of the model.
func (p *published) file(name, model string) string {
	p.Helper()
	file := filepath.Join(p.dir, name)
	if err := os.WriteFile(file, []byte(model), 0o600); err != nil {
		p.Fatal(err)
	}
	return file
}

// begin starts a process, with the file of a model or without any.
func (p *published) begin(name string, parts service.Parts, model string) {
	p.Helper()
	c := p.config
	c.Model.Model, c.Model.Copies, c.Worker.ID = model, filepath.Join(p.dir, "copies-"+name), name
	running, err := service.Start(c, parts, testLogger(p.T))
	if err != nil {
		p.Fatal(err)
	}
	p.parts[name] = running
	if parts == service.API {
		p.url = running.APIURL()
		if p.api, err = client.New(p.url, ""); err != nil {
			p.Fatal(err)
		}
	}
}

func (p *published) ready(name string) {
	p.Helper()
	awaitReady(p.T, p.parts[name].HTTPAddr())
}

func (p *published) stop(name string) {
	if err := p.parts[name].Close(); err != nil {
		p.Error(err)
	}
	delete(p.parts, name)
}

// command runs "devicetwin model".
func (p *published) command(args ...string) (string, error) {
	p.Helper()
	cmd := program(p.T, "devicetwin", append([]string{"model"}, args...)...)
	cmd.Env = append(cmd.Env, "DEVICETWIN_API_URL="+p.url)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// devicesCommand runs "devicetwin devices".
func (p *published) devicesCommand(args ...string) string {
	p.Helper()
	cmd := program(p.T, "devicetwin", append([]string{"devices"}, args...)...)
	cmd.Env = append(cmd.Env, "DEVICETWIN_API_URL="+p.url)
	out, err := cmd.CombinedOutput()
	if err != nil {
		p.Errorf("devices %s: %v", strings.Join(args, " "), err)
	}
	return string(out)
}

// commanded runs "devicetwin model", which says something.
func (p *published) commanded(says string, args ...string) {
	p.Helper()
	if out, err := p.command(args...); err != nil || !strings.Contains(out, says) {
		p.Fatalf("model %s: %v\n%s\nwant %s", strings.Join(args, " "), err, out, says)
	}
}

// known waits until a process knows what the registry knows.
func (p *published) known(names ...string) {
	p.Helper()
	list, err := p.api.Models(p.Context())
	if err != nil {
		p.Fatal(err)
	}
	for _, name := range names {
		eventually(p.T, name+" knows the registry", func(context.Context) bool {
			return metric(p.parts[name].HTTPAddr(), "devicetwin_models_registry_revision") == float64(list.Revision) &&
				metric(p.parts[name].HTTPAddr(), "devicetwin_models_registry_unread") == 0
		})
	}
}

func (p *published) boot(id string) {
	p.Helper()
	p.births++
	if p.devices[id] == nil {
		p.devices[id] = connect(p.T, p.servers.MQTT.URL(), id)
	}
	p.devices[id].publish("devices/"+id+"/status", fmt.Sprintf(`{"status":"boot","birth":%d}`, p.births))
}

// becomes waits for a state in a version of the model.
func (p *published) becomes(id device.ID, state string, version int) {
	p.Helper()
	has, err := p.api.ModelVersion(p.Context(), "lamp", fmt.Sprint(version))
	if err != nil {
		p.Fatal(err)
	}
	eventually(p.T, string(id)+" is "+state, func(ctx context.Context) bool {
		d, err := p.api.Device(ctx, id)
		if err == nil && d.ModelHash != has.Hash {
			p.Fatalf("%s runs %s in state %s, want version %d, %s", id, d.ModelHash, d.State, version, has.Hash)
		}
		return err == nil && d.State == state
	})
}

// named waits until the API names the versions that all devices run, in lists, queries, counts and
// reasons.
func (p *published) named(want map[device.ID]int) {
	p.Helper()
	eventually(p.T, fmt.Sprintf("devices run the versions %v", want), func(ctx context.Context) bool {
		page, err := p.api.Devices(ctx, "", 100, "")
		got := map[device.ID]int{}
		for _, d := range page.Devices {
			got[d.ID] = d.ModelVersion
		}
		return err == nil && maps.Equal(got, want)
	})
	perVersion := map[int]int{}
	for id, version := range want {
		perVersion[version]++
		d, err := p.api.Device(p.Context(), id)
		if err != nil || d.ModelVersion != version {
			p.Errorf("%s runs version %d, want %d; %v", id, d.ModelVersion, version, err)
		}
		if why, err := p.api.Why(p.Context(), id, 1); err != nil || len(why.Transitions) != 1 || why.Transitions[0].ModelVersion != version || why.Model != "lamp" {
			p.Errorf("%s, version %d: why %+v, %v", id, version, why, err)
		}
	}
	for version, n := range perVersion {
		if got, err := p.api.CountDevices(p.Context(), fmt.Sprintf("model:lamp@%d", version)); err != nil || got.Count != n {
			p.Errorf("%d devices of version %d, want %d; %v", got.Count, version, n, err)
		}
	}
	if perVersion[1] == 0 {
		return // it may have been removed
	}
	if got, err := p.api.CountDevices(p.Context(), "NOT model:lamp@1"); err != nil || got.Count != len(want)-perVersion[1] {
		p.Errorf("%d devices of other versions than 1, want %d; %v", got.Count, len(want)-perVersion[1], err)
	}
}

// length is that of the history of a device's workflow.
func (p *published) length(id device.ID) int64 {
	p.Helper()
	is, err := dialTemporal(p.T, p.servers.Temporal.Addr()).DescribeWorkflowExecution(p.Context(), deviceworkflow.WorkflowID(id), "")
	if err != nil {
		p.Fatal(err)
	}
	return is.GetWorkflowExecutionInfo().GetHistoryLength()
}

// refused expects an answer of the API.
func (p *published) refused(err error, status int, says string) {
	p.Helper()
	var problem *client.Problem
	if !errors.As(err, &problem) || problem.Status != status || !strings.Contains(problem.Error(), says) {
		p.Errorf("%v, want %d %s", err, status, says)
	}
}

// A version that is pushed while a bridge and a worker are down is known to them when they are
// back, without its file. New devices start with it once it is the default; those of the old
// version go on with that. With -record, the histories of the registry are written.
func TestModelsOfTheRegistry(t *testing.T) {
	p := startPublished(t, "")
	first := p.file("lamp.yaml", editedBefore)
	p.begin("api", service.API, "")
	_, err := p.api.Models(t.Context())
	p.refused(err, http.StatusConflict, "there is no registry of models")

	// Files and flags fill the registry: a worker's the model, a bridge's the rules.
	p.begin("worker-1", service.Worker, first)
	p.ready("worker-1")
	p.begin("bridge", service.Bridge, first)
	p.ready("bridge")
	if rules, err := p.api.ModelRules(t.Context()); err != nil || rules.Sources["mqtt"].Model != "lamp" {
		t.Fatalf("rules %+v, %v", rules, err)
	}
	for _, id := range []string{"old-1", "old-2"} {
		p.boot(id)
		p.becomes(device.ID(id), "on", 1)
	}

	p.stop("bridge")
	second := p.file("second.yaml", strings.Replace(editedAfter, "model: lamp", "model: lamp # the second", 1))
	p.commanded("lamp@2 (", "push", second, "--note", "brighter")
	p.commanded("lamp@2 (", "push", p.file("spelled.yaml", "# again\n"+editedAfter))
	p.commanded("brighter", "show", "lamp")
	p.commanded("the second", "show", "lamp@2", "--source")
	if out, err := p.command("push", p.file("faulty.yaml", "model: lamp\ninitial: of\nstates: {off: {}}\n")); err == nil || !strings.Contains(out, "faulty.yaml:2:10") {
		t.Errorf("a faulty model: %v\n%s", err, out)
	}
	p.boot("old-1") // waits in the broker

	// They come back without files, and another worker takes over.
	p.begin("worker-2", service.Worker, "")
	p.ready("worker-2")
	p.stop("worker-1")
	p.begin("bridge", service.Bridge, "")
	p.ready("bridge")
	p.known("bridge", "worker-2")
	p.becomes("old-1", "off", 1)

	// The old version is the default until another one is, which bridges have to know.
	p.boot("between")
	p.becomes("between", "on", 1)
	_, err = p.api.ChangeModels(t.Context(), api.ModelChange{Expected: 1000, Default: &api.VersionOfModel{Model: "lamp", Version: 2}})
	p.refused(err, http.StatusPreconditionFailed, "revision 1000 was expected")
	eventuallyWithin(t, 2*registry.SettleTime, time.Second, "the second version is the default", func(context.Context) bool {
		out, err := p.command("default", "lamp@2", "--note", "all of them")
		return err == nil && strings.Contains(out, "lamp@2 (")
	})
	p.known("bridge", "worker-2")
	p.boot("new-1")
	p.becomes("new-1", "bright", 2)
	p.boot("old-1")
	p.becomes("old-1", "on", 1)

	// A third version is pushed while all run: it is known, and nothing happens to devices.
	before := p.length("old-2")
	p.commanded("lamp@3 (", "push", p.file("third.yaml", editedAgain))
	p.known("bridge", "worker-2")
	if after := p.length("old-2"); after != before {
		t.Errorf("the history of a device grew from %d to %d events with a push", before, after)
	}
	rules := p.file("rules.json", `{"sources": {"mqtt": {"model": "lamp", "rules": [{"pattern": "pinned-*", "model": "lamp@1"}, {"pattern": "third-*", "model": "lamp@3"}]}}}`)
	eventuallyWithin(t, 2*registry.SettleTime, time.Second, "the third version is in the rules", func(context.Context) bool {
		_, err := p.command("rules", rules, "--note", "tried out")
		return err == nil
	})
	p.known("bridge", "worker-2")
	for id, want := range map[string]struct {
		state   string
		version int
	}{"pinned-1": {"on", 1}, "third-1": {"high", 3}, "new-2": {"bright", 2}, "old-2": {"off", 1}} {
		p.boot(id)
		p.becomes(device.ID(id), want.state, want.version)
	}

	// Three versions at once: lists, queries, counts and reasons name them.
	p.named(map[device.ID]int{"old-1": 1, "old-2": 1, "between": 1, "pinned-1": 1, "new-1": 2, "new-2": 2, "third-1": 3})
	p.commanded("4 on @1, 2 on @2, 1 on @3", "list")

	// A fourth is pushed while a bridge and a worker are down, and is known to them when they are back.
	p.begin("worker-3", service.Worker, "")
	p.ready("worker-3")
	p.stop("bridge")
	p.stop("worker-2")
	p.commanded("lamp@4 (", "push", p.file("fourth.yaml", strings.Replace(editedAgain, "initial: low", "initial: high", 1)), "--note", "while they are down")
	p.boot("third-1") // waits in the broker
	p.begin("bridge", service.Bridge, "")
	p.begin("worker-2", service.Worker, "")
	p.ready("bridge")
	p.ready("worker-2")
	p.stop("worker-3")
	p.known("bridge", "worker-2")
	p.becomes("third-1", "low", 3)
	fourRules := p.file("four.json", `{"sources": {"mqtt": {"model": "lamp", "rules": [{"pattern": "third-*", "model": "lamp@3"}, {"pattern": "fourth-*", "model": "lamp@4"}]}}}`)
	eventuallyWithin(t, 2*registry.SettleTime, time.Second, "the fourth version is in the rules", func(context.Context) bool {
		_, err := p.command("rules", fourRules)
		return err == nil
	})
	p.known("bridge", "worker-2")
	p.boot("fourth-1")
	p.becomes("fourth-1", "low", 4)
	p.named(map[device.ID]int{"old-1": 1, "old-2": 1, "between": 1, "pinned-1": 1, "new-1": 2, "new-2": 2, "third-1": 3, "fourth-1": 4})

	// They are found by their hashes, too, and kept.
	third, err := p.api.ModelVersion(t.Context(), "lamp", "3")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "devices are found by their version", func(ctx context.Context) bool {
		page, err := p.api.Devices(ctx, "model_hash:"+third.Hash, 10, "")
		return err == nil && len(page.Devices) == 1 && page.Devices[0].ID == "third-1"
	})
	if why, err := p.api.Why(t.Context(), "third-1", 1); err != nil || len(why.Transitions) != 1 || why.Transitions[0].ModelHash != third.Hash {
		t.Errorf("%+v, %v", why, err)
	}
	if _, err := p.command("rules", p.file("simple.json", `{"sources": {"mqtt": {"model": "lamp"}}}`)); err != nil {
		t.Fatal(err)
	}
	remove := func(version int) error {
		_, err := p.api.ChangeModels(t.Context(), api.ModelChange{Note: "unused", Remove: &api.VersionOfModel{Model: "lamp", Version: version}})
		return err
	}
	p.refused(remove(2), http.StatusConflict, "is its default")
	p.refused(remove(3), http.StatusConflict, "a moment ago")
	fifth, err := p.api.ChangeModels(t.Context(), api.ModelChange{Push: &api.ModelFile{File: "lamp.yaml", Source: editedAgain + "context: {n: 4}\n"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := remove(fifth.Version); err != nil {
		t.Errorf("nothing runs it: %v", err)
	}
	_, err = p.api.ModelVersion(t.Context(), "lamp", fifth.Hash)
	p.refused(err, http.StatusNotFound, "has no version")

	// The registry outlives its runs.
	var changes sync.WaitGroup
	turns := make(chan struct{}, 20)
	for range 200 {
		turns <- struct{}{}
		changes.Go(func() {
			defer func() { <-turns }()
			if done, err := p.api.ChangeModels(t.Context(), api.ModelChange{Default: &api.VersionOfModel{Model: "lamp", Version: 2}}); err != nil || done.Created {
				t.Errorf("%+v, %v", done, err)
			}
		})
	}
	changes.Wait()
	p.commanded(`"note": "brighter"`, "show", "lamp@2", "-o", "json")
	audit, err := p.api.ModelChanges(t.Context(), 200)
	if err != nil {
		t.Fatal(err)
	}
	var what []string
	for _, c := range audit.Changes {
		what = append(what, fmt.Sprint(c.What, c.Version))
	}
	if got := strings.Join(what, " "); got != "remove5 push5 rules0 rules0 push4 rules0 push3 default2 push2 rules0 seed1" {
		t.Errorf("changes %s", got)
	}
	p.recordHistories(fifth.Hash)
}

// recordHistories writes the histories of the registry, and of a version that is kept.
func (p *published) recordHistories(removed string) {
	p.Helper()
	s := &system{Stack: p.servers}
	if !*record {
		return
	}
	if err := errors.Join(os.RemoveAll(registryHistories), os.MkdirAll(registryHistories, 0o755)); err != nil {
		p.Fatal(err)
	}
	recordRuns(p.T, s, registry.WorkflowID, filepath.Join(registryHistories, "registry"))
	recordRuns(p.T, s, registry.TextID(removed), filepath.Join(registryHistories, "text"))
}

// With encrypted payloads, versions are encrypted too, and read as they were pushed.
func TestAnEncryptedRegistry(t *testing.T) {
	p := startPublished(t, aKeyFile(t))
	p.begin("api", service.API, "")
	p.begin("worker-1", service.Worker, p.file("lamp.yaml", editedBefore))
	p.ready("worker-1")
	eventually(t, "the registry is begun", func(ctx context.Context) bool {
		list, err := p.api.Models(ctx)
		return err == nil && len(list.Models) == 1
	})
	p.begin("bridge", service.Bridge, "")
	eventually(t, "the bridge waits for rules", func(context.Context) bool {
		_, body := get(p.parts["bridge"].HTTPAddr(), "/readyz")
		return strings.Contains(body, "a default model is needed")
	})
	p.commanded("the rules are replaced", "rules", p.file("rules.json", `{"sources": {"mqtt": {"model": "lamp"}}}`))
	p.ready("bridge")
	p.begin("worker-2", service.Worker, "")
	p.known("worker-2")
	p.stop("worker-1")
	p.boot("lamp-1")
	p.becomes("lamp-1", "on", 1)
	p.commanded("initial: off", "show", "lamp@1")
}
