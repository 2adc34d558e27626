package servers

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"text/template"

	"go.temporal.io/sdk/client"

	"devicetwin/deploy/devstack/process"
)

// TemporalPorts is how many ports a Temporal needs.
const TemporalPorts = 8

// Names of the databases of Temporal, and of its index.
const (
	temporalStore      = "temporal"
	temporalVisibility = "temporal_visibility"
	temporalIndex      = "temporal_visibility_v1_test"
)

// Temporal is a Temporal server with all its services, on PostgreSQL. It has no
// namespace.
type Temporal struct {
	*process.Process
	Addr string // of its frontend

	store  *PostgreSQL
	search *OpenSearch // nil: PostgreSQL
}

// NewTemporal prepares a Temporal on a PostgreSQL, which looks for workflows in an
// OpenSearch, or in PostgreSQL too if that is nil. It takes TemporalPorts ports of
// process.Host; its configuration and its log are in the folder dir. The error is a
// *NotInstalledError if it is not installed.
func NewTemporal(dir, name string, store *PostgreSQL, search *OpenSearch, ports []string) (*Temporal, error) {
	program, err := Find("temporal", "temporal-server")
	if err != nil {
		return nil, err
	}
	t := &Temporal{Addr: net.JoinHostPort(process.Host, ports[0]), store: store, search: search}
	file := filepath.Join(dir, name+".yaml")
	if err := t.configure(file, ports); err != nil {
		return nil, fmt.Errorf("configure Temporal: %w", err)
	}
	t.Process = process.New(dir, name, t.serves, func() *exec.Cmd {
		command := exec.Command(program, "--config-file", file, "--allow-no-auth", "start")
		command.Dir = dir
		return command
	})
	return t, nil
}

func (t *Temporal) serves(ctx context.Context, _ *process.Process) error {
	c, err := client.DialContext(ctx, client.Options{HostPort: t.Addr, Logger: quiet{}})
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.CheckHealth(ctx, &client.CheckHealthRequest{})
	return err
}

// quiet is a log of what is expected while a server starts.
type quiet struct{}

func (quiet) Debug(string, ...any) {}
func (quiet) Info(string, ...any)  {}
func (quiet) Warn(string, ...any)  {}
func (quiet) Error(string, ...any) {}

// Setup makes the databases, once in the life of their servers, which have to run.
func (t *Temporal) Setup(ctx context.Context) error {
	for _, database := range []struct{ name, schema string }{
		{temporalStore, "postgresql/v12/temporal"}, {temporalVisibility, "postgresql/v12/visibility"},
	} {
		if t.search != nil && database.name == temporalVisibility {
			continue
		}
		for _, args := range [][]string{{"create-database"}, {"setup-schema", "--version", "0.0"}, {"update-schema", "--schema-name", database.schema}} {
			flags := []string{"--plugin", "postgres12", "--endpoint", process.Host, "--port", t.store.Port, "--user", PostgreSQLUser, "--database", database.name}
			if err := tool(ctx, "temporal-sql-tool", append(flags, args...)...); err != nil {
				return err
			}
		}
	}
	if t.search == nil {
		return nil
	}
	for _, args := range [][]string{{"setup-schema"}, {"create-index", "--index", temporalIndex}} {
		if err := tool(ctx, "temporal-elasticsearch-tool", append([]string{"--endpoint", t.search.URL()}, args...)...); err != nil {
			return err
		}
	}
	return nil
}

func tool(ctx context.Context, name string, args ...string) error {
	program, err := Find("temporal", name)
	if err != nil {
		return err
	}
	if said, err := exec.CommandContext(ctx, program, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %v: %w: %s", name, args, err, said)
	}
	return nil
}

// configure writes the configuration of the server.
func (t *Temporal) configure(file string, ports []string) error {
	values := map[string]any{
		"Host": process.Host, "Frontend": t.Addr, "Ports": ports, "Store": t.store.Port, "User": PostgreSQLUser,
		"Databases": []string{temporalStore, temporalVisibility}, "Services": []string{"frontend", "history", "matching", "worker"}, "Index": temporalIndex,
	}
	if t.search != nil {
		values["Databases"], values["Search"] = []string{temporalStore}, t.search.Address
	}
	dynamic := file + ".dynamic"
	values["Dynamic"] = dynamic
	if err := os.WriteFile(dynamic, []byte(temporalDynamic), 0o600); err != nil {
		return err
	}
	out, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	functions := template.FuncMap{"port": func(service, kind int) string { return ports[2*service+kind] }}
	return template.Must(template.New("temporal").Funcs(functions).Parse(temporalConfig)).Execute(out, values)
}

// temporalDynamic lets tests list as fast as they can, and see search attributes at once.
const temporalDynamic = `frontend.namespaceRPS.visibility:
  - value: 1000
system.forceSearchAttributesCacheRefreshOnRead:
  - value: true
`

const temporalConfig = `log:
  stdout: true
  level: warn
persistence:
  defaultStore: temporal
  visibilityStore: {{if .Search}}search{{else}}temporal_visibility{{end}}
  numHistoryShards: 4
  datastores:
{{- range .Databases}}
    {{.}}:
      sql:
        pluginName: postgres12_pgx
        databaseName: {{.}}
        connectAddr: "{{$.Host}}:{{$.Store}}"
        connectProtocol: tcp
        user: {{$.User}}
        maxConns: 20
        maxIdleConns: 20
        maxConnLifetime: 1h
{{- end}}
{{- if .Search}}
    search:
      elasticsearch:
        version: v7
        logLevel: error
        url:
          scheme: http
          host: "{{.Search}}"
        indices:
          visibility: {{.Index}}
{{- end}}
global:
  membership:
    maxJoinDuration: 30s
    broadcastAddress: "{{.Host}}"
services:
{{- range $i, $service := .Services}}
  {{$service}}:
    rpc:
      grpcPort: {{port $i 0}}
      membershipPort: {{port $i 1}}
      bindOnLocalHost: true
{{- end}}
clusterMetadata:
  enableGlobalNamespace: false
  failoverVersionIncrement: 10
  masterClusterName: active
  currentClusterName: active
  clusterInformation:
    active:
      enabled: true
      initialFailoverVersion: 1
      rpcName: frontend
      rpcAddress: "{{.Frontend}}"
dcRedirectionPolicy:
  policy: noop
archival:
  history:
    state: disabled
  visibility:
    state: disabled
publicClient:
  hostPort: "{{.Frontend}}"
dynamicConfigClient:
  filepath: "{{.Dynamic}}"
  pollInterval: 10s
`
