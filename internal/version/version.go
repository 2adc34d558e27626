// Package version says which build of devicetwin this is.
package version

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Those who package devicetwin may set both at build time:
//
//	go build -ldflags "-X devicetwin/internal/version.version=1.2.0 -X devicetwin/internal/version.commit=0a1b2c3"
//
// Otherwise they are those that Go has recorded in the program.
var version, commit string

// Info is a build.
type Info struct {
	Version string `json:"version"`          // "devel" of a build that has none
	Commit  string `json:"commit,omitempty"` // with "-dirty" if files were changed
	Go      string `json:"go"`               // go1.26.8
}

// Get is this build.
func Get() Info {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		build = &debug.BuildInfo{}
	}
	return read(build, version, commit)
}

func read(build *debug.BuildInfo, version, commit string) Info {
	info := Info{Version: version, Commit: commit, Go: build.GoVersion}
	if info.Go == "" {
		info.Go = runtime.Version()
	}
	if info.Version == "" && build.Main.Version != "(devel)" {
		info.Version = build.Main.Version
	}
	if info.Version == "" {
		info.Version = "devel"
	}
	if info.Commit != "" {
		return info
	}
	settings := map[string]string{}
	for _, s := range build.Settings {
		settings[s.Key] = s.Value
	}
	info.Commit = settings["vcs.revision"]
	if info.Commit != "" && settings["vcs.modified"] == "true" {
		info.Commit += "-dirty"
	}
	return info
}

// String is a line for people.
func (i Info) String() string {
	commit := i.Commit
	if commit == "" {
		commit = "unknown"
	}
	return fmt.Sprintf("%s (commit %s, %s)", i.Version, commit, i.Go)
}
