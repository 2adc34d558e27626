package bench

import (
	"fmt"
	"io"
	"net"
	"sync"

	"devicetwin/deploy/devstack/process"
)

// relay is a link that can be cut. It only copies, so that it costs little of what
// is measured.
type relay struct {
	addr, to string
	listener net.Listener

	mutex sync.Mutex
	down  bool
	conns map[net.Conn]bool
	open  sync.WaitGroup
}

func openRelay(to string) (*relay, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort(process.Host, "0"))
	if err != nil {
		return nil, fmt.Errorf("start the relay to %s: %w", to, err)
	}
	r := &relay{addr: listener.Addr().String(), to: to, listener: listener, conns: map[net.Conn]bool{}}
	r.open.Go(r.accept)
	return r, nil
}

func (r *relay) accept() {
	for {
		from, err := r.listener.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", r.to)
		if err != nil || !r.keep(from, to) {
			from.Close()
			continue
		}
		r.open.Go(func() { r.copy(from, to) })
		r.open.Go(func() { r.copy(to, from) })
	}
}

// keep notes a pair of connections, unless the link is cut.
func (r *relay) keep(from, to net.Conn) bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.down {
		to.Close()
		return false
	}
	r.conns[from], r.conns[to] = true, true
	return true
}

// copy copies until one side ends, and ends the other one.
func (r *relay) copy(from, to net.Conn) {
	_, _ = io.Copy(to, from) // an error is the end of the link
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, c := range []net.Conn{from, to} {
		c.Close()
		delete(r.conns, c)
	}
}

// cut ends all connections, and refuses new ones until restore.
func (r *relay) cut() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.down = true
	for c := range r.conns {
		c.Close()
	}
}

func (r *relay) restore() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.down = false
}

func (r *relay) close() {
	r.listener.Close()
	r.cut()
	r.open.Wait()
}
