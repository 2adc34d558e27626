package stack

import (
	"fmt"
	"net"
	"runtime"
	"strconv"
)

// PortError says that a fixed port of a part cannot be listened on.
type PortError struct {
	Part Part
	Host string
	Port int
	Err  error
}

func (e *PortError) Error() string {
	return fmt.Sprintf("%s: cannot listen on port %d of %s: %v", e.Part, e.Port, e.Host, e.Err)
}

func (e *PortError) Unwrap() error { return e.Err }

// checkPort finds out early, and in words of our own, what a server would say
// late: some of these servers end the whole process if their port is taken.
func checkPort(part Part, host string, port int) error {
	if port == 0 {
		return nil
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return &PortError{Part: part, Host: host, Port: port, Err: err}
	}
	return l.Close()
}

// portOrFree returns port, or a free one if port is 0, for the servers that
// must be given their port.
//
// Linux hands out ephemeral ports at random, so that a port just closed can be
// given to another process. A connection left in TIME_WAIT on the server's side
// keeps the port from being handed out for a while, but not from being listened
// on: the way in which Temporal's own development server does it.
func portOrFree(host string, port int) (int, error) {
	if port != 0 {
		return port, nil
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	addr := l.Addr().(*net.TCPAddr)
	if runtime.GOOS == "linux" {
		client, err := net.DialTCP("tcp", nil, addr)
		if err != nil {
			return 0, fmt.Errorf("find a free port: %w", err)
		}
		defer client.Close()
		server, err := l.Accept()
		if err != nil {
			return 0, fmt.Errorf("find a free port: %w", err)
		}
		server.Close()
	}
	return addr.Port, nil
}

func hostPort(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
