package simulate

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"

	"devicetwin/simulator"
)

// ledgerFile takes what a fleet had acknowledged, a line of JSON for each message.
// Its methods may be called from any goroutine; a nil one takes nothing.
type ledgerFile struct {
	mutex sync.Mutex
	file  *os.File
	out   *bufio.Writer
	err   error // the first one
}

// createLedger begins a file; an empty name makes a nil ledger.
func createLedger(name string) (*ledgerFile, error) {
	if name == "" {
		return nil, nil
	}
	file, err := os.Create(name)
	if err != nil {
		return nil, fmt.Errorf("create ledger: %w", err)
	}
	return &ledgerFile{file: file, out: bufio.NewWriter(file)}, nil
}

func (l *ledgerFile) add(m simulator.Acknowledged) {
	if l == nil {
		return
	}
	line, err := json.Marshal(m)
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if err == nil && l.err == nil {
		_, err = l.out.Write(append(line, '\n'))
	}
	if l.err == nil {
		l.err = err
	}
}

// close reports whether all of it was written.
func (l *ledgerFile) close() error {
	if l == nil {
		return nil
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if err := errors.Join(l.err, l.out.Flush(), l.file.Close()); err != nil {
		return fmt.Errorf("write ledger %s: %w", l.file.Name(), err)
	}
	return nil
}
