package chaos

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"devicetwin/deploy/devstack/servers"
)

// Influx is the InfluxDB that a case runs with.
type Influx int

// The InfluxDBs.
const (
	Influx1 Influx = 1 // 1.8, embedded in devstack
	Influx2 Influx = 2 // 2.7, if make servers has installed it
)

// influx2Faults are those that only InfluxDB 2 has.
func influx2Faults(short bool) []Fault {
	lasts, rounds := 8*time.Second, 3
	if short {
		lasts, rounds = 3*time.Second, 2
	}
	return named([]Fault{
		{Kind: Revoke, Part: InfluxDB, Rounds: rounds, Lasts: lasts},
		{Kind: Away, Part: InfluxDB, Rounds: rounds, Lasts: lasts},
		{Kind: Expire, Part: InfluxDB, Rounds: rounds, Lasts: lasts},
	})
}

func (f Fault) influx2Words(times string) string {
	switch f.Kind {
	case Revoke:
		return "InfluxDB refuses the token of bridge and worker, " + times
	case Away:
		return "InfluxDB has no bucket of that name, " + times
	default:
		return fmt.Sprintf("%d readings arrive that are older than InfluxDB keeps points, %s", expired, times)
	}
}

// addInflux2 adds the real InfluxDB in the place of the embedded one.
func (s *system) addInflux2() (err error) {
	data := filepath.Join(s.Data(), "influxdb2")
	if err := os.MkdirAll(data, 0o700); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	if s.influx2, err = servers.NewInfluxDB(s.Dir, string(InfluxDB), data, s.Ports[InfluxDB]); err != nil {
		return err
	}
	s.Parts[InfluxDB] = s.influx2.Process
	return nil
}

// keeps is how long InfluxDB 2 keeps points; 0 is forever.
func (f Fault) keeps() time.Duration {
	if f.Kind == Expire {
		return expiredKept
	}
	return 0
}

// influx2Flags are how bridge and worker write to it.
func (s *system) influx2Flags() []string {
	if s.influx2 == nil {
		return nil
	}
	return []string{"--influx-org", servers.InfluxOrg, "--influx-bucket", servers.InfluxBucket, "--influx-token=" + s.influx2.WriteToken}
}

// Expired readings are of a device of their own, which is not of the fleet. InfluxDB
// takes a point that is too old if it is in one shard with a point of the same batch that
// is not: so points are kept for the shortest time that there is, in shards as short, from
// the beginning.
const (
	expired       = 50
	expiredDevice = "expired"
	expiredAge    = 2 * time.Hour
	expiredKept   = time.Hour
)

// influx2Actions begin a fault of InfluxDB 2 and end it. A fault that cost no request,
// or no point, proves nothing.
func (in *injection) influx2Actions(ctx context.Context) (begin func() error, end func(context.Context) error) {
	db, before := in.system.influx2, map[string]float64{}
	watch := func() (err error) {
		before, err = in.system.Metrics(ctx, Bridge, metricFailures, metricRefused)
		return err
	}
	happened := func(ctx context.Context, metric string, least float64) error {
		now, err := in.system.Metrics(ctx, Bridge, metric)
		if err == nil && now[metric] < before[metric]+least {
			err = fmt.Errorf("%s went from %v to %v, and not up by %v: the fault had no effect", metric, before[metric], now[metric], least)
		}
		return err
	}
	switch in.fault.Kind {
	case Revoke:
		return func() error { return firstError(watch, func() error { return db.AllowWriting(ctx, false) }) },
			func(ctx context.Context) error {
				return firstError(func() error { return happened(ctx, metricFailures, 1) }, func() error { return db.AllowWriting(ctx, true) })
			}
	case Away:
		return func() error { return firstError(watch, func() error { return db.RenameBucket(ctx, "away") }) },
			func(ctx context.Context) error {
				return firstError(func() error { return happened(ctx, metricFailures, 1) }, func() error { return db.RenameBucket(ctx, servers.InfluxBucket) })
			}
	default:
		return func() error { return firstError(watch, in.publishExpired) },
			func(ctx context.Context) error { return happened(ctx, metricRefused, expired) }
	}
}

// The metrics of a bridge by which a fault of InfluxDB 2 is seen.
const (
	metricFailures = "devicetwin_influx_failures_total"
	metricRefused  = "devicetwin_influx_points_refused_total"
)

func firstError(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// publishExpired publishes readings among those of the fleet that InfluxDB does not
// take any more.
func (in *injection) publishExpired() error {
	client := in.system.client(Devices, "chaos-"+expiredDevice, fleetAccount)
	token := client.Connect()
	if token.Wait(); token.Error() != nil {
		return fmt.Errorf("connect device %s: %w", expiredDevice, token.Error())
	}
	defer client.Disconnect(250)
	begin := time.Now().Add(-expiredAge)
	for i := range expired {
		payload := fmt.Sprintf(`{"temperature":20,"pressure":4,"ts":%d}`, begin.Add(time.Duration(i)*time.Second).UnixMilli())
		token := client.Publish("devices/"+expiredDevice+"/telemetry", 1, false, payload)
		if token.Wait(); token.Error() != nil {
			return fmt.Errorf("publish as device %s: %w", expiredDevice, token.Error())
		}
	}
	return nil
}
