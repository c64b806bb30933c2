package doctest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stemedb/stemedb/internal/settings"
)

const root = "../.."

// clientVariables are read by stemectl, pharma-ingest or the deployment, not by
// the server.
var clientVariables = []string{
	settings.ConfigEnv, "STEMEDB_URL", "STEMEDB_API_KEY", "STEMEDB_KEYRING",
	"STEMEDB_IMAGE", "STEMEDB_PORT_1", "STEMEDB_PORT_2", "STEMEDB_PORT_3", "STEMEDB_BIND", "STEMEDB_SUBNET", "STEMEDB_SECRETS",
	"STEMEDB_HTTPS_PORT", "STEMEDB_STATS_PORT", "STEMEDB_PROMETHEUS_PORT", "STEMEDB_ALERTMANAGER_PORT", "STEMEDB_GRAFANA_PORT", "STEMEDB_METRICS_RETENTION",
	"STEMEDB_SERVICE_HOST", // what orchestrators make up, as an example
}

// files returns the paths below the root, relative to it, that match.
func files(t *testing.T, match func(path string) bool) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if slices.Contains([]string{".git", ".cache", "bin", "testdata"}, d.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		if match(rel) {
			found = append(found, rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatal("no file matches")
	}
	return found
}

func isPage(path string) bool { return filepath.Ext(path) == ".md" }

func read(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

var (
	fence  = regexp.MustCompile("(?ms)^```.*?^```")
	inline = regexp.MustCompile("`[^`\n]*`")
	link   = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	head   = regexp.MustCompile(`(?m)^#+ +(.+)$`)
)

// prose is a page without its code.
func prose(text string) string {
	return inline.ReplaceAllString(fence.ReplaceAllString(text, ""), "")
}

// anchors are the fragments that a page's headings can be reached by, as forges
// make them.
func anchors(text string) []string {
	var out []string
	for _, h := range head.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		out = append(out, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(h[1])))
	}
	return out
}

func TestLinksResolve(t *testing.T) {
	links := 0
	for _, page := range files(t, isPage) {
		for _, m := range link.FindAllStringSubmatch(prose(read(t, page)), -1) {
			target := m[1]
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			links++
			path, fragment, _ := strings.Cut(target, "#")
			file := page
			if path != "" {
				file = filepath.Join(filepath.Dir(page), path)
			}
			if _, err := os.Stat(filepath.Join(root, file)); err != nil {
				t.Errorf("%s links to %s, which does not exist", page, target)
			} else if fragment != "" && !slices.Contains(anchors(read(t, file)), fragment) {
				t.Errorf("%s links to %s, but %s has no such heading", page, target, file)
			}
		}
	}
	if links == 0 {
		t.Error("no links were found")
	}
}

func TestEveryPageIsInTheIndex(t *testing.T) {
	index := read(t, "docs/README.md")
	for _, page := range files(t, func(p string) bool { return isPage(p) && filepath.Dir(p) == "docs" && filepath.Base(p) != "README.md" }) {
		if !strings.Contains(index, "]("+filepath.Base(page)+")") {
			t.Errorf("docs/README.md does not list %s", page)
		}
	}
}

func TestNamedSettingsExist(t *testing.T) {
	known := append(slices.Clone(clientVariables), "STEMEDB_TEST_CLAIMS", "STEMEDB_TEST_RACE", // of internal/clustertest
		"STEMEDB_TEST_COMPOSE", "STEMEDB_TEST_FRONT", "STEMEDB_TEST_CA", "STEMEDB_TEST_NODES", "STEMEDB_TEST_IMAGES") // of internal/containertest
	for _, s := range settings.All() {
		known = append(known, s.Env())
	}
	variable := regexp.MustCompile(`\bSTEMEDB_[A-Z0-9_]*[A-Z0-9]\b`)
	for _, file := range files(t, func(p string) bool {
		return isPage(p) || slices.Contains([]string{".yml", ".yaml", ".sh"}, filepath.Ext(p)) || filepath.Base(p) == "Dockerfile"
	}) {
		for _, name := range variable.FindAllString(read(t, file), -1) {
			if !slices.Contains(known, name) {
				t.Errorf("%s names %s, which nothing reads", file, name)
			}
		}
	}
}

func TestNamedTargetsExist(t *testing.T) {
	makefile := read(t, "Makefile")
	named := regexp.MustCompile("(?m)(?:^|[`;&(] *)make ([a-z][a-z-]*)")
	for _, page := range files(t, isPage) {
		for _, m := range named.FindAllStringSubmatch(read(t, page), -1) {
			if !regexp.MustCompile(`(?m)^` + m[1] + `:`).MatchString(makefile) {
				t.Errorf("%s names `make %s`, which the Makefile does not have", page, m[1])
			}
		}
	}
}

func TestAnchors(t *testing.T) {
	got := anchors("# One Two\n```\n# no\n```\n## POST /v1/assert\n### `code`, and more: §4\n")
	want := []string{"one-two", "post-v1assert", "code-and-more-4"}
	if !slices.Equal(got, want) {
		t.Errorf("anchors %q, want %q", got, want)
	}
}
