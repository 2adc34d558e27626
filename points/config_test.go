package points

import (
	"strings"
	"testing"
)

func TestConfig(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	i := Config{URL: "ftp://x"}
	if err := i.Validate(); err == nil || strings.Count(err.Error(), "\n") != 7 {
		t.Errorf("influxdb: %v", err)
	}
}
