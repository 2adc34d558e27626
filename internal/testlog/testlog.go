// Package testlog has a log that tests can search.
package testlog

import (
	"log/slog"
	"strings"
	"sync"
)

// Lines keeps what is logged, a line for each record. The zero value is empty.
type Lines struct {
	mu    sync.Mutex
	lines []string
}

// Write keeps one line. It is for Logger.
func (l *Lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(p))
	return len(p), nil
}

// Count returns how many lines contain part.
func (l *Lines) Count(part string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if strings.Contains(line, part) {
			n++
		}
	}
	return n
}

// String is all lines, for messages of failed tests.
func (l *Lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "")
}

// Logger writes to l as text, from level Info on.
func (l *Lines) Logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }
