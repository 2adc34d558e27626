package testserver

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"devicetwin/internal/durable"
)

// A server that cannot be told to listen at any port is given one that was free a moment ago, and
// keeps it while it is down. So ports come from below those that systems hand out to whoever asks for
// any (from 32768 on Linux, from 49152 on other systems), and below those of devstack (from 20000); and each
// is locked, so that tests of other packages, which run at the same time, are given others.
const (
	host      = "127.0.0.1"
	firstPort = 10000
	lastPort  = 19999
)

// pool hands out the ports of this process.
type pool struct {
	dir string // has a folder for each port that was ever handed out, whose lock is the port's

	mutex sync.Mutex
	next  int
	taken map[int]io.Closer // locks
}

var ports = sync.OnceValues(func() (*pool, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("devicetwin-test-ports-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of locks of ports: %w", err)
	}
	return newPool(dir), nil
})

// newPool begins where another process is unlikely to begin.
func newPool(dir string) *pool {
	const stride = 97
	return &pool{dir: dir, next: firstPort + os.Getpid()*stride%(lastPort-firstPort+1), taken: map[int]io.Closer{}}
}

// FreeAddress is one of the loopback interface at which nobody listens, and its port. No other test is
// given it before this one has ended.
func FreeAddress(t testing.TB) (address, port string) {
	t.Helper()
	p, err := ports()
	if err != nil {
		t.Fatal(err)
	}
	number, err := p.take()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.give(number) })
	port = strconv.Itoa(number)
	return net.JoinHostPort(host, port), port
}

func (p *pool) take() (int, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for range lastPort - firstPort + 1 {
		port := p.next
		if p.next++; p.next > lastPort {
			p.next = firstPort
		}
		if p.taken[port] != nil {
			continue
		}
		dir := filepath.Join(p.dir, strconv.Itoa(port))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return 0, fmt.Errorf("lock port %d: %w", port, err)
		}
		lock, err := durable.LockDir(dir)
		if err != nil {
			continue // another process has it
		}
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			lock.Close()
			continue // something else listens there
		}
		if err := l.Close(); err != nil {
			lock.Close()
			return 0, fmt.Errorf("find a free port: %w", err)
		}
		p.taken[port] = lock
		return port, nil
	}
	return 0, fmt.Errorf("find a free port from %d to %d: all are taken", firstPort, lastPort)
}

func (p *pool) give(port int) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.taken[port].Close()
	delete(p.taken, port)
}
