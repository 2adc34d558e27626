package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/stream"
	"github.com/rs/zerolog"
)

// proxiedLink is a link that leads through a proxy.
type proxiedLink struct {
	link  Link
	proxy *toxiproxy.Proxy
	meter meter
}

// openLink starts a proxy at an address, to that of the part that the link leads to.
func openLink(l Link, listen, upstream string) (*proxiedLink, error) {
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := &proxiedLink{
		link:  l,
		proxy: toxiproxy.NewProxy(server, l.String(), listen, upstream),
		meter: newMeter(),
	}
	if err := p.meterOn(); err != nil {
		return nil, err
	}
	if err := p.proxy.Start(); err != nil {
		return nil, fmt.Errorf("start the proxy between %s and %s: %w", l.From, l.To, err)
	}
	return p, nil
}

// addr is where From finds To.
func (p *proxiedLink) addr() string { return p.proxy.Listen }

func (p *proxiedLink) close() {
	p.proxy.Stop()
	p.meter.close()
}

// cut ends all connections and refuses new ones; mend takes them again, at the
// same address.
func (p *proxiedLink) cut() { p.proxy.Stop() }

func (p *proxiedLink) mend() error {
	if err := p.proxy.Start(); err != nil {
		return fmt.Errorf("mend the link from %s to %s: %w", p.link.From, p.link.To, err)
	}
	return nil
}

// delay and throttle hold for both directions, until restore.
func (p *proxiedLink) delay() error {
	return p.add("latency", map[string]any{"latency": latency.Milliseconds()})
}

func (p *proxiedLink) throttle(kilobytes int) error {
	return p.add("bandwidth", map[string]any{"rate": kilobytes})
}

func (p *proxiedLink) add(toxic string, attributes map[string]any) error {
	for _, direction := range []stream.Direction{stream.Upstream, stream.Downstream} {
		request, err := json.Marshal(map[string]any{
			"name": toxic + "_" + direction.String(), "type": toxic, "stream": direction.String(), "attributes": attributes,
		})
		if err == nil {
			_, err = p.proxy.Toxics.AddToxicJson(bytes.NewReader(request))
		}
		if err != nil {
			return fmt.Errorf("add %s to the link from %s to %s: %w", toxic, p.link.From, p.link.To, err)
		}
	}
	return nil
}

func (p *proxiedLink) meterOn() error { return p.add(meterType, map[string]any{"meter": p.meter.id}) }

func (p *proxiedLink) restore(ctx context.Context) error {
	p.proxy.Toxics.ResetToxics(ctx)
	return p.meterOn()
}

// carried is how many bytes have come in, in both directions.
func (p *proxiedLink) carried() int64 { return p.meter.bytes.Load() }
