package servers

import (
	"fmt"
	"strings"
)

// replaced is a configuration after changes: each is a string that has to be in it, and what takes
// its place.
func replaced(text string, changes ...[2]string) (string, error) {
	for _, change := range changes {
		if !strings.Contains(text, change[0]) {
			return "", fmt.Errorf("the configuration of the broker does not contain %q", change[0])
		}
		text = strings.ReplaceAll(text, change[0], change[1])
	}
	return text, nil
}
