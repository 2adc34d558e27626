package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"devicetwin/deploy/devstack/process"
)

// PostgreSQLUser owns all databases, and needs no password.
const PostgreSQLUser = "temporal"

// PostgreSQL is a PostgreSQL as the system's packages bring it.
type PostgreSQL struct {
	*process.Process
	Port string // at process.Host
}

// NewPostgreSQL prepares a PostgreSQL that listens at a port of process.Host and keeps
// its data in a new folder, whose parents everybody can enter: PostgreSQL does not run
// as root. Its log is in the folder dir. Strings are ordered by the rules of a
// language, as on most systems. The error is a *NotInstalledError if it is not
// installed.
func NewPostgreSQL(dir, name, data, port string) (*PostgreSQL, error) {
	initdb, err := Find("postgresql", "initdb")
	if err != nil {
		return nil, err
	}
	program, err := Find("postgresql", "postgres")
	if err != nil {
		return nil, err
	}
	if err := folderOf("postgres", data, nil); err != nil {
		return nil, fmt.Errorf("prepare the folder of PostgreSQL: %w", err)
	}
	made := exec.Command(initdb, "-D", filepath.Join(data, "db"), "-U", PostgreSQLUser, "-A", "trust", "-E", "UTF8", "--no-sync",
		"--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US")
	made.Dir = data
	if said, err := made.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("make the folder of PostgreSQL: %w: %s", err, said)
	}
	p := &PostgreSQL{Port: port}
	p.Process = process.New(dir, name, saidReadyForConnections, func() *exec.Cmd {
		command := exec.Command(program, "-D", filepath.Join(data, "db"), "-h", process.Host, "-p", port, "-k", data, "-c", "max_connections=200")
		command.Dir = data
		return command
	})
	return p, nil
}

func saidReadyForConnections(_ context.Context, p *process.Process) error {
	if !strings.Contains(p.Said(), "database system is ready to accept connections") {
		return errors.New("it does not accept connections")
	}
	return nil
}

// Stop ends it without waiting for its clients.
func (p *PostgreSQL) Stop() error { return p.StopBy(os.Interrupt) }
