package layout

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	fenced     = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	link       = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	linkInText = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	heading    = regexp.MustCompile(`(?m)^#{1,6} +(.*)$`)
	notAnchor  = regexp.MustCompile(`[^\p{L}\p{N}\-_ ]`)
)

// TestLinks follows the relative links of all documents, to files and to headings.
func TestLinks(t *testing.T) {
	documents := map[string]string{} // by their slash-separated paths, without code
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != "../.." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" || entry.Name() == "node_modules"):
			return filepath.SkipDir
		case filepath.Ext(path) != ".md":
			return nil
		}
		src, err := os.ReadFile(path)
		documents[path] = fenced.ReplaceAllString(string(src), "")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	followed := 0
	for path, text := range documents {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], ":") { // of another site
				continue
			}
			followed++
			file, anchor, _ := strings.Cut(m[1], "#")
			target := path
			if file != "" {
				target = filepath.Join(filepath.Dir(path), filepath.FromSlash(file))
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: the link %s leads to a file that does not exist", path, m[1])
			} else if document, ok := documents[target]; ok && anchor != "" && !anchors(document)[anchor] {
				t.Errorf("%s: the link %s leads to a heading that does not exist", path, m[1])
			}
		}
	}
	if followed < 100 {
		t.Errorf("found only %d links", followed)
	}
}

// anchors are those that GitHub gives the headings of a document.
func anchors(document string) map[string]bool {
	found := map[string]bool{}
	for _, h := range heading.FindAllStringSubmatch(document, -1) {
		words := linkInText.ReplaceAllString(strings.TrimSpace(h[1]), "$1")
		found[strings.ReplaceAll(notAnchor.ReplaceAllString(strings.ToLower(words), ""), " ", "-")] = true
	}
	return found
}
