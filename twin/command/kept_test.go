package command_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"devicetwin/twin/command"
)

// The data of what nobody answers are kept as long as there is room, the newest first.
func TestCommandsThatNobodyAnswersKeepTheirData(t *testing.T) {
	var q command.Queue
	now := time.UnixMilli(1)
	data := json.RawMessage(`"` + strings.Repeat("x", 10<<10) + `"`)
	for i := range 10 {
		id := fmt.Sprint(i)
		if _, _, refused := q.Add(command.Command{ID: id, Name: "n", Data: data, Created: now, Expires: now.Add(time.Hour)}, false, command.DefaultLimits()); refused != nil {
			t.Fatal(refused)
		}
		if _, ok := q.EndWithData(id, now); ok {
			t.Fatal("one that waits has ended")
		}
		if _, ok := q.Next(now); !ok {
			t.Fatal("no command to send")
		}
		c, ok := q.EndWithData(id, now)
		if !ok || c.Status != command.Succeeded || string(c.Data) != string(data) {
			t.Fatalf("%+v, %v", c, ok)
		}
	}
	kept := 0
	for i, c := range q.Ended {
		if kept += len(c.Data); (len(c.Data) > 0) != (i >= 4) {
			t.Errorf("command %s has %d bytes of data", c.ID, len(c.Data))
		}
	}
	if kept > command.KeptData {
		t.Errorf("%d bytes are kept", kept)
	}
	if _, ok := q.EndWithData("9", now); ok {
		t.Error("one that has ended ended again")
	}
}
