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
	slow  []string // toxics that delay or throttle slowed it with
}

// openLink starts a proxy at an address, to that of the part that the link leads to.
func openLink(l Link, listen, upstream string) (*proxiedLink, error) {
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := &proxiedLink{
		link:  l,
		proxy: toxiproxy.NewProxy(server, l.String(), listen, upstream),
		meter: newMeter(),
	}
	if _, err := p.add(meterType, map[string]any{"meter": p.meter.id}); err != nil {
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

// cut ends all connections and refuses new ones; reopen accepts them again, at the
// same address.
func (p *proxiedLink) cut() { p.proxy.Stop() }

func (p *proxiedLink) reopen() error {
	if err := p.proxy.Start(); err != nil {
		return fmt.Errorf("reopen the link from %s to %s: %w", p.link.From, p.link.To, err)
	}
	return nil
}

// delay and throttle hold for both directions, until restore.
func (p *proxiedLink) delay() error {
	return p.slowDown("latency", map[string]any{"latency": latency.Milliseconds()})
}

func (p *proxiedLink) throttle(kilobytes int) error {
	return p.slowDown("bandwidth", map[string]any{"rate": kilobytes})
}

func (p *proxiedLink) slowDown(toxic string, attributes map[string]any) (err error) {
	p.slow, err = p.add(toxic, attributes)
	return err
}

// add adds a toxic in both directions, and returns the names of both.
func (p *proxiedLink) add(toxic string, attributes map[string]any) (names []string, err error) {
	for _, direction := range []stream.Direction{stream.Upstream, stream.Downstream} {
		name := toxic + "_" + direction.String()
		request, err := json.Marshal(map[string]any{
			"name": name, "type": toxic, "stream": direction.String(), "attributes": attributes,
		})
		if err == nil {
			_, err = p.proxy.Toxics.AddToxicJson(bytes.NewReader(request))
		}
		if err != nil {
			return names, fmt.Errorf("add %s to the link from %s to %s: %w", toxic, p.link.From, p.link.To, err)
		}
		names = append(names, name)
	}
	return names, nil
}

// restore removes what slows the link, and leaves the meter, which is in front of
// it: to take that away, the proxy would wait for what is behind it, and drop data in
// the middle of the stream where a slow toxic takes more than five seconds for it.
func (p *proxiedLink) restore(ctx context.Context) error {
	for _, name := range p.slow {
		if err := p.proxy.Toxics.RemoveToxic(ctx, name); err != nil {
			return fmt.Errorf("take %s off the link from %s to %s: %w", name, p.link.From, p.link.To, err)
		}
	}
	p.slow = nil
	return nil
}

// carried is how many bytes have come in, in both directions.
func (p *proxiedLink) carried() int64 { return p.meter.bytes.Load() }
