package archtest

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// pkg is what `go list -json` says about a package that matters here. Imports
// are those of the package itself, not of its tests.
type pkg struct {
	ImportPath string
	Name       string
	Doc        string
	GoFiles    []string
	Imports    []string
	Module     *struct{ Path string }
}

// ownPackages lists the packages of this module by their path within it.
func ownPackages(t *testing.T) map[string]pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Name,Doc,GoFiles,Imports,Module", module+"/...")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	own := map[string]pkg{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("read the output of go list: %v", err)
		}
		if p.Module != nil && p.Module.Path == module {
			own[inModule(p.ImportPath)] = p
		}
	}
	if len(own) == 0 {
		t.Fatal("go list names no package of this module")
	}
	return own
}

func inModule(importPath string) string {
	return strings.TrimPrefix(strings.TrimPrefix(importPath, module), "/")
}

func ownImports(p pkg) []string {
	var names []string
	for _, i := range p.Imports {
		if strings.HasPrefix(i, module+"/") {
			names = append(names, inModule(i))
		}
	}
	return names
}

func TestImports(t *testing.T) {
	own := ownPackages(t)
	leaf := func(name string) bool { return len(ownImports(own[name])) == 0 }
	for name, p := range own {
		for _, to := range ownImports(p) {
			if !allowed(name, to, leaf) {
				t.Errorf("%s imports %s, which the table in rules_test.go does not allow", name, to)
			}
		}
	}
}

func TestEveryPackageHasItsPlace(t *testing.T) {
	for name, p := range ownPackages(t) {
		listed := slices.ContainsFunc(rooms, func(r room) bool { return r.name == name })
		if !listed && !isMain(name) && !isInternal(name) {
			t.Errorf("%s has no row in rules_test.go: give it one, where it belongs", name)
		}
		if slices.Contains(bags, path.Base(name)) || slices.Contains(bags, p.Name) {
			t.Errorf("%s (package %s) is named for nothing in particular: name it for what it does", name, p.Name)
		}
	}
}

func TestTableStandsFromTheGroundUp(t *testing.T) {
	own := ownPackages(t)
	var above []string
	for _, r := range rooms {
		if _, exists := own[r.name]; !exists {
			t.Errorf("the table lists %s, which is no package", r.name)
		}
		for _, i := range r.imports {
			if !slices.Contains(above, i) {
				t.Errorf("the row of %s lists %s, which does not stand above it", r.name, i)
			}
		}
		above = append(above, r.name)
	}
}

func TestEveryRoomStatesItsContract(t *testing.T) {
	for name, p := range ownPackages(t) {
		if p.Doc == "" {
			t.Errorf("%s has no package comment", name)
		}
		if !isMain(name) && !isInternal(name) && !slices.Contains(p.GoFiles, "doc.go") {
			t.Errorf("%s has no doc.go: a room's contract stands there", name)
		}
	}
}

func TestAllowed(t *testing.T) {
	leaf := func(name string) bool { return name == "internal/leaf" }
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{"assertion", "lens", false},
		{"lens", "assertion", true},
		{"lens", "index", false},
		{"node", "index", true},
		{"node", "api", false},
		{"api", "node", false},
		{"client", "api", false},
		{"client", "api/v1", true},
		{"newroom", "assertion", false},
		{"index", "internal/leaf", true},
		{"index", "internal/settings", false},
		{"internal/settings", "node", true},
		{"cmd/stemedb", "node", true},
		{"cmd/stemedb", "internal/settings", true},
		{"cmd/pharma-ingest", "cmd/pharma-ingest/corpus", true},
		{"cmd/stemedb", "cmd/pharma-ingest/corpus", false},
		{"client", "cmd/pharma-ingest/corpus", false},
	} {
		if got := allowed(c.from, c.to, leaf); got != c.want {
			t.Errorf("allowed(%s, %s) = %v, want %v", c.from, c.to, got, c.want)
		}
	}
}

// Rooms know the interface of OpenTelemetry; how spans leave the process is the
// matter of one package.
func TestOnlyOnePackageExportsTraces(t *testing.T) {
	found := false
	for name, p := range ownPackages(t) {
		for _, i := range p.Imports {
			if !strings.HasPrefix(i, "go.opentelemetry.io/otel/sdk") && !strings.HasPrefix(i, "go.opentelemetry.io/otel/exporters") {
				continue
			}
			if found = true; name != "internal/otlp" {
				t.Errorf("%s imports %s: it takes a trace.Tracer instead, which the main makes with internal/otlp", name, i)
			}
		}
	}
	if !found {
		t.Error("no package exports traces: the names that this test looks for have changed")
	}
}
