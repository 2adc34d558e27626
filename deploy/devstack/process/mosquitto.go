package process

import (
	"errors"
	"os/exec"
)

// ErrNoMosquitto says that Mosquitto is not installed.
var ErrNoMosquitto = errors.New("mosquitto is not on the PATH: install it (on Debian: apt-get install mosquitto), or leave it out with --broker nats")

// FindMosquitto is the path of the program.
func FindMosquitto() (string, error) {
	// Debian puts it where not every user's PATH leads.
	for _, name := range []string{"mosquitto", "/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrNoMosquitto
}
