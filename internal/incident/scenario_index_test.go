package incident

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// TestScenarioIndex keeps docs/scenarios.md complete: each story stands under
// its kind, and nothing stands there that is no story.
func TestScenarioIndex(t *testing.T) {
	page, err := os.ReadFile("../../docs/scenarios.md")
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, m := range regexp.MustCompile(`\(\.\./internal/incident/(testdata/[a-z0-9-]+\.txt)\)`).FindAllSubmatch(page, -1) {
		listed = append(listed, string(m[1]))
	}
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !slices.Contains(listed, f) {
			t.Errorf("%s: missing in docs/scenarios.md", f)
		}
	}
	for _, f := range listed {
		if !slices.Contains(files, f) {
			t.Errorf("docs/scenarios.md lists %s, which is not there", f)
		}
	}
}
