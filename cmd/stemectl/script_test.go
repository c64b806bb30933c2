package main

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"github.com/stemedb/stemedb/internal/localcluster"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"stemectl": main})
}

// TestScripts runs the scripts of testdata, each against a one-node cluster of
// its own.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		// hashof NAME sets the variable NAME to the hash in the last output.
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"hashof": hashOf},
		Setup: func(env *testscript.Env) error {
			cluster, err := localcluster.Temporary(context.Background(), 1, nil)
			if err != nil {
				return err
			}
			env.Defer(func() {
				if err := cluster.Close(); err != nil {
					t.Errorf("stop the node: %v", err)
				}
			})
			env.Setenv("STEMEDB_URL", cluster.URLs()[0])
			env.Setenv("STEMEDB_KEYRING", env.WorkDir+"/keys")
			return nil
		},
	})
}

func hashOf(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: hashof NAME")
	}
	var answer struct {
		Hash string `json:"hash"`
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &answer))
	ts.Setenv(args[0], answer.Hash)
}

// TestTheCLIPageListsEveryCommand keeps docs/cli.md whole.
func TestTheCLIPageListsEveryCommand(t *testing.T) {
	page, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Runnable() && !strings.Contains(string(page), "`"+cmd.CommandPath()) {
			t.Errorf("docs/cli.md does not list `%s`", cmd.CommandPath())
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(rootCommand())
}
