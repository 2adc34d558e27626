package brokertest

import (
	"os"
	"strings"
	"testing"
)

// File is the content of a file after changes: each is a string that has to be in it, and
// what takes its place.
func File(t *testing.T, file string, changes ...[2]string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	content := string(raw)
	for _, change := range changes {
		if !strings.Contains(content, change[0]) {
			t.Fatalf("%s does not contain %q", file, change[0])
		}
		content = strings.ReplaceAll(content, change[0], change[1])
	}
	return content
}

// Documented are the lines that docs/brokers.md, seen from a folder of deploy, says to
// paste for a broker.
func Documented(t *testing.T, broker string) (lines []string) {
	t.Helper()
	_, section, found := strings.Cut(File(t, "../../docs/brokers.md"), "\n## "+broker+"\n")
	_, block, fenced := strings.Cut(section, "\n```\n")
	block, _, closed := strings.Cut(block, "\n```\n")
	if !found || !fenced || !closed {
		t.Fatalf("docs/brokers.md has no settings of %s", broker)
	}
	if lines = strings.Split(block, "\n"); len(lines) < 5 {
		t.Errorf("only %q", lines)
	}
	return lines
}
