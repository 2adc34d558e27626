package admin

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"devicetwin/internal/cli"
)

// healthCommand is "devicetwin health": what a container runs to find out about
// itself, where there is no other program to ask with.
type healthCommand struct {
	URL string `arg:"" optional:"" help:"Address to check." default:"http://127.0.0.1:8090/readyz"`

	Timeout time.Duration `help:"Longest wait for the answer." default:"5s"`
}

// Run fails when the answer is not one of success.
func (c *healthCommand) Run(ctx context.Context, streams cli.Streams) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL, nil)
	if err != nil {
		return cli.Usage(fmt.Errorf("ask for health: %w", err))
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("ask for health: %w", err)
	}
	defer response.Body.Close()
	const enough = 4 << 10
	said, err := io.ReadAll(io.LimitReader(response.Body, enough))
	if err != nil {
		return fmt.Errorf("ask for health: read the answer of %s: %w", c.URL, err)
	}
	text := strings.TrimSpace(string(said))
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", c.URL, response.Status, text)
	}
	fmt.Fprintln(streams.Out, text)
	return nil
}
