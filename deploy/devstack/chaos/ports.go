package chaos

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
)

// A part keeps its port while it is away, and anybody could be given that port
// meanwhile. So ports come from below those that systems hand out by themselves
// (from 32768 on, of Linux; from 49152 on, of others), each to one case at a time.
const (
	firstPort = 20000
	lastPort  = 29999
)

// portPool hands out ports. It may be used from any goroutine.
type portPool struct {
	mutex sync.Mutex
	next  int
	taken map[string]bool
}

// newPortPool begins where another process is unlikely to.
func newPortPool() *portPool {
	const stride = 97
	return &portPool{next: firstPort + os.Getpid()*stride%(lastPort-firstPort), taken: map[string]bool{}}
}

var errNoPort = errors.New("find a free port: all are taken")

// take gives n ports on which nobody listens at this moment.
func (p *portPool) take(n int) ([]string, error) {
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
		l, err := net.Listen("tcp", net.JoinHostPort(host, port))
		if err != nil {
			continue // somebody else has it
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

// give takes ports back.
func (p *portPool) give(ports ...string) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for _, port := range ports {
		delete(p.taken, port)
	}
}
