package mqtt

import (
	"bytes"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// wire is a connection that keeps what is written, write by write.
type wire struct {
	net.Conn
	err error

	mu     sync.Mutex
	writes []string
}

func (w *wire) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writes = append(w.writes, string(b))
	return len(b), w.err
}

// took returns what was written since the last time.
func (w *wire) took() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.writes
	w.writes = nil
	return all
}

func (w *wire) SetDeadline(time.Time) error      { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }
func (w *wire) Close() error                     { return nil }

func puback(id byte) []byte { return []byte{0x40, 2, 0, id} }

func TestAcknowledgementsLeaveTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		l := newLink(w, time.Minute, func(error) {})
		write := func(packets ...[]byte) {
			for _, p := range packets {
				if n, err := l.Write(p); n != len(p) || err != nil {
					t.Errorf("wrote %d bytes, %v", n, err)
				}
			}
		}
		took := func(what string, want ...[]byte) {
			t.Helper()
			synctest.Wait()
			var all []string
			for _, p := range want {
				all = append(all, string(p))
			}
			if got := w.took(); !slices.Equal(got, all) {
				t.Errorf("%s: %q, want %q", what, got, all)
			}
		}

		write([]byte("connect"))
		took("during the handshake", []byte("connect"))
		_ = l.SetDeadline(time.Time{})

		write(puback(1), puback(2))
		took("at once")
		time.Sleep(ackPause)
		took("a moment later", bytes.Join([][]byte{puback(1), puback(2)}, nil))

		write(puback(3), []byte("publish"), puback(4))
		took("before something else", append(puback(3), "publish"...))
		time.Sleep(ackPause)
		took("after something else", puback(4))

		var many []byte
		for i := range byte(ackBytes / 4) {
			write(puback(i))
			many = append(many, puback(i)...)
		}
		took("as many as may wait", many)

		write(puback(5))
		_ = l.Close()
		time.Sleep(time.Second)
		took("after the end")
	})
}

func TestAcknowledgementsThatCannotLeaveEndTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		var ended error
		l := newLink(&wire{err: broken}, time.Minute, func(err error) { ended = err })
		_ = l.SetDeadline(time.Time{})
		if _, err := l.Write(puback(1)); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		time.Sleep(2 * ackPause)
		synctest.Wait()
		if !errors.Is(ended, broken) {
			t.Errorf("ended with %v", ended)
		}
	})
}
