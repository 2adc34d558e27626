// Package test renders the chart with Helm's own library, and compares it with
// golden files (go test -update rewrites them) and with the settings that the
// program knows. It is a module of its own, to keep Helm out of the others.
package test

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"sigs.k8s.io/yaml"

	"devicetwin/internal/cli/devicetwin"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const chartDir = "../devicetwin"

func load(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.LoadDir(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// render returns the documents of the chart with these values (YAML).
func render(t *testing.T, values string) (string, error) {
	t.Helper()
	var given map[string]any
	if err := yaml.Unmarshal([]byte(values), &given); err != nil {
		t.Fatal(err)
	}
	c := load(t)
	capabilities := common.DefaultCapabilities.Copy()
	capabilities.KubeVersion = common.KubeVersion{Version: "v1.33.0", Major: "1", Minor: "33"}
	all, err := util.ToRenderValues(c, given, common.ReleaseOptions{Name: "twin", Namespace: "iot", Revision: 1, IsInstall: true}, capabilities)
	if err != nil {
		return "", err
	}
	files, err := engine.Render(c, all)
	if err != nil {
		return "", err
	}
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	var text strings.Builder
	for _, name := range names {
		if content := strings.TrimSpace(files[name]); content != "" && strings.HasSuffix(name, ".yaml") {
			text.WriteString("---\n# " + filepath.Base(name) + "\n" + content + "\n")
		}
	}
	return text.String(), nil
}

func read(t *testing.T, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func cases(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.values.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("cases %q, error %v", files, err)
	}
	all := map[string]string{}
	for _, file := range files {
		text, err := render(t, read(t, file))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[strings.TrimSuffix(file, ".values.yaml")] = text
	}
	return all
}

func TestGolden(t *testing.T) {
	for name, got := range cases(t) {
		file := name + ".golden.yaml"
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if want := read(t, file); got != want {
			t.Errorf("%s is not what the chart renders now (go test -update rewrites it, for you to look at the difference)", file)
		}
	}
}

// object is as much of any Kubernetes object as the tests look at.
type object struct {
	APIVersion, Kind string
	Metadata         struct{ Name string }
	Spec             struct {
		Template *struct {
			Metadata struct{ Labels map[string]string }
			Spec     struct {
				SecurityContext map[string]any
				Volumes         []struct{ Name string }
				Containers      []container
			}
		}
		Selector             any
		VolumeClaimTemplates []struct{ Metadata struct{ Name string } }
	}
}

type container struct {
	Name, Image  string
	Args         []string
	Env          []struct{ Name, Value string }
	VolumeMounts []mount
	Ports        []struct {
		Name          string
		ContainerPort int
	}
	SecurityContext struct {
		ReadOnlyRootFilesystem   bool
		AllowPrivilegeEscalation *bool
	}
}

type mount struct {
	Name, MountPath, SubPath string
	ReadOnly                 bool
}

func objects(t *testing.T, text string) []object {
	t.Helper()
	var all []object
	names := map[string]bool{}
	for _, document := range strings.Split(text, "\n---\n") {
		var o object
		if err := yaml.Unmarshal([]byte(document), &o); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		if o.APIVersion == "" || o.Kind == "" || o.Metadata.Name == "" {
			t.Errorf("no object:\n%s", document)
		}
		if id := o.Kind + " " + o.Metadata.Name; names[id] || len(o.Metadata.Name) > 63 {
			t.Errorf("%s: twice, or too long", id)
		} else {
			names[id] = true
		}
		all = append(all, o)
	}
	return all
}

// Every variable and argument is one that the program knows, and every file that
// a variable names lies in a folder that is mounted.
func TestContainersAreWhatTheProgramTakes(t *testing.T) {
	known, err := devicetwin.Environment()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range cases(t) {
		containers := 0
		for _, o := range objects(t, text) {
			if o.Spec.Template == nil {
				continue
			}
			pod := o.Spec.Template.Spec
			volumes := map[string]bool{}
			for _, v := range pod.Volumes {
				volumes[v.Name] = true
			}
			for _, v := range o.Spec.VolumeClaimTemplates {
				volumes[v.Metadata.Name] = true
			}
			for _, c := range pod.Containers {
				containers++
				where := filepath.Base(name) + ", " + o.Metadata.Name
				if err := devicetwin.CheckArguments(c.Args); err != nil {
					t.Errorf("%s: %q: %v", where, c.Args, err)
				}
				if pod.SecurityContext["runAsNonRoot"] != true || !c.SecurityContext.ReadOnlyRootFilesystem ||
					c.SecurityContext.AllowPrivilegeEscalation == nil || *c.SecurityContext.AllowPrivilegeEscalation {
					t.Errorf("%s may do more than it needs", where)
				}
				mounted := map[string]bool{}
				for _, m := range c.VolumeMounts {
					mounted[m.MountPath] = true
					if !volumes[m.Name] {
						t.Errorf("%s mounts %s, which is not a volume of the pod", where, m.Name)
					}
				}
				for unused := range volumes {
					if !slices.ContainsFunc(c.VolumeMounts, func(m mount) bool { return m.Name == unused }) {
						t.Errorf("%s has the volume %s and does not mount it", where, unused)
					}
				}
				checkEnvironment(t, where, c, known, mounted)
			}
		}
		if containers < 2 {
			t.Errorf("%s has %d containers", name, containers)
		}
	}
}

// The log of each bridge and of each worker is in a volume of its own, which outlives
// the pod: claimed by a StatefulSet.
func TestLogsOutliveTheirPods(t *testing.T) {
	for name, text := range cases(t) {
		logs := map[string]int{}
		for _, o := range objects(t, text) {
			if o.Spec.Template == nil {
				continue
			}
			for _, c := range o.Spec.Template.Spec.Containers {
				at := slices.IndexFunc(c.Env, func(e struct{ Name, Value string }) bool {
					return slices.Contains([]string{"DEVICETWIN_BRIDGE_LOG", "DEVICETWIN_WORKER_LOG", "DEVICETWIN_KAFKA_LOG"}, e.Name)
				})
				if at < 0 {
					continue
				}
				logs[c.Name]++
				folder := c.Env[at].Value
				mounted := slices.IndexFunc(c.VolumeMounts, func(m mount) bool { return m.MountPath == folder })
				if mounted < 0 || c.VolumeMounts[mounted].ReadOnly {
					t.Errorf("%s, %s: no volume for writing is mounted at the log, %s", name, o.Metadata.Name, folder)
					continue
				}
				claimed := slices.ContainsFunc(o.Spec.VolumeClaimTemplates, func(v struct{ Metadata struct{ Name string } }) bool {
					return v.Metadata.Name == c.VolumeMounts[mounted].Name
				})
				if o.Kind != "StatefulSet" || !claimed {
					t.Errorf("%s: the log of %s %s does not outlive its pods", name, o.Kind, o.Metadata.Name)
				}
			}
		}
		if fromKafka := strings.Contains(text, "DEVICETWIN_KAFKA_BROKERS"); logs["bridge"] == 0 || logs["worker"] != 1 || (logs["kafka"] == 1) != fromKafka {
			t.Errorf("%s: logs %v, want some of bridges and one of workers, and one of bridges from Kafka: %t", name, logs, fromKafka)
		}
	}
}

// What a release with a spool left in a bridge's volume is where the log looks for it,
// and a StatefulSet allows no other names of claims.
func TestBridgesKeepTheirVolumes(t *testing.T) {
	for name, text := range cases(t) {
		for _, o := range objects(t, text) {
			if o.Kind != "StatefulSet" || o.Spec.Template.Spec.Containers[0].Name != "bridge" {
				continue
			}
			if claims := o.Spec.VolumeClaimTemplates; len(claims) != 1 || claims[0].Metadata.Name != "spool" {
				t.Errorf("%s: claims %v of %s, want one with the name spool", name, claims, o.Metadata.Name)
			}
			for _, want := range []mount{
				{Name: "spool", MountPath: "/var/lib/devicetwin/bridge-log", SubPath: "points"},
				{Name: "spool", MountPath: "/var/lib/devicetwin/model-copies", SubPath: "model-copies"},
			} {
				if !slices.Contains(o.Spec.Template.Spec.Containers[0].VolumeMounts, want) {
					t.Errorf("%s, %s: no mount %+v", name, o.Metadata.Name, want)
				}
			}
		}
	}
}

func checkEnvironment(t *testing.T, where string, c container, known []string, mounted map[string]bool) {
	t.Helper()
	seen := map[string]bool{}
	for _, e := range c.Env {
		if seen[e.Name] {
			t.Errorf("%s: %s twice", where, e.Name)
		}
		seen[e.Name] = true
		if !slices.Contains(known, e.Name) && e.Name != "POD_INDEX" {
			t.Errorf("%s: devicetwin knows no variable %s", where, e.Name)
		}
		if strings.HasSuffix(e.Name, "_FILE") && !mounted[filepath.Dir(e.Value)] {
			t.Errorf("%s: %s is %s, where nothing is mounted", where, e.Name, e.Value)
		}
	}
}

func TestFaultsOfValues(t *testing.T) {
	for _, tt := range []struct{ name, values, says string }{
		{"unknown value", "worker: {replica: 3}", "replica"},
		{"no URL of a broker", "mqtt: {urls: []}", "urls"},
		{"URL of another protocol", "mqtt: {urls: [\"http://x\"]}", "urls"},
		{"no partition", "bridge: {partitions: [0]}", "partitions"},
		{"spool of an earlier release", "bridge: {spool: {size: 2Gi}}", "spool"},
		{"unknown acknowledgement", "bridge: {ack: maybe}", "ack"},
		{"log without a number of bytes", "bridge: {log: {maxBytes: 1Gi}}", "maxBytes"},
		{"log larger than its volume", "bridge: {log: {size: 1Gi}}", "bridge.log.maxBytes: expected at most nine tenths of bridge.log.size, which is 966367641"},
		{"log of a worker larger than its volume", "worker: {log: {size: 512Mi}}", "worker.log.maxBytes"},
		{"log that is kept for an unknown time", "worker: {log: {age: long}}", "age"},
		{"unknown argument", "bridge: {args: [\"bridge\"]}", "args"},
		{"Kafka without brokers", "kafka: {enabled: true, dialects: {a.yaml: x}}", "kafka.brokers"},
		{"Kafka without a dialect", "kafka: {enabled: true, brokers: [\"k:9092\"]}", "kafka.dialects"},
		{"topics of workers without brokers", "worker: {kafka: {transitions: states}}", "kafka.brokers"},
		{"topic with a slash", "worker: {kafka: {topics: [\"a/b\"]}}", "topics"},
		{"broker with a protocol", "kafka: {brokers: [\"tcp://k:9092\"]}", "brokers"},
		{"login without a Secret", "kafka: {enabled: true, brokers: [\"k:9092\"], dialects: {a.yaml: x}, sasl: {mechanism: PLAIN}}", "kafka.sasl.secret"},
		{"unknown mechanism", "kafka: {sasl: {mechanism: GSSAPI}}", "mechanism"},
		{"log of Kafka larger than its volume", "kafka: {enabled: true, brokers: [\"k:9092\"], dialects: {a.yaml: x}, log: {size: 1Gi}}", "kafka.log.maxBytes"},
		{"API for everybody", "api: {enabled: true}", "api.tokens.secret or api.oidc.issuer"},
		{"Ingress without a name", "api: {enabled: true, tokens: {secret: x}, ingress: {enabled: true}}", "api.ingress.host"},
		{"models twice", "models: {default: a.yaml, files: {a.yaml: x}, configMap: other}", "expected one of them"},
		{"registry that is a word", "models: {registry: \"yes\"}", "registry"},
		{"default model that is not there", "models: {default: b.yaml, files: {a.yaml: x}}", `"b.yaml" is not among`},
	} {
		if _, err := render(t, tt.values); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: got %v, and not %q", tt.name, err, tt.says)
		}
	}
}

// Bridges and workers use the registry of models, or none of them does.
func TestTheRegistryOfModels(t *testing.T) {
	for name, text := range cases(t) {
		uses := map[string]bool{}
		for _, o := range objects(t, text) {
			if o.Spec.Template == nil {
				continue
			}
			for _, c := range o.Spec.Template.Spec.Containers {
				at := slices.IndexFunc(c.Env, func(e struct{ Name, Value string }) bool { return e.Name == "DEVICETWIN_MODEL_REGISTRY" })
				uses[c.Name] = at >= 0 && c.Env[at].Value == "true"
			}
		}
		for _, part := range []string{"bridge", "worker", "kafka"} {
			if used, there := uses[part]; (there || part != "kafka") && used != strings.HasSuffix(name, "everything") {
				t.Errorf("%s: %s uses the registry: %t", name, part, used)
			}
		}
		if uses["api"] {
			t.Errorf("%s: the API has a setting that it does not need", name)
		}
	}
}

// What helm lint says.
func TestLint(t *testing.T) {
	result := lint.RunAll(chartDir, nil, "iot", lint.WithKubeVersion(&common.KubeVersion{Version: "v1.33.0", Major: "1", Minor: "33"}))
	for _, m := range result.Messages {
		if m.Severity > support.InfoSev {
			t.Errorf("%v", m)
		}
	}
}
