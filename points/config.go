package points

import (
	"net/http"
	"net/url"
	"time"

	"devicetwin/internal/faults"
	"devicetwin/internal/tlsfiles"
)

// Config is how points are written. Begin with DefaultConfig.
type Config struct {
	URL string // http://host:8086
	// Token is "user:password" for InfluxDB 1.8, or empty if it asks for none.
	Token string
	Org   string // empty for InfluxDB 1.8
	// Bucket is "database/retention-policy" or "database" for InfluxDB 1.8.
	Bucket string
	// CAFile, CertFile and KeyFile are PEM files, for https. CAFile replaces the
	// system's authorities; CertFile and KeyFile go together.
	CAFile   string
	CertFile string
	KeyFile  string

	BatchPoints int           // points in one request
	BatchBytes  int           // bytes of line protocol in one request
	FlushEvery  time.Duration // a point waits no longer than this for others
	QueueBytes  int           // of points in memory; beyond it, the oldest are dropped
	Timeout     time.Duration // of one request
	BackoffMin  time.Duration // wait before the first repetition; twice as long each time
	BackoffMax  time.Duration
	CloseWithin time.Duration // how long Run goes on writing after its context has ended
}

// DefaultConfig is for an InfluxDB 1.8 on this machine with a database
// devicetwin.
func DefaultConfig() Config {
	return Config{
		URL:         "http://127.0.0.1:8086",
		Bucket:      "devicetwin/autogen",
		BatchPoints: 5000,
		BatchBytes:  1 << 20,
		FlushEvery:  time.Second,
		QueueBytes:  64 << 20,
		Timeout:     10 * time.Second,
		BackoffMin:  500 * time.Millisecond,
		BackoffMax:  30 * time.Second,
		CloseWithin: 5 * time.Second,
	}
}

// httpClient makes a client for the server, with a timeout for each request.
func (c Config) httpClient(timeout time.Duration) (*http.Client, error) {
	tlsConfig, err := tlsfiles.Files{CA: c.CAFile, Cert: c.CertFile, Key: c.KeyFile}.Load(tlsfiles.Names{Server: "influxdb"})
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = tlsConfig
	return &http.Client{Timeout: timeout, Transport: transport}, nil
}

// Validate reports every error together, one on each line.
func (c Config) Validate() error {
	var f faults.List
	u, err := url.Parse(c.URL)
	f.Check(err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "", "influxdb url %q: expected http://host:port", c.URL)
	f.Check(c.Bucket != "", "influxdb bucket: expected one, for InfluxDB 1.8 database/retention-policy")
	f.Check((c.CertFile == "") == (c.KeyFile == ""), "influxdb certificate and key: expected both or neither")
	f.Check(c.CAFile == "" && c.CertFile == "" || err != nil || u.Scheme == "https", "influxdb url %q: certificates are for https", c.URL)
	f.Between("points in an influxdb batch", c.BatchPoints, 1, 1_000_000)
	f.Between("bytes in an influxdb batch", c.BatchBytes, 1<<10, 100<<20)
	f.Positive("influxdb flush interval", c.FlushEvery)
	f.Check(c.QueueBytes >= 2*c.BatchBytes, "influxdb queue of %d bytes: expected at least two batches, %d", c.QueueBytes, 2*c.BatchBytes)
	f.Positive("influxdb timeout", c.Timeout)
	f.Ordered("influxdb retry wait", c.BackoffMin, c.BackoffMax)
	f.Positive("influxdb close timeout", c.CloseWithin)
	return f.Err()
}
