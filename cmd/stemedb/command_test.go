package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stemedb/stemedb/internal/settings"
)

// command runs a command line in this process.
func command(t *testing.T, args ...string) (output string, code int, err error) {
	t.Helper()
	var out bytes.Buffer
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(&out)
	err = root.ExecuteContext(t.Context())
	return out.String(), exitCode(err), err
}

func TestWrongCommandLinesAreExplained(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"serve"}, "data directory is not set"},
		{[]string{"serve", "--data-dir=x", "--shield"}, "unknown flag: --shield"},
		{[]string{"serve", "--data-dir=x", "--http-addr=0.0.0.0:18180"}, "--allow-insecure"},
		{[]string{"serve", "--data-dir=x", "again"}, "unknown command"},
		{[]string{"dev", "--nodes=0"}, "1 to 9"},
		{[]string{"dev", "--base-port=65530"}, "65530"},
		{[]string{"config", "--output=xml"}, "neither yaml nor json"},
		{[]string{"sreve"}, "unknown command"},
	} {
		_, code, err := command(t, tc.args...)
		if code != exitUsage || err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%v: exit code %d, %v; want %d and %q", tc.args, code, err, exitUsage, tc.want)
		}
	}
}

func TestVersionSaysWhichBuild(t *testing.T) {
	out, code, _ := command(t, "version")
	for _, want := range []string{"stemedb ", "commit ", "go1.", "command format "} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("version prints %q (exit code %d), want %q in it", out, code, want)
		}
	}
}

func TestConfigSaysWhatIsEffectiveAndWhy(t *testing.T) {
	t.Setenv("STEMEDB_NODE_ID", "from-environment")
	file := filepath.Join(t.TempDir(), "stemedb.yaml")
	if err := os.WriteFile(file, []byte("log_level: debug\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const secret = "000102030405060708090a0b0c0d0e0f"
	args := []string{"config", "--config=" + file, "--data-dir=x", "--gossip-key=" + secret}
	out, code, err := command(t, append(args, "--output=json")...)
	if code != 0 {
		t.Fatal(err)
	}
	var lines map[string]struct{ Value, From string }
	if err := json.Unmarshal([]byte(out), &lines); err != nil {
		t.Fatal(err)
	}
	if len(lines) != len(settings.All()) {
		t.Errorf("%d settings are printed, %d are declared", len(lines), len(settings.All()))
	}
	for key, want := range map[string][2]string{
		"data_dir":   {"x", settings.FromFlag},
		"node_id":    {"from-environment", settings.FromEnvironment},
		"log_level":  {"debug", settings.FromFile},
		"http_addr":  {"127.0.0.1:18180", settings.FromDefault},
		"gossip_key": {"********", settings.FromFlag},
	} {
		if got := lines[key]; got.Value != want[0] || got.From != want[1] {
			t.Errorf("%s: %+v, want %v", key, got, want)
		}
	}
	// The YAML form is a settings file.
	text, _, err := command(t, args[:3]...)
	if err != nil || strings.Contains(text, secret) {
		t.Fatalf("%v\n%s", err, text)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if again, _, err := command(t, "config", "--config="+file); err != nil || !strings.Contains(again, "data_dir: x # file") {
		t.Errorf("what config prints is no settings file: %v\n%s", err, again)
	}
}
