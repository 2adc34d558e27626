package stack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

const (
	grafanaStartTimeout = time.Minute
	grafanaStopTimeout  = 10 * time.Second
)

// ErrNoGrafana says that no Grafana is installed.
var ErrNoGrafana = errors.New("no program named grafana or grafana-server on the PATH: install Grafana (https://grafana.com/grafana/download), or leave it out")

// Grafana is a Grafana server in a process of its own, with the data source and
// the dashboards of deploy/grafana. Whoever opens it can look; user admin with the
// password admin can change things.
type Grafana struct {
	command *exec.Cmd
	host    string
	port    int
	exited  chan struct{}
	err     error // of the process; read after exited
	release func()
}

func startGrafana(ctx context.Context, o Options, dir string, release func(), influx *InfluxDB) (*Grafana, error) {
	g, err := newGrafana(o, dir, influx)
	if err != nil {
		release()
		return nil, err
	}
	g.release = release
	if err := g.command.Start(); err != nil {
		release()
		return nil, fmt.Errorf("start %s: %w", g.command.Path, err)
	}
	go func() {
		defer close(g.exited)
		g.err = g.command.Wait()
	}()
	if err := g.awaitReady(ctx); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return g, nil
}

func newGrafana(o Options, dir string, influx *InfluxDB) (*Grafana, error) {
	program, args, err := findGrafana()
	if err != nil {
		return nil, err
	}
	provisioning, err := filepath.Abs(filepath.Join(o.GrafanaDir, "provisioning"))
	if err != nil {
		return nil, fmt.Errorf("grafana folder %s: %w", o.GrafanaDir, err)
	}
	if _, err := os.Stat(provisioning); err != nil {
		return nil, fmt.Errorf("grafana folder %s: %w", o.GrafanaDir, err)
	}
	port, err := portOrFree(o.Host, o.Ports.Grafana)
	if err != nil {
		return nil, err
	}
	g := &Grafana{host: o.Host, port: port, exited: make(chan struct{})}
	log := o.Logger.With(slog.String("part", string(PartGrafana)))
	g.command = exec.Command(program, args...)
	g.command.Env = append(os.Environ(), grafanaEnvironment(g, dir, provisioning, influx.URL())...)
	g.command.Stdout = lineLog{log}
	g.command.Stderr = lineLog{log}
	// A signal from the keyboard reaches the whole process group: Grafana has
	// to live until Close.
	g.command.SysProcAttr = ownGroup()
	g.command.WaitDelay = grafanaStopTimeout
	return g, nil
}

// findGrafana knows the program by its present and by its former name, and the
// home path that packages install next to it.
func findGrafana() (program string, args []string, err error) {
	if path, err := exec.LookPath("grafana"); err == nil {
		program, args = path, []string{"server"}
	} else if path, err := exec.LookPath("grafana-server"); err == nil {
		program = path
	} else {
		return "", nil, ErrNoGrafana
	}
	real, err := filepath.EvalSymlinks(program)
	if err != nil {
		return "", nil, fmt.Errorf("find the home path of %s: %w", program, err)
	}
	for _, home := range []string{filepath.Dir(filepath.Dir(real)), "/usr/share/grafana"} {
		if _, err := os.Stat(filepath.Join(home, "conf", "defaults.ini")); err == nil {
			return program, append(args, "--homepath", home), nil
		}
	}
	return program, args, nil
}

// grafanaEnvironment are Grafana's settings, written as environment variables.
// The last two are read by the files in deploy/grafana/provisioning.
func grafanaEnvironment(g *Grafana, dir, provisioning, influxURL string) []string {
	return []string{
		"GF_SERVER_HTTP_ADDR=" + g.host,
		fmt.Sprintf("GF_SERVER_HTTP_PORT=%d", g.port),
		"GF_PATHS_DATA=" + filepath.Join(dir, "data"),
		"GF_PATHS_LOGS=" + filepath.Join(dir, "log"),
		"GF_PATHS_PLUGINS=" + filepath.Join(dir, "plugins"),
		"GF_PATHS_PROVISIONING=" + provisioning,
		"GF_AUTH_ANONYMOUS_ENABLED=true",      // as a viewer: another role is deprecated
		"GF_PLUGINS_PREINSTALL_DISABLED=true", // they come from the internet, and nothing here uses them
		"GF_ANALYTICS_REPORTING_ENABLED=false",
		"GF_ANALYTICS_CHECK_FOR_UPDATES=false",
		"GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES=false",
		"GF_USERS_DEFAULT_THEME=system",
		"GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH=" + filepath.Join(filepath.Dir(provisioning), "dashboards", "fleet.json"),
		"DEVICETWIN_INFLUX_URL=" + influxURL,
		"DEVICETWIN_DASHBOARDS=" + filepath.Join(filepath.Dir(provisioning), "dashboards"),
	}
}

func (g *Grafana) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ready := make(chan error, 1)
	go func() { ready <- awaitHTTP(ctx, g.URL()+"/api/health", grafanaStartTimeout) }()
	select {
	case err := <-ready:
		return err
	case <-g.exited:
		return fmt.Errorf("grafana ended while it started: %w", g.err)
	}
}

// URL of the start page.
func (g *Grafana) URL() string { return "http://" + hostPort(g.host, g.port) }

// Close ends the process.
func (g *Grafana) Close() error {
	defer g.release()
	if err := g.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end grafana: %w", err)
	}
	select {
	case <-g.exited:
		return nil
	case <-time.After(grafanaStopTimeout):
		_ = g.command.Process.Kill()
		return fmt.Errorf("not done within %v", grafanaStopTimeout)
	}
}

// lineLog writes the output of a program to the log.
type lineLog struct{ out *slog.Logger }

func (l lineLog) Write(p []byte) (int, error) {
	l.out.Debug(string(p))
	return len(p), nil
}
