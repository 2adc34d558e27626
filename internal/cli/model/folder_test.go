package model

import (
	"errors"
	"testing"
)

func TestScriptThatIsAFolder(t *testing.T) {
	if _, err := loadScript(t.TempDir()); !errors.Is(err, errFolder) {
		t.Errorf("%v", err)
	}
}
