// Package kafkatest starts a real Apache Kafka for tests.
package kafkatest

import (
	"bytes"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"devicetwin/internal/testserver"
)

// patience is how long a Java program may take to start on a busy machine.
const patience = 4 * time.Minute

// most is how much of what a broker said is shown, of its end.
const most = 8 << 10

// Cluster is a cluster of KRaft on this host, which ends with its test. Its methods belong to one
// goroutine.
type Cluster struct {
	t          testing.TB
	controller string
	nodes      []*node
}

type node struct {
	number  int
	data    string
	address string
	program string
	args    []string     // settings
	errors  bytes.Buffer // of all its lives
	running *exec.Cmd
	ready   chan struct{}
	ended   chan struct{}
}

// Start starts a cluster of brokers, with settings of all of them such as "num.partitions=3". Number 0 is also
// the controller. Where Kafka is not installed, the test is skipped, with the line that
// installs it.
func Start(t testing.TB, brokers int, settings ...string) *Cluster {
	t.Helper()
	program := testserver.Installed(t, "kafka", "kafka")
	c := &Cluster{t: t, controller: freeAddress(t)}
	for i := range brokers {
		c.nodes = append(c.nodes, &node{
			number: i + 1, data: t.TempDir(), address: freeAddress(t), program: program, args: settings,
		})
	}
	t.Cleanup(func() {
		for i, n := range c.nodes {
			c.Kill(i)
			if said := n.errors.Bytes(); t.Failed() {
				t.Logf("broker %d of Kafka said:\n%s", i, said[max(0, len(said)-most):])
			}
		}
	})
	for _, n := range c.nodes { // they need each other
		c.launch(n)
	}
	for _, n := range c.nodes {
		c.await(n)
	}
	return c
}

// Addrs are those of all brokers, also of those that do not run.
func (c *Cluster) Addrs() (all []string) {
	for _, n := range c.nodes {
		all = append(all, n.address)
	}
	return all
}

// Start starts a broker after Stop or Kill, at the same address, with what it has kept.
func (c *Cluster) Start(i int) {
	c.t.Helper()
	c.launch(c.nodes[i])
	c.await(c.nodes[i])
}

// Stop ends a broker in order: it hands over what it leads first.
func (c *Cluster) Stop(i int) {
	c.t.Helper()
	n := c.nodes[i]
	if n.running == nil {
		return
	}
	_ = n.running.Process.Signal(syscall.SIGTERM)
	select {
	case <-n.ended:
		n.running = nil
	case <-time.After(patience):
		c.t.Fatalf("broker %d of Kafka does not end", i)
	}
}

// Kill ends a broker as kill -9 does.
func (c *Cluster) Kill(i int) {
	n := c.nodes[i]
	if n.running == nil {
		return
	}
	_ = n.running.Process.Kill()
	<-n.ended
	n.running = nil
}

func (c *Cluster) launch(n *node) {
	c.t.Helper()
	args := append([]string{strconv.Itoa(n.number), n.data, n.address, c.controller}, n.args...)
	n.running, n.ready, n.ended = exec.Command(n.program, args...), make(chan struct{}), make(chan struct{})
	n.running.Stdout, n.running.Stderr = &readiness{ready: n.ready}, &n.errors
	if err := n.running.Start(); err != nil {
		c.t.Fatalf("start Kafka: %v", err)
	}
	go func(running *exec.Cmd, ended chan<- struct{}) {
		_ = running.Wait()
		close(ended)
	}(n.running, n.ended)
}

func (c *Cluster) await(n *node) {
	c.t.Helper()
	select {
	case <-n.ready:
	case <-n.ended:
		c.t.Fatalf("broker %d of Kafka ended while it started", n.number-1)
	case <-time.After(patience):
		c.t.Fatalf("broker %d of Kafka is not ready after %v", n.number-1, patience)
	}
}

// readiness closes a channel when the line "# ready" was written to it.
type readiness struct {
	said  []byte
	ready chan struct{}
	once  sync.Once
}

func (r *readiness) Write(b []byte) (int, error) {
	r.said = append(r.said, b...)
	lines := bytes.Split(r.said, []byte("\n"))
	for _, line := range lines[:len(lines)-1] {
		if string(line) == "# ready" {
			r.once.Do(func() { close(r.ready) })
		}
	}
	r.said = lines[len(lines)-1]
	return len(b), nil
}

func freeAddress(t testing.TB) string {
	t.Helper()
	address, _ := testserver.FreeAddress(t)
	return address
}
