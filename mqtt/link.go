package mqtt

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// link watches a connection. It gives up when a read has waited for longer
// than silence, in which the answers to the library's pings must have come.
// While nobody reads, because the handler waits, it does not give up.
type link struct {
	net.Conn
	silence time.Duration
	ended   func(error) // called when the established connection is over

	established atomic.Bool

	in *bufio.Reader // of arrived; the library reads a packet in three or more pieces

	writing sync.Mutex
	acks    []byte      // PUBACK packets that wait for more of their kind
	flusher *time.Timer // sends them; nil until there were any
}

// The library writes each PUBACK on its own. Many of them leave in one write if
// they wait for each other: for ackPause at most, and not where so many wait that
// a broker with a small window of messages in flight (Mosquitto's default is 20)
// would wait too.
const (
	ackPause = time.Millisecond
	ackBytes = 16 * 4
)

// isPuback reports whether b is a PUBACK packet [MQTT-3.4].
func isPuback(b []byte) bool { return len(b) == 4 && b[0] == 0x40 }

const readBuffer = 16 << 10

func newLink(conn net.Conn, silence time.Duration, ended func(error)) *link {
	l := &link{Conn: conn, silence: silence, ended: ended}
	l.in = bufio.NewReaderSize(arrived{l}, readBuffer)
	return l
}

// SetDeadline is called by the library with the end of the handshake, and with
// no deadline when the handshake has succeeded.
func (l *link) SetDeadline(t time.Time) error {
	l.established.Store(t.IsZero())
	return l.Conn.SetDeadline(t)
}

func (l *link) Read(b []byte) (int, error) { return l.in.Read(b) }

// arrived is the connection as it is read.
type arrived struct{ *link }

func (l arrived) Read(b []byte) (int, error) {
	if !l.established.Load() {
		return l.Conn.Read(b)
	}
	if err := l.Conn.SetReadDeadline(time.Now().Add(l.silence)); err != nil {
		return 0, err
	}
	n, err := l.Conn.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("nothing received from the broker for %v: %w", l.silence, err)
	}
	l.check(err)
	return n, err
}

// Write sends b, behind what waits; a PUBACK may wait itself.
func (l *link) Write(b []byte) (int, error) {
	l.writing.Lock()
	defer l.writing.Unlock()
	if !l.established.Load() {
		return l.Conn.Write(b)
	}
	l.acks = append(l.acks, b...)
	if isPuback(b) && len(l.acks) < ackBytes {
		if len(l.acks) == len(b) {
			l.flushLater()
		}
		return len(b), nil
	}
	if err := l.flush(); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (l *link) flushLater() {
	if l.flusher != nil {
		l.flusher.Reset(ackPause)
		return
	}
	l.flusher = time.AfterFunc(ackPause, func() {
		l.writing.Lock()
		defer l.writing.Unlock()
		_ = l.flush() // check has seen it
	})
}

// flush sends all that waits.
func (l *link) flush() error {
	if len(l.acks) == 0 {
		return nil
	}
	err := l.Conn.SetWriteDeadline(time.Now().Add(l.silence))
	if err == nil {
		_, err = l.Conn.Write(l.acks)
	}
	l.acks = l.acks[:0]
	l.check(err)
	return err
}

// SetWriteDeadline does nothing: Write sets its own.
func (l *link) SetWriteDeadline(time.Time) error { return nil }

func (l *link) Close() error {
	l.check(net.ErrClosed)
	err := l.Conn.Close() // which also ends a write
	l.writing.Lock()
	defer l.writing.Unlock()
	if l.flusher != nil {
		l.flusher.Stop()
	}
	return err
}

// check ends the connection at its first error: the library does not look at
// every one.
func (l *link) check(err error) {
	if err != nil && l.established.Load() {
		l.ended(err)
		_ = l.Conn.Close()
	}
}

// ping sends a PINGREQ [MQTT-3.12]. A failure shows at the next read or write.
func (l *link) ping() { _, _ = l.Write([]byte{0xc0, 0x00}) }

func openConn(u *url.URL, tlsConfig *tls.Config, timeout time.Duration) (net.Conn, error) {
	d := &net.Dialer{Timeout: timeout}
	switch u.Scheme {
	case "mqtt", "tcp":
		return d.Dial("tcp", withPort(u, "1883"))
	case "mqtts", "ssl", "tls":
		return tls.DialWithDialer(d, "tcp", withPort(u, "8883"), tlsConfig)
	case "ws", "wss":
		plain := *u
		plain.User = nil // the websocket library refuses it; the client sends it in CONNECT
		return paho.NewWebsocket(plain.String(), tlsConfig, timeout, nil, nil)
	case "unix":
		return d.Dial("unix", u.Host+u.Path)
	}
	return nil, fmt.Errorf("unknown scheme %q", u.Scheme)
}

func withPort(u *url.URL, port string) string {
	if u.Port() != "" {
		return u.Host
	}
	return net.JoinHostPort(u.Hostname(), port)
}
