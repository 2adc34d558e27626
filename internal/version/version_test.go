package version

import (
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"testing"
)

func TestRead(t *testing.T) {
	build := &debug.BuildInfo{GoVersion: "go1.30", Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "true"}}}
	build.Main.Version = "(devel)"
	for _, tt := range []struct {
		got  Info
		want string
	}{
		{read(build, "", ""), "devel (commit abc-dirty, go1.30)"},
		{read(build, "1.2.0", "def"), "1.2.0 (commit def, go1.30)"},
		{read(&debug.BuildInfo{}, "", ""), "devel (commit unknown, " + runtime.Version() + ")"},
	} {
		if got := tt.got.String(); got != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
}

// Everything that names the lowest Go version names that of go.mod.
func TestLowestGoVersion(t *testing.T) {
	find := func(file, pattern string) string {
		t.Helper()
		raw, err := os.ReadFile("../../" + file)
		if err != nil {
			t.Fatal(err)
		}
		match := regexp.MustCompile(pattern).FindSubmatch(raw)
		if match == nil {
			t.Fatalf("%s names no Go version", file)
		}
		return string(match[1])
	}
	const module = `(?m)^go (\d+\.\d+(?:\.\d+)?)$`
	want := find("go.mod", module)
	for _, file := range []string{"deploy/devstack/go.mod", "deploy/helm/test/go.mod"} {
		if got := find(file, module); got != want {
			t.Errorf("%s: Go %s, and go.mod %s", file, got, want)
		}
	}
	for _, file := range []string{"README.md", "CONTRIBUTING.md"} {
		if got := find(file, `Go (\d+\.\d+(?:\.\d+)?)`); got != want {
			t.Errorf("%s: Go %s, and go.mod %s", file, got, want)
		}
	}
}
