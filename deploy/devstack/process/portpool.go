package process

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
)

// Host is where all processes listen.
const Host = "127.0.0.1"

// A part keeps its port while it is down, and another process could be given that
// port meanwhile. So ports come from below the ephemeral ones (from 32768 on Linux,
// from 49152 on other systems), each to one run at a time.
const (
	firstPort = 20000
	lastPort  = 29999
)

// PortPool hands out ports of Host. It is safe for concurrent use.
type PortPool struct {
	mutex sync.Mutex
	next  int
	taken map[string]bool
}

// NewPortPool begins where another process is unlikely to begin.
func NewPortPool() *PortPool {
	const stride = 97
	return &PortPool{next: firstPort + os.Getpid()*stride%(lastPort-firstPort), taken: map[string]bool{}}
}

var errNoPort = errors.New("find a free port: all are taken")

// Take reserves n different ports on which nothing listens at this moment.
func (p *PortPool) Take(n int) ([]string, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	var ports []string
	for range lastPort - firstPort + 1 {
		if len(ports) == n {
			return ports, nil
		}
		port := strconv.Itoa(p.next)
		if p.next++; p.next > lastPort {
			p.next = firstPort
		}
		if p.taken[port] {
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort(Host, port))
		if err != nil {
			continue // another process has it
		}
		if err := l.Close(); err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		p.taken[port] = true
		ports = append(ports, port)
	}
	for _, port := range ports {
		delete(p.taken, port)
	}
	return nil, errNoPort
}

// Give takes ports back.
func (p *PortPool) Give(ports ...string) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for _, port := range ports {
		delete(p.taken, port)
	}
}
