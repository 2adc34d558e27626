package kafka

import (
	"os"
	"strings"
	"testing"
)

// The example of docs/kafka.md is a dialect that reads records as the page says.
func TestTheExampleOfTheDocumentation(t *testing.T) {
	page, err := os.ReadFile("../../docs/kafka.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\n")
	example, _, _ := strings.Cut(rest, "```")
	w := newWorld(t, 1)
	w.dialect = example
	w.produce("purchases", `4711={"n":1}`, `4711=`)
	w.produce("orders", `a/b={"customer":"4711","n":2}`)
	w.start("a")
	w.eventually("applied", func() bool { return w.twins.count() == 3 })
	if got := w.twins.of("4711"); !strings.Contains(got, "1 deleted") && !strings.Contains(got, "1 2 deleted") {
		t.Errorf("applied %s", got)
	}
	for _, header := range []string{headerReason, headerDetail, headerTopic, headerPartition, headerOffset, headerReceived, headerBytes} {
		if !strings.Contains(string(page), "`"+header+"`") {
			t.Errorf("the page lacks the header %s", header)
		}
	}
}
