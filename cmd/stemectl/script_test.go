package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"github.com/stemedb/stemedb/client"
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
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"hashof": hashOf, "idof": idOf},
		Setup: func(env *testscript.Env) error {
			// What is computed of a script's claims would be an entry at any time.
			cluster, err := localcluster.Temporary(context.Background(), 1, map[string]string{"trust-interval": "1h", "truth-interval": "1h"})
			if err != nil {
				return err
			}
			env.Defer(func() {
				if err := cluster.Close(); err != nil {
					t.Errorf("stop the node: %v", err)
				}
			})
			if err := keyRegistered(cluster.URLs()); err != nil {
				return err
			}
			env.Setenv("STEMEDB_URL", cluster.URLs()[0])
			env.Setenv("STEMEDB_KEYRING", env.WorkDir+"/keys")
			return nil
		},
	})
}

// keyRegistered waits until the node has written its key for receipts to the log,
// which it does by itself soon after the start.
func keyRegistered(urls []string) error {
	c, err := client.New(urls)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		keys, err := c.NodeKeys(ctx, client.Consistency{})
		if err != nil || len(keys.Keys) > 0 {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// idOf sets a variable to the id in the last output.
func idOf(ts *testscript.TestScript, neg bool, args []string) {
	var answer struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal([]byte(ts.ReadFile("stdout")), &answer); err != nil || neg || len(args) != 1 || answer.ID == "" {
		ts.Fatalf("idof %v: no id in the last output (%v)", args, err)
	}
	ts.Setenv(args[0], answer.ID)
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

// TestMCP is an agent's view of the command: the SDK starts it, and it ends with
// its input.
func TestMCP(t *testing.T) {
	cluster, err := localcluster.Temporary(t.Context(), 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	keyFile := filepath.Join(t.TempDir(), "agent.pem")
	generate := asStemectl(exec.Command(self, "keys", "generate", keyFile))
	if out, err := generate.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	server := asStemectl(exec.Command(self, "mcp", "--key", keyFile, "--url", cluster.URLs()[0]))
	session, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), &mcp.CommandTransport{Command: server}, nil)
	if err != nil {
		t.Fatal(err)
	}
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "assert", Arguments: map[string]any{
		"subject": "Aspirin", "predicate": "dose", "value": 100, "confidence": 0.9, "source": "label", "source_class": "Regulatory"}})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(result.StructuredContent)
	if err != nil || result.IsError || !strings.Contains(string(raw), `"status":"created"`) {
		t.Errorf("%v: %s", err, raw)
	}
	if err := session.Close(); err != nil {
		t.Errorf("the command did not end well with its input: %v", err)
	}
}

// asStemectl makes the test's program behave as stemectl, which testscript
// arranges by the program's name.
func asStemectl(cmd *exec.Cmd) *exec.Cmd {
	cmd.Args[0] = "stemectl"
	return cmd
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
