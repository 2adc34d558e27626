package devicetwin

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"devicetwin/internal/cli"
)

// docs/acknowledgements.md has a row for every setting of the logs and of
// acknowledgements, with its default, and names no setting that there is not. The
// settings of earlier releases are aliases that --help does not show.
func TestSettingsOfLogsAreDocumented(t *testing.T) {
	raw, err := os.ReadFile("../../../docs/acknowledgements.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(raw)
	parser, err := cli.NewParser(newCommandLine(), "devicetwin", "", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	known, found := map[string]bool{}, 0
	isLog := regexp.MustCompile(`^(bridge-ack|(bridge|worker)-log(-.*)?)$`)
	aliases := []string{"influx-spool", "influx-spool-max"}
	for _, command := range parser.Model.Leaves(true) {
		for _, flag := range slices.Concat(command.AllFlags(false)...) {
			known[flag.Name] = true
			switch {
			case slices.Contains(aliases, flag.Name) && !flag.Hidden:
				t.Errorf("%s --%s is not hidden", command.FullPath(), flag.Name)
			case command.Name == "run" && isLog.MatchString(flag.Name):
				found++
				if row := regexp.MustCompile("(?m)^\\|[^|]*`--" + flag.Name + "`[^|]*\\|.*$").FindString(page); row == "" {
					t.Errorf("docs/acknowledgements.md has no row for --%s", flag.Name)
				}
			}
		}
	}
	if found < 7 {
		t.Errorf("only %d settings of logs are found", found)
	}
	for _, name := range regexp.MustCompile("`--([a-z-]+)").FindAllStringSubmatch(page, -1) {
		if !known[name[1]] {
			t.Errorf("docs/acknowledgements.md has the setting --%s, which there is not", name[1])
		}
	}
	if strings.Contains(page, "TODO") {
		t.Error("docs/acknowledgements.md is not finished")
	}
}
