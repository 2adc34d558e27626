package cli

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"time"

	"devicetwin/deploy/devstack/pki"
	"devicetwin/internal/cli"
)

// certFlags are of a command that issues a certificate.
type certFlags struct {
	Device string `arg:"" help:"Id of the device."`
	Days   int    `help:"Validity of the certificate, in days." default:"3650"`

	// As of the broker, for the printed command: from the same flags, variables and
	// configuration file.
	Port   int    `name:"mqtt-tls-port" help:"Port for devices with certificates, for the printed command." default:"8883" placeholder:"PORT"`
	Prefix string `name:"mqtt-topic-prefix" help:"First level of the devices' topics, for the printed command." default:"devices"`
}

// certCommand is "devstack cert".
type certCommand struct {
	certFlags
	DataDir string `help:"Folder for the data of all servers." default:".devstack" placeholder:"DIR"`
}

// Run issues the certificate.
func (c *certCommand) Run(streams cli.Streams) error { return c.issue(streams.Out, c.DataDir) }

// Validate is called by the parser.
func (c certFlags) Validate() error {
	if c.Days < 1 {
		return fmt.Errorf("--days %d: expected at least 1", c.Days)
	}
	return nil
}

// issue makes the files and says where they are, and how to use them.
func (c certFlags) issue(w io.Writer, dataDir string) error {
	dir, err := filepath.Abs(authorityDir(dataDir))
	if err != nil {
		return fmt.Errorf("data directory %s: %w", dataDir, err)
	}
	authority, err := pki.Open(dir, time.Now())
	if err != nil {
		return err
	}
	pair, err := authority.Device(c.Device, time.Duration(c.Days)*24*time.Hour, time.Now())
	if errors.Is(err, pki.ErrExists) {
		return fmt.Errorf("%w\nremove it and its key to issue another one; the old one stays valid", err)
	}
	if err != nil {
		return err
	}
	port := strconv.Itoa(c.Port)
	if c.Port == 0 { // any free one, which only the running program knows
		port = "PORT"
	}
	fmt.Fprintf(w, `Certificate for device %s:
  authority    %s
  certificate  %s
  key          %s
Copy the three to the device, and keep the private key nowhere else. To try them here:
  mosquitto_pub -h 127.0.0.1 -p %[5]s --cafile %[2]s --cert %[3]s --key %[4]s -i %[1]s -q 1 -t %[6]s/%[1]s/status -m '{"status": "boot"}'
`, c.Device, authority.CAFile(), pair.CertFile, pair.KeyFile, port, c.Prefix)
	return nil
}
