package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"devicetwin/api/client"
	"devicetwin/deploy/devstack/stack"
	"devicetwin/device"
	"devicetwin/service"
)

// Whatever a device says of itself, it is found, on every database: PostgreSQL refuses
// the character U+0000, for which Temporal would write it again without end.
func TestEveryTextOfADeviceIsStored(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, _, address string) {
		s, operator := systemAt(t, address)
		pump := connect(t, s.MQTT.URL(), "says")
		var odd strings.Builder
		for _, r := range []rune{0, 1, 8, '\t', '\n', 0x1b, 0x1f, 0x7f, 0x85, 0x2028, 0xfffe, 0xffff, 0x1f600} {
			odd.WriteRune(r)
		}
		text, err := json.Marshal(odd.String() + "z")
		if err != nil {
			t.Fatal(err)
		}
		for id, of := range map[string][3]string{
			"firmware": {string(text), `"north"`, `"x"`}, "site": {`"1"`, string(text), `"x"`}, "property": {`"1"`, `"north"`, string(text)},
			"surrogate": {`"\ud800"`, `"\udc00z"`, `"\ud800"`},
		} {
			pump.publish("devices/"+id+"/status", fmt.Sprintf(`{"status": "boot", "firmware": %s, "site": %s}`, of[0], of[1]))
			pump.publish("devices/"+id+"/twin/update", fmt.Sprintf(`{"state": {"reported": {"p0": %s}}}`, of[2]))
		}
		for _, query := range []string{
			"id:firmware state:online", "id:site state:online", "id:property state:online", "id:surrogate state:online",
			`id:firmware firmware:"�"*`, `id:site site:"�"*`, `id:surrogate firmware:"�"`,
		} {
			eventually(t, query, func(ctx context.Context) bool {
				n, err := operator.CountDevices(ctx, query)
				return err == nil && n.Count == 1
			})
		}
		eventually(t, "the property is listed", func(ctx context.Context) bool {
			page, err := operator.Devices(ctx, "id:property", 10, "")
			return err == nil && len(page.Devices) == 1 && strings.HasSuffix(page.Devices[0].Properties["reported.p0"], "z")
		})
		if d, err := operator.Device(t.Context(), "firmware"); err != nil || d.Firmware != odd.String()+"z" {
			t.Errorf("firmware %q, %v, want it as the device says it", d.Firmware, err)
		}
	})
}

// Temporal terminates a workflow one of whose search attributes has more than 2 KB:
// neither tags nor properties get there.
func TestSearchAttributesAreBounded(t *testing.T) {
	s, operator := systemAt(t, start(t, stack.Options{Parts: []stack.Part{stack.PartTemporal}}).Temporal.Addr())
	pump := connect(t, s.MQTT.URL(), "bounds")
	pump.publish("devices/pump-1/status", `{"status": "boot"}`)
	eventually(t, "the pump is listed", func(ctx context.Context) bool {
		n, err := operator.CountDevices(ctx, "id:pump-1 state:online")
		return err == nil && n.Count == 1
	})
	tags := map[string]string{}
	for i := range 15 {
		tags[fmt.Sprintf("k%02d", i)] = strings.Repeat("v", device.MaxTagValue)
	}
	for size, want := range map[int]int{2048: http.StatusOK, 2049: http.StatusUnprocessableEntity} {
		tags["l"] = strings.Repeat("v", size-2031)
		raw, err := json.Marshal(tags)
		if err != nil {
			t.Fatal(err)
		}
		if got := putTags(t, s.api, "pump-1", string(raw)); got != want {
			t.Errorf("tags of %d bytes: status %d, want %d", size, got, want)
		}
	}
	reported := map[string]string{}
	for i := range 20 {
		reported[fmt.Sprintf("p%d", i)] = strings.Repeat("<", 128)
	}
	raw, err := json.Marshal(map[string]any{"state": map[string]any{"reported": reported}})
	if err != nil {
		t.Fatal(err)
	}
	pump.publish("devices/pump-1/twin/update", string(raw))
	eventually(t, "what was left out is reported", func(ctx context.Context) bool {
		d, err := operator.Device(ctx, "pump-1")
		return err == nil && len(d.Reports) == 1 && strings.Contains(d.Reports[0].Detail, "DeviceProperties: 18 of 20")
	})
	eventually(t, "the pump is found by a property and by its tags", func(ctx context.Context) bool {
		n, err := operator.CountDevices(ctx, fmt.Sprintf("reported.p0:%q tag.k00:%s tag.k14:%s", reported["p0"], tags["k00"], tags["k14"]))
		return err == nil && n.Count == 1
	})
}

// systemAt is a system on another Temporal that indexes 20 properties.
func systemAt(t *testing.T, address string) (*system, *client.Client) {
	t.Helper()
	s := startSystemWriting(t, stack.Options{}, nil, 10_000, func(c *service.Config) {
		c.Temporal.Address = address
		for i := range 20 {
			c.Worker.TwinProperties = append(c.Worker.TwinProperties, fmt.Sprintf("reported.p%d", i))
		}
	})
	return s, operatorOf(t, s, "")
}
