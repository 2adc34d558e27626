package simulate

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"devicetwin/simulator"
)

// Every acknowledged message is a line, whichever goroutine reports it; what
// could not be written is an error at the end.
func TestLedgerFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "ledger.jsonl")
	ledger, err := createLedger(name)
	if err != nil {
		t.Fatal(err)
	}
	var adding sync.WaitGroup
	for device := range 4 {
		adding.Go(func() {
			for seq := range uint64(100) {
				ledger.add(simulator.Acknowledged{Device: string(rune('a' + device)), Channel: "telemetry", Epoch: 7, Seq: seq + 1, TS: 1000})
			}
		})
	}
	adding.Wait()
	if err := ledger.close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n")
	if len(lines) != 400 || !strings.Contains(string(raw), `{"device":"d","channel":"telemetry","epoch":7,"seq":100,"ts":1000}`+"\n") {
		t.Errorf("%d lines; the first is %s", len(lines), lines[0])
	}

	if ledger, err = createLedger(name); err != nil {
		t.Fatal(err)
	}
	ledger.add(simulator.Acknowledged{})
	ledger.file.Close()
	if err := ledger.close(); err == nil || !strings.Contains(err.Error(), name) {
		t.Errorf("a file that takes nothing: %v", err)
	}
	if _, err := createLedger(filepath.Join(name, "below")); err == nil {
		t.Error("a file below a file")
	}
	if none, err := createLedger(""); none != nil || err != nil || none.close() != nil {
		t.Errorf("no file: %v, %v", none, err)
	}
	(*ledgerFile)(nil).add(simulator.Acknowledged{})
}
