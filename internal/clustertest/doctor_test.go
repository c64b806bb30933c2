package clustertest

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

// stemectl runs the admin tool against all nodes of a cluster, as root.
func stemectl(c *Cluster, args ...string) (output string, exit int) {
	c.t.Helper()
	var flags []string
	for _, n := range c.Nodes {
		flags = append(flags, "--url", n.URL)
	}
	cmd := exec.CommandContext(c.t.Context(), Binary(c.t, "stemectl"), append(args, flags...)...)
	cmd.Env = append(os.Environ(), "STEMEDB_API_KEY="+c.rootKey)
	out, err := cmd.CombinedOutput()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		c.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func TestDoctorAndSupportBundle(t *testing.T) {
	const gossipKey = "6b1f0c2d3e4f5a6978695a4b3c2d1e0f"
	c := Start(t, Options{Settings: map[string]string{"auth-enabled": "true", "root-api-key": rootSecret, "gossip-key": gossipKey}})
	root := as(t, rootSecret, c.Nodes[0])
	c.WaitFor("the root key is there", func() bool { _, err := root.APIKeys(t.Context()); return err == nil })
	made := c.newKey(root, v1.KeyRequest{Role: assertion.RoleWrite})
	for _, n := range c.Nodes {
		c.WaitFor(n.Name+" knows the root key", func() bool { _, err := as(t, rootSecret, n).APIKeys(t.Context()); return err == nil })
	}
	c.Write(0, 20)
	c.WaitFor("doctor finds nothing that fails", func() bool { _, exit := stemectl(c, "doctor"); return exit == 0 })
	output, exit := stemectl(c, "doctor")
	for _, check := range []string{"quorum", "leader", "digest", "lag", "clocks", "versions", "ports", "disk", "authentication", "3 of 3 voters"} {
		if !strings.Contains(output, check) {
			t.Errorf("doctor says nothing of %s (exit code %d): %s", check, exit, output)
		}
	}

	file := filepath.Join(t.TempDir(), "bundle.tar.gz")
	if output, exit := stemectl(c, "debug", "dump", "--file", file); exit != 0 {
		t.Fatalf("debug dump: exit code %d, %s", exit, output)
	}
	files := unpack(t, file)
	for _, name := range []string{"doctor.json", "autopilot.json", "stemectl.json"} {
		if files[name] == "" || strings.Contains(files[name], `"error":`) {
			t.Errorf("%s: %s", name, files[name])
		}
	}
	seed, err := os.ReadFile(filepath.Join(c.Nodes[0].DataDir, "node.key"))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range c.Nodes {
		for name, want := range map[string]string{"status.json": `"commit_index"`, "metrics.txt": "stemedb_raft_term", "settings.json": `"gossip-key"`} {
			if content := files[n.Name+"/"+name]; !strings.Contains(content, want) {
				t.Errorf("%s of %s lacks %s: %.300s", name, n.Name, want, content)
			}
		}
	}
	for name, content := range files {
		for what, secret := range map[string]string{"root key": rootSecret, "gossip key": gossipKey, "API key": made.Secret, "node key": strings.TrimSpace(string(seed))} {
			if strings.Contains(content, secret) {
				t.Errorf("%s holds the %s", name, what)
			}
		}
	}
	if output, exit := stemectl(c, "debug", "dump", "--file", file); exit == 0 {
		t.Errorf("an existing bundle was overwritten: %s", output)
	}

	for _, n := range c.Followers() {
		c.Kill(n)
	}
	output, exit = stemectl(c, "doctor")
	if exit != 7 || !strings.Contains(output, "fail") {
		t.Errorf("doctor without a quorum: exit code %d, %s", exit, output)
	}
}

// unpack reads a bundle.
func unpack(t *testing.T, file string) map[string]string {
	t.Helper()
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	packed, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for r := tar.NewReader(packed); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[header.Name] = string(content)
	}
}
