// Package composetest checks deploy/compose.yaml as far as that can be done
// without containers. That the images start is not tested here.
package composetest

import (
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/goccy/go-yaml"
	"go.temporal.io/server/common/dynamicconfig"

	"devicetwin/internal/cli/devicetwin"
	"devicetwin/service"
)

const deployDir = "../.."

func load(t *testing.T, environment ...string) *types.Project {
	t.Helper()
	dir, err := filepath.Abs(deployDir)
	if err != nil {
		t.Fatal(err)
	}
	project, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  dir,
		ConfigFiles: []types.ConfigFile{{Filename: filepath.Join(dir, "compose.yaml")}},
		Environment: types.NewMapping(environment),
	}, func(o *loader.Options) { o.Profiles = []string{"*"} })
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// ours reports whether the service runs devicetwin itself.
func ours(s types.ServiceConfig) bool { return s.Image == "devicetwin:local" }

func TestReferencedFilesExist(t *testing.T) {
	project := load(t)
	if len(project.Services) < 10 {
		t.Fatalf("only %d services", len(project.Services))
	}
	for name, s := range project.Services {
		for _, v := range s.Volumes {
			if v.Type != types.VolumeTypeBind {
				continue
			}
			if _, err := os.Stat(v.Source); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if !v.ReadOnly {
				t.Errorf("%s may write to %s", name, v.Source)
			}
		}
		if s.Build == nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(s.Build.Context, s.Build.Dockerfile)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestScriptsAreExecutable(t *testing.T) {
	for _, file := range []string{"influxdb/init.sh", "secrets/make.sh", "temporal/schema.sh", "temporal/start.sh"} {
		info, err := os.Stat(filepath.Join(deployDir, file))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode()&0o111 == 0 {
			t.Errorf("%s: InfluxDB runs only what is executable, and people expect it of the others", file)
		}
	}
}

var pinned = regexp.MustCompile(`:(v?[0-9]+\.[0-9]+[a-zA-Z0-9.\-]*|local)$`)

func TestImagesArePinned(t *testing.T) {
	for name, s := range load(t).Services {
		if !pinned.MatchString(s.Image) {
			t.Errorf("%s: image %q has no version", name, s.Image)
		}
		if strings.HasSuffix(s.Image, ":local") != (s.Build != nil) {
			t.Errorf("%s: image %q is built here or fetched, not both", name, s.Image)
		}
	}
	for _, file := range []string{"Dockerfile", "mosquitto/Dockerfile"} {
		raw, err := os.ReadFile(filepath.Join(deployDir, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, from := range regexp.MustCompile(`(?m)^FROM (\S+)`).FindAllStringSubmatch(string(raw), -1) {
			// Distroless images have no versions beyond that of Debian.
			if !pinned.MatchString(from[1]) && !strings.HasSuffix(from[1], "/static-debian12:nonroot") && !strings.HasPrefix(from[1], "golang:1.26.8-") {
				t.Errorf("%s: image %q has no version", file, from[1])
			}
		}
	}
}

func TestNothingIsPublishedBeyondThisMachine(t *testing.T) {
	published := 0
	for name, s := range load(t).Services {
		for _, p := range s.Ports {
			published++
			if p.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes %d on %q", name, p.Target, p.HostIP)
			}
		}
		if s.Privileged || s.NetworkMode == "host" || s.Pid == "host" {
			t.Errorf("%s may do more than a container should", name)
		}
	}
	if published == 0 {
		t.Error("nothing is published at all")
	}
	if ports := load(t, "DEVICETWIN_PUBLISH=0.0.0.0").Services["mosquitto"].Ports; ports[0].HostIP != "0.0.0.0" {
		t.Errorf("DEVICETWIN_PUBLISH does not publish the broker: %+v", ports)
	}
}

// What runs on stays up, says how it is, keeps within limits; what runs once is
// waited for.
func TestServicesAreLookedAfter(t *testing.T) {
	project := load(t)
	once := map[string]bool{}
	for _, s := range project.Services {
		for other, d := range s.DependsOn {
			switch d.Condition {
			case types.ServiceConditionCompletedSuccessfully:
				once[other] = true
			case types.ServiceConditionHealthy:
				if project.Services[other].HealthCheck == nil {
					t.Errorf("%s waits for the health of %s, which has no healthcheck", s.Name, other)
				}
			default:
				t.Errorf("%s waits for %s to be %s", s.Name, other, d.Condition)
			}
		}
	}
	for name, s := range project.Services {
		if once[name] || len(s.Profiles) > 0 {
			continue
		}
		if s.Restart != types.RestartPolicyUnlessStopped {
			t.Errorf("%s: restart %q", name, s.Restart)
		}
		if s.HealthCheck == nil && name != "temporal-ui" { // whose image has nothing to ask with
			t.Errorf("%s has no healthcheck", name)
		}
		if s.Deploy == nil || s.Deploy.Resources.Limits == nil || s.Deploy.Resources.Limits.MemoryBytes == 0 || s.Deploy.Resources.Limits.NanoCPUs == 0 {
			t.Errorf("%s has no limits", name)
		}
	}
	if len(once) < 3 {
		t.Errorf("only %v run once", once)
	}
}

func TestSettingsAreKnown(t *testing.T) {
	names, err := devicetwin.Environment()
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for name, s := range load(t).Services {
		for key, value := range s.Environment {
			if ours(s) && !slices.Contains(names, key) {
				t.Errorf("%s: devicetwin knows no variable %s", name, key)
			}
			if value != nil && regexp.MustCompile(`(?i)(PASSWORD|TOKEN|SECRET|_PWD)$`).MatchString(key) {
				t.Errorf("%s: %s is in the environment", name, key)
			}
		}
		if ours(s) {
			ran++
			if err := devicetwin.CheckArguments(s.Command); err != nil {
				t.Errorf("%s: %q: %v", name, s.Command, err)
			}
		}
	}
	if ran < 4 {
		t.Errorf("only %d services run devicetwin", ran)
	}
}

// Records of Kafka are read where somebody asks for it, with the kinds that the worker and the API have,
// too. A variable that nobody sets is accepted.
func TestRecordsOfKafka(t *testing.T) {
	const shop = "/etc/devicetwin/models/shop"
	given := []string{
		"DEVICETWIN_KAFKA_BROKERS=kafka-1:9092,kafka-2:9092", "DEVICETWIN_KAFKA_GROUP=shop", "DEVICETWIN_KAFKA_DIALECT=" + shop + "/shop.dialect.yaml",
		"DEVICETWIN_KINDS=" + shop + "/shop.kinds.yaml", "DEVICETWIN_MODELS=" + shop,
		"DEVICETWIN_KAFKA_TRANSITIONS=states", "DEVICETWIN_KAFKA_TOPICS=levels,more",
	}
	project := load(t, given...)
	bridge := project.Services["kafka"]
	if !slices.Equal(bridge.Profiles, []string{"kafka"}) || !slices.Equal(bridge.Command, []string{"kafka"}) {
		t.Errorf("profiles %v, command %v", bridge.Profiles, bridge.Command)
	}
	for part, settings := range map[string][]string{"kafka": given[:5], "worker": append(given[3:], given[0]), "bridge": given[3:5], "api": given[3:4]} {
		s := project.Services[part]
		for _, setting := range settings {
			name, want, _ := strings.Cut(setting, "=")
			if got := s.Environment[name]; got == nil || *got != want {
				t.Errorf("%s: no %s", part, setting)
			}
		}
		if !slices.ContainsFunc(s.Volumes, func(v types.ServiceVolumeConfig) bool { return v.Target == "/etc/devicetwin/models" && v.ReadOnly }) {
			t.Errorf("%s: the models are not mounted, among which the kinds may be", part)
		}
	}
	for _, environment := range [][]string{nil, given} {
		for _, part := range []string{"kafka", "worker", "bridge", "api"} {
			s := load(t, environment...).Services[part]
			for key, value := range s.Environment {
				if strings.HasSuffix(key, "_FILE") { // what is in a volume
					secret := filepath.Join(t.TempDir(), "secret")
					if err := os.WriteFile(secret, []byte("x"), 0o600); err != nil {
						t.Fatal(err)
					}
					value = &secret
				}
				t.Setenv(key, *value)
			}
			if err := devicetwin.CheckArguments(s.Command); err != nil {
				t.Errorf("%s with %q: %v", part, environment, err)
			}
		}
	}
}

// The logs of bridge and worker are in volumes of their own, which outlive the
// containers; new volumes take over the owner of the folder in the image. Nothing is
// kept in the spool of earlier releases.
func TestLogsOutliveTheirContainers(t *testing.T) {
	project := load(t)
	dockerfile, err := os.ReadFile(filepath.Join(deployDir, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	volumes := map[string]string{}
	for part, setting := range map[string]string{"bridge": "DEVICETWIN_BRIDGE_LOG", "worker": "DEVICETWIN_WORKER_LOG", "kafka": "DEVICETWIN_KAFKA_LOG"} {
		s := project.Services[part]
		folder := s.Environment[setting]
		if folder == nil {
			t.Errorf("%s: no %s", part, setting)
			continue
		}
		at := slices.IndexFunc(s.Volumes, func(v types.ServiceVolumeConfig) bool { return v.Target == *folder })
		if at < 0 || s.Volumes[at].Type != types.VolumeTypeVolume || s.Volumes[at].ReadOnly {
			t.Errorf("%s: the log, %s, is not in a volume for writing", part, *folder)
			continue
		}
		volume := s.Volumes[at].Source
		if other, taken := volumes[volume]; taken {
			t.Errorf("%s and %s share the volume %s", part, other, volume)
		}
		volumes[volume] = part
		if part != "kafka" && volume != "spool-"+part {
			t.Errorf("%s: the log is in %s, and not where earlier releases kept what waits", part, volume)
		}
		if made := "/out/state/" + filepath.Base(*folder) + " "; filepath.Dir(*folder) != "/var/lib/devicetwin" || !strings.Contains(string(dockerfile), made) {
			t.Errorf("%s: the image has no folder %s", part, *folder)
		}
	}
	for name, s := range project.Services {
		if _, ok := s.Environment["DEVICETWIN_INFLUX_SPOOL"]; ok {
			t.Errorf("%s has a spool", name)
		}
	}
}

// Every healthcheck asks for something that our processes serve, at the address
// that they are told to listen on.
func TestHealthchecksAskForWhatIsServed(t *testing.T) {
	config := service.DefaultConfig()
	config.Temporal.Address, config.MQTT.URL, config.Influx.URL = "127.0.0.1:1", []string{"tcp://127.0.0.1:1"}, ""
	config.Model.Model, config.HTTP.Listen = "../../../models/pump.yaml", "127.0.0.1:0"
	config.Worker.Credentials, config.Model.Copies = t.TempDir(), t.TempDir()
	service, err := service.Start(config, service.Worker, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	checked := 0
	for name, s := range load(t).Services {
		if !ours(s) || s.HealthCheck == nil {
			continue
		}
		test := s.HealthCheck.Test
		if len(test) != 4 || test[0] != "CMD" || test[1] != "/usr/bin/devicetwin" || test[2] != "health" {
			t.Errorf("%s: healthcheck %q", name, test)
			continue
		}
		asked, err := url.Parse(test[3])
		if err != nil {
			t.Fatal(err)
		}
		if listen := s.Environment["DEVICETWIN_HTTP_LISTEN"]; listen == nil || !strings.HasSuffix(*listen, ":"+asked.Port()) {
			t.Errorf("%s: the healthcheck asks port %s", name, asked.Port())
		}
		response, err := http.Get("http://" + service.HTTPAddr() + asked.Path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		// Temporal is unavailable, so it must not be ready.
		if response.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%s: %s answers %s", name, asked.Path, response.Status)
		}
		checked++
	}
	if checked < 2 {
		t.Errorf("only %d healthchecks of ours", checked)
	}
}

// The settings of Temporal are ones that its server knows.
func TestTemporalsSettingsAreKnown(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(deployDir, "temporal", "dynamicconfig.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string][]struct{ Value any }
	if err := yaml.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	known := []string{
		dynamicconfig.TransferProcessorMaxPollRPS.Key().String(),
		dynamicconfig.MatchingNumTaskqueueReadPartitions.Key().String(),
		dynamicconfig.MatchingNumTaskqueueWritePartitions.Key().String(),
		dynamicconfig.FrontendMaxNamespaceVisibilityRPSPerInstance.Key().String(),
		dynamicconfig.HistoryCacheHostLevelMaxSize.Key().String(),
	}
	for key, values := range got {
		if !slices.ContainsFunc(known, func(k string) bool { return strings.EqualFold(k, key) }) || len(values) != 1 {
			t.Errorf("setting %s with %v", key, values)
		}
	}
	if len(got) != len(known) {
		t.Errorf("%d settings, not %d", len(got), len(known))
	}
}

// What make servers installs for tests is what compose runs, and devstack embeds.
func TestTestedServersAreThoseThatRun(t *testing.T) {
	for _, server := range []struct {
		service, image string
		files          map[string]string // a line in each, before the version
	}{
		{"influxdb", "influxdb:", map[string]string{
			"servers/influxdb.sh": "version=", "servers/influxdb/go.mod": "github.com/influxdata/influxdb/v2 v",
		}},
		{"temporal", "temporalio/server:", map[string]string{
			"servers/temporal.sh": "version=", "servers/temporal/go.mod": "go.temporal.io/server v", "devstack/go.mod": "go.temporal.io/server v",
		}},
	} {
		version, ok := strings.CutPrefix(load(t).Services[server.service].Image, server.image)
		if !ok || version == "" {
			t.Fatalf("image %q of %s", load(t).Services[server.service].Image, server.service)
		}
		for file, line := range server.files {
			raw, err := os.ReadFile(filepath.Join(deployDir, file))
			if err != nil {
				t.Fatal(err)
			}
			if !regexp.MustCompile(`(?m)^\s*(require )?` + regexp.QuoteMeta(line+version) + `$`).Match(raw) {
				t.Errorf("%s has no line %q, although compose.yaml runs %s", file, line+version, version)
			}
		}
	}
}
