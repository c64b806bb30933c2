package archtest

import (
	"slices"
	"strings"
)

const module = "github.com/stemedb/stemedb"

type room struct {
	name    string
	imports []string
}

// rooms lists, from the ground up, the packages of this module that each room
// may import. A room imports only rooms that stand above it in this list.
var rooms = []room{
	{"assertion", nil},
	{"lens", []string{"assertion"}},
	{"lens/trust", []string{"assertion", "lens"}},
	{"lens/truth", []string{"assertion", "lens"}},
	{"index", []string{"assertion"}},
	{"fsm", []string{"assertion", "index"}},
	{"transport", []string{"assertion"}},
	{"sync/gossip", []string{"assertion"}},
	{"sync/convergence", []string{"assertion", "sync/gossip"}},
	{"auth", []string{"assertion"}},
	{"defense", []string{"assertion"}},
	{"backup", []string{"assertion"}},
	{"node", []string{"assertion", "lens", "lens/trust", "lens/truth", "index", "fsm", "transport", "sync/gossip", "sync/convergence", "backup"}},
	{"api/v1", []string{"assertion"}},
	{"api/receipt", []string{"assertion", "lens", "lens/trust", "lens/truth", "api/v1"}},
	{"api/export", []string{"assertion", "api/v1"}},
	{"client", []string{"assertion", "api/v1"}},
	{"api", []string{"assertion", "lens", "lens/trust", "lens/truth", "api/v1", "api/receipt", "api/export", "auth"}},
}

// names that say nothing about what a package is for.
var bags = []string{"base", "common", "helper", "helpers", "lib", "misc", "shared", "types", "util", "utils"}

// isMain tells whether a package of this module is the main of a command, or a
// part that only that command uses.
func isMain(name string) bool { return strings.HasPrefix(name, "cmd/") }

func isInternal(name string) bool { return strings.HasPrefix(name, "internal/") }

// commandOf is the folder of the command that a package under cmd/ belongs to.
func commandOf(name string) string {
	parts := strings.SplitN(name, "/", 3)
	return strings.Join(parts[:min(len(parts), 2)], "/")
}

// allowed says whether a package may import another one of this module. leaf
// tells whether an internal package imports nothing of this module itself.
//
//   - a room imports what its row lists, and internal leaves;
//   - commands and internal packages import any room and any internal package;
//   - what lies beneath a command is that command's own.
func allowed(from, to string, leaf func(string) bool) bool {
	switch {
	case isMain(to):
		return isMain(from) && commandOf(from) == commandOf(to)
	case isMain(from), isInternal(from):
		return true
	case isInternal(to):
		return leaf(to)
	}
	for _, r := range rooms {
		if r.name == from {
			return slices.Contains(r.imports, to)
		}
	}
	return false
}
