package process

import (
	"errors"
	"net"
	"testing"
)

// A port is given to one run at a time, and not while something listens on it.
func TestPortPool(t *testing.T) {
	pool := NewPortPool()
	first, err := pool.Take(3)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, port := range first {
		seen[port] = true
	}
	l, err := net.Listen("tcp", net.JoinHostPort(Host, first[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	pool.Give(first[0])
	all, err := pool.Take(500)
	if err != nil {
		t.Fatal(err)
	}
	for _, port := range all {
		if seen[port] {
			t.Errorf("port %s is given twice", port)
		}
		seen[port] = true
	}
	if _, err := pool.Take(lastPort); !errors.Is(err, errNoPort) {
		t.Errorf("more ports than there are: %v", err)
	}
	pool.Give(first[1])
	pool.next = lastPort + 1 - 1 // comes round to the beginning
	if again, err := pool.Take(2); err != nil || seen[again[0]] && again[0] != first[1] {
		t.Errorf("after that: %v, %v", again, err)
	}
}
