package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"devicetwin/deploy/devstack/stack"
	"devicetwin/internal/cli/devicetwin"
	"devicetwin/service"
)

// exportLog is what "devicetwin log export" prints of a log.
func exportLog(t *testing.T, dir string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if status := devicetwin.Main([]string{"log", "export", dir}, &out, &errs); status != 0 || errs.Len() > 0 {
		t.Fatalf("export the log: status %d, %s", status, errs.String())
	}
	return out.String()
}

// filesWith are the files in a folder that contain a string.
func filesWith(t *testing.T, dir, text string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if bytes.Contains(raw, []byte(text)) {
			names = append(names, e.Name())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// A device that is deleted with its data is gone from the log and from InfluxDB, another
// one is not, and what it sends afterwards is kept.
func TestADeviceIsDeletedWithItsData(t *testing.T) {
	for name, open := range influxTargets {
		t.Run(name, func(t *testing.T) {
			influx, dir := open(t, 0), filepath.Join(t.TempDir(), "log")
			s := startSystemWriting(t, stack.Options{}, &influx, 10_000, func(c *service.Config) {
				c.Bridge.Log, c.Bridge.DeletedEvery = dir, time.Second
			})
			const gone, kept = "erased-pump-1", "other-pump-2"
			d := connect(t, s.MQTT.URL(), "erase")
			send := func(id string, seq int, temperature float64) {
				d.publish("devices/"+id+"/telemetry", fmt.Sprintf(`{"epoch":1,"seq":%d,"temperature":%v}`, seq, temperature))
			}
			for i, temperature := range []float64{50, 95, 60} {
				for _, id := range []string{gone, kept} {
					send(id, i+1, temperature)
				}
			}
			points := func(measurement, id string) int { return len(influx.readingsOf(t, measurement)[id]) }
			eventually(t, "the points", func(context.Context) bool {
				return points("pump", gone) == 3 && points("pump", kept) == 3 && points("transitions", gone) > 0 && points("transitions", kept) > 0
			})
			if text := exportLog(t, dir); !strings.Contains(text, gone) || !strings.Contains(text, `"kind":"lines"`) {
				t.Fatalf("the log has no records of %s, or no lines:\n%s", gone, text)
			}

			if err := operatorOf(t, s, "").Erase(t.Context(), gone); err != nil {
				t.Fatal(err)
			}
			eventuallyWithin(t, 2*time.Minute, 500*time.Millisecond, "the end of its points", func(context.Context) bool {
				return points("pump", gone) == 0 && points("transitions", gone) == 0
			})
			if text := exportLog(t, dir); strings.Contains(text, gone) || !strings.Contains(text, kept) {
				t.Errorf("the log:\n%s", text)
			}
			eventuallyWithin(t, time.Minute, time.Second, "no file has its name", func(context.Context) bool {
				return len(filesWith(t, dir, gone)) == 0
			})
			if points("pump", kept) != 3 || points("transitions", kept) == 0 {
				t.Error("points of the other device are gone, too")
			}

			send(gone, 1, 70)
			eventually(t, "the points of a new device", func(context.Context) bool { return points("pump", gone) == 1 })
			time.Sleep(3 * time.Second) // in which it would be erased again
			if points("pump", gone) != 1 || !strings.Contains(exportLog(t, dir), gone) {
				t.Error("what the new device sent was erased")
			}
		})
	}
}

// The passwords that the service gives to devices are not in the log, whatever way they
// take: the bridge receives its own service's commands, too.
func TestPasswordsAreNotInTheLog(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	s := startSystemWriting(t, stack.Options{}, nil, 10_000, func(c *service.Config) { c.Bridge.Log = dir })
	d := connect(t, s.MQTT.URL(), "pump-1")
	d.subscribe("devices/pump-1/commands/#")
	for range 3 {
		d.publish("devices/pump-1/status", `{"status": "boot", "firmware": "1.4.2"}`)
	}
	d.publish("devices/pump-1/telemetry", `{"code": 117}`)
	var command struct {
		ID   string
		Data struct{ Credentials struct{ ID, Password string } }
	}
	given := d.next()
	if err := json.Unmarshal([]byte(given.payload), &command); err != nil {
		t.Fatalf("%s: %v", given.payload, err)
	}
	credentials := command.Data.Credentials
	if credentials.Password == "" {
		t.Fatalf("no password in %s", given.payload)
	}
	d.publish("devices/pump-1/commands/reprovision/ack", fmt.Sprintf(`{"id": %q, "status": "succeeded"}`, command.ID))
	d.publish("devices/pump-1/status", fmt.Sprintf(`{"status": "boot", "credential": %q}`, credentials.ID))
	eventually(t, "the pump is online again", func(ctx context.Context) bool {
		view, err := s.twins.Snapshot(ctx, "pump-1")
		return err == nil && view.StateName == "online" && view.Delivery.Applied >= 5
	})
	eventually(t, "the points of the worker", func(context.Context) bool {
		return len(s.influx.readingsOf(t, "reprovisions")["pump-1"]) > 0
	})
	text := exportLog(t, dir) // lines are compressed in the files
	if !strings.Contains(text, credentials.ID) || !strings.Contains(text, "reprovisions,") {
		t.Errorf("the log does not have what the pump answered, or no points of the worker:\n%s", text)
	}
	if strings.Contains(text, credentials.Password) {
		t.Errorf("the log shows the password %s:\n%s", credentials.Password, text)
	}
	if names := filesWith(t, dir, credentials.Password); len(names) > 0 {
		t.Errorf("the password is in %s", names)
	}
	if names := filesWith(t, dir, credentials.ID); len(names) == 0 {
		t.Error("no file has the id of the credentials, either: is this the log?")
	}
}
