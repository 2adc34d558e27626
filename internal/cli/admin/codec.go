package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"devicetwin/internal/cli"
	"devicetwin/internal/codec"
	"devicetwin/service"
)

// codecCommand is "devicetwin codec".
type codecCommand struct {
	Serve codecServeCommand `cmd:"" help:"Decrypt payloads for Temporal's UI. Anyone who can reach it can read them."`
	Key   codecKeyCommand   `cmd:"" help:"Generate a line for the key file (--temporal-keys)."`
}

type codecServeCommand struct {
	Log service.LogConfig `embed:"" prefix:"log-" group:"Logging"`

	Temporal struct {
		Keys string `help:"File with the keys, the same as for bridge and worker." required:"" placeholder:"FILE"`
	} `embed:"" prefix:"temporal-"`

	Codec struct {
		Listen  string   `help:"Address of the endpoint; use its URL in the UI's settings." default:"127.0.0.1:8234" placeholder:"HOST:PORT"`
		Origins []string `help:"Allowed origins: that of the UI." default:"http://127.0.0.1:8233,http://localhost:8233" placeholder:"URL"`
	} `embed:"" prefix:"codec-"`
}

// Run serves until it is asked to stop.
func (c *codecServeCommand) Run(ctx context.Context) error {
	log := c.Log.Logger(os.Stderr)
	keys, err := codec.ReadKeys(c.Temporal.Keys)
	if err != nil {
		return cli.Usage(fmt.Errorf("--temporal-keys: %w", err))
	}
	listener, err := net.Listen("tcp", c.Codec.Listen)
	if err != nil {
		return fmt.Errorf("listen for the codec (--codec-listen): %w", err)
	}
	if addr, ok := listener.Addr().(*net.TCPAddr); ok && !addr.IP.IsLoopback() {
		log.Warn("anyone who can reach this address can read encrypted payloads: put an authenticating proxy in front")
	}
	server := &http.Server{
		Handler:           codec.Handler(keys, c.Codec.Origins),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	log.Info("running; press Ctrl-C to stop", "codec", "http://"+listener.Addr().String())
	return serveUntil(ctx, server, listener)
}

// serveUntil serves until the context ends, and then ends what is running.
func serveUntil(ctx context.Context, server *http.Server, listener net.Listener) error {
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve at %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.Background(), service.ShutdownTimeout)
	defer cancel()
	err := server.Shutdown(ending)
	if failed := <-served; !errors.Is(failed, http.ErrServerClosed) {
		err = errors.Join(err, failed)
	}
	return err
}

type codecKeyCommand struct {
	ID string `arg:"" help:"Name of the key, for example the date."`
}

// Run prints the line.
func (c *codecKeyCommand) Run(streams cli.Streams) error {
	line, err := codec.NewKey(c.ID)
	if err != nil {
		return cli.Usage(err)
	}
	fmt.Fprintln(streams.Out, line)
	return nil
}
