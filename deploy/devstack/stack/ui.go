package stack

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/temporalio/ui-server/v2/server"
	"github.com/temporalio/ui-server/v2/server/config"
	"github.com/temporalio/ui-server/v2/server/server_options"
)

const (
	uiStartTimeout = 10 * time.Second
	uiStopTimeout  = 5 * time.Second
)

// UI is the web UI of the Temporal server.
type UI struct {
	server *server.Server
	host   string
	port   int
	done   chan struct{}
}

func startUI(ctx context.Context, o Options, t *Temporal) (*UI, error) {
	port, err := portOrFree(o.Host, o.Ports.UI)
	if err != nil {
		return nil, err
	}
	u := &UI{host: o.Host, port: port, done: make(chan struct{})}
	u.server = server.NewServer(server_options.WithConfigProvider(&config.Config{
		Host:                o.Host,
		Port:                port,
		TemporalGRPCAddress: t.Addr(),
		DefaultNamespace:    Namespace,
		EnableUI:            true,
		DisableNewsFetch:    true,
		CORS:                config.CORS{CookieInsecure: true},
		HideLogs:            true,
	}))
	go func() {
		defer close(u.done)
		// It ends the process if it cannot listen; hence checkPort before.
		_ = u.server.Start()
	}()
	if err := awaitHTTP(ctx, u.URL()+"/healthz", uiStartTimeout); err != nil {
		u.Close()
		return nil, fmt.Errorf("start the Temporal web UI: %w", err)
	}
	return u, nil
}

// URL of the start page.
func (u *UI) URL() string { return "http://" + hostPort(u.host, u.port) }

// Close stops the UI.
func (u *UI) Close() error {
	u.server.Stop()
	return within(uiStopTimeout, func() error {
		<-u.done
		return nil
	})
}

// awaitHTTP waits until url answers with status 200.
func awaitHTTP(ctx context.Context, url string, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		err := getOK(ctx, url)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s did not answer: %w", url, err)
		case <-time.After(readyPause):
		}
	}
}

func getOK(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("status %s", response.Status)
	}
	return nil
}
