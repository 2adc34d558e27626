package stack

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"
)

const (
	// MaxTLSConnections is how many devices may be connected by TLS; others wait
	// to be accepted.
	MaxTLSConnections = 10_000

	handshakeTimeout = 10 * time.Second
	// lingerTimeout is how long a device may still send after the broker has
	// closed the connection.
	lingerTimeout    = 5 * time.Second
	mqttsStopTimeout = 5 * time.Second
	acceptPause      = 100 * time.Millisecond
)

// TLSListener is the broker's second listener, for devices with certificates. It
// ends TLS and passes the bytes on to the first one, which is on loopback and
// knows which device is at the other end: see mqttAuth. A device can
// use its own topics only, and its own sessions.
type TLSListener struct {
	listener net.Listener
	config   *tls.Config
	broker   *Broker
	log      *slog.Logger
	slots    chan struct{}
	running  sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
}

func startTLS(o Options, broker *Broker) (*TLSListener, error) {
	config, err := o.TLS.serverConfig()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", hostPort(o.TLS.host(o), o.Ports.MQTTS))
	if err != nil {
		return nil, fmt.Errorf("listen for devices with certificates: %w", err)
	}
	l := &TLSListener{
		listener: listener, config: config, broker: broker,
		log:   o.Logger.With(slog.String("part", string(PartMQTTS))),
		slots: make(chan struct{}, MaxTLSConnections), conns: map[net.Conn]struct{}{},
	}
	l.running.Go(l.accept)
	return l, nil
}

// Addr is the host and port of the listener.
func (l *TLSListener) Addr() string { return l.listener.Addr().String() }

// Port of the listener.
func (l *TLSListener) Port() int {
	_, text, _ := net.SplitHostPort(l.Addr())
	port, _ := strconv.Atoi(text)
	return port
}

// URL is the address as MQTT clients want it: "ssl://127.0.0.1:8883".
func (l *TLSListener) URL() string { return "ssl://" + l.Addr() }

// Close cuts all connections. The sessions stay with the broker.
func (l *TLSListener) Close() error {
	l.mu.Lock()
	l.closed = true
	err := l.listener.Close()
	for conn := range l.conns {
		conn.Close()
	}
	l.mu.Unlock()
	if late := within(mqttsStopTimeout, func() error { l.running.Wait(); return nil }); late != nil {
		return late
	}
	return err
}

func (l *TLSListener) accept() {
	for {
		l.slots <- struct{}{}
		conn, err := l.listener.Accept()
		if err != nil {
			<-l.slots
			if l.isClosed() {
				return
			}
			// Out of file descriptors, perhaps: it passes.
			l.log.Warn("cannot accept connections", "error", err)
			time.Sleep(acceptPause)
			continue
		}
		l.running.Go(func() {
			defer func() { <-l.slots }()
			l.handle(conn)
		})
	}
}

func (l *TLSListener) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// hold lets Close end a connection; false says that Close has been here.
func (l *TLSListener) hold(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		conn.Close()
		return false
	}
	l.conns[conn] = struct{}{}
	return true
}

func (l *TLSListener) release(conn net.Conn) {
	conn.Close()
	l.mu.Lock()
	delete(l.conns, conn)
	l.mu.Unlock()
}

// handle serves one connection until both sides have ended it.
func (l *TLSListener) handle(raw net.Conn) {
	if !l.hold(raw) {
		return
	}
	defer l.release(raw)
	outside := tls.Server(raw, l.config)
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	err := outside.HandshakeContext(ctx)
	cancel()
	if err != nil {
		l.log.Info("connection refused: no TLS with a certificate of this authority", "address", raw.RemoteAddr(), "error", err)
		return
	}
	id, err := deviceOf(outside.ConnectionState())
	if err != nil {
		l.log.Info("connection refused", "address", raw.RemoteAddr(), "error", err)
		return
	}
	inside, err := net.Dial("tcp", l.broker.Addr())
	if err != nil {
		l.log.Warn("cannot connect a device to the broker", "error", err)
		return
	}
	if !l.hold(inside) {
		return
	}
	defer l.release(inside)
	// The broker looks it up when it reads the CONNECT, which comes after this.
	// It is forgotten only when the broker has ended the connection, or else a
	// CONNECT that is read late would belong to no device.
	address := inside.LocalAddr().String()
	l.broker.auth.devices.Store(address, id)
	defer l.broker.auth.devices.Delete(address)
	relay(outside, inside.(*net.TCPConn))
}

// relay copies both ways until the broker ends its connection: on its own, or
// because the device has ended its own.
func relay(device *tls.Conn, inside *net.TCPConn) {
	var sending sync.WaitGroup
	sending.Go(func() {
		_, _ = io.Copy(inside, device)
		// What the device has sent before it left has to arrive, so no more than
		// this half is closed.
		_ = inside.CloseWrite()
	})
	_, _ = io.Copy(patient{device}, inside)
	_ = device.CloseWrite()
	_ = device.SetReadDeadline(time.Now().Add(lingerTimeout))
	_, _ = io.Copy(io.Discard, inside)
	sending.Wait()
}

// patient bounds how long a device may keep a write waiting, as the broker does
// on its own listener.
type patient struct{ *tls.Conn }

func (p patient) Write(b []byte) (int, error) {
	if err := p.SetWriteDeadline(time.Now().Add(writeDeadline)); err != nil {
		return 0, err
	}
	return p.Conn.Write(b)
}
