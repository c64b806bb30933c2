package api_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// codesIn returns the string constants named Code… of a package's source.
func codesIn(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var codes []string
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".go") || strings.HasSuffix(entry.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), dir+"/"+entry.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Code") {
				return true
			}
			if literal, ok := spec.Values[0].(*ast.BasicLit); ok && literal.Kind == token.STRING {
				code, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Fatal(err)
				}
				codes = append(codes, code)
			}
			return true
		})
	}
	if len(codes) < 20 {
		t.Fatalf("only %d codes found in %s", len(codes), dir)
	}
	return codes
}

// docs/errors.md has a row for every code of the source, with the status that
// the server answers, and none for anything else.
func TestEveryCodeIsInTheErrorsPage(t *testing.T) {
	raw, err := os.ReadFile("../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` \\| ([0-9]{3}|–) \\| .+ \\| .+ \\|$").FindAllStringSubmatch(string(raw), -1) {
		if _, twice := rows[m[1]]; twice {
			t.Errorf("%s has two rows", m[1])
		}
		rows[m[1]] = m[2]
	}
	page := newFixture(t).get("/docs").Body.String()
	statuses := map[string]string{}
	for _, m := range regexp.MustCompile(`<tr id="([a-z0-9_]+)"><td><code>[a-z0-9_]+</code></td><td class="s\d">(\d+)</td>`).FindAllStringSubmatch(page, -1) {
		statuses[m[1]] = m[2]
	}
	known := map[string]bool{}
	for _, code := range append(codesIn(t, "../assertion"), codesIn(t, "v1")...) {
		known[code] = true
		status, ok := rows[code]
		if !ok {
			t.Errorf("the code %s has no row in docs/errors.md", code)
			continue
		}
		// A code that no route answers with has a dash.
		if answered, ok := statuses[code]; ok && answered != status || !ok && status != "–" {
			t.Errorf("%s: the page says %s, the server answers %q", code, status, answered)
		}
	}
	for code := range rows {
		if !known[code] {
			t.Errorf("docs/errors.md has a row for %s, which is no code", code)
		}
	}
}
