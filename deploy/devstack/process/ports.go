package process

import (
	"fmt"
	"net"
	"strconv"
)

// Host is where all processes listen.
const Host = "127.0.0.1"

// FreePorts finds n ports that are free at this moment. All are held until the
// last is found, so that they differ.
func FreePorts(n int) ([]string, error) {
	var ports []string
	for range n {
		l, err := net.Listen("tcp", net.JoinHostPort(Host, "0"))
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer l.Close()
		ports = append(ports, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	}
	return ports, nil
}
