package clustertest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/internal/localcluster"
)

// TestOneNodeWithADataDirAndNothingElse is the first command of a new user:
// STEMEDB_DATA_DIR=X stemedb serve, on the default ports.
func TestOneNodeWithADataDirAndNothingElse(t *testing.T) {
	if testing.Short() {
		t.Skip("whole clusters are not run with -short")
	}
	const base, url = 18180, "http://127.0.0.1:18180"
	if err := localcluster.PortsFree(base); err != nil {
		t.Skipf("the default ports are taken on this machine: %v", err)
	}
	server, ingest := Binary(t, "stemedb"), Binary(t, "pharma-ingest")
	data, keys := t.TempDir(), filepath.Join(t.TempDir(), "keys")
	kill := serveAlone(t, server, data, url)

	run := func() string {
		out, err := exec.CommandContext(t.Context(), ingest, "--with-conflicts", "--keyring="+keys, "--api-url="+url).CombinedOutput()
		if err != nil {
			t.Fatalf("pharma-ingest: %v\n%s", err, out)
		}
		return string(out)
	}
	run()
	var health v1.Health
	get(t, url+"/v1/health", &health)
	if health.AssertionsCount == 0 {
		t.Fatal("pharma-ingest has stored nothing")
	}
	var query v1.QueryResponse
	get(t, url+"/v1/query?subject=Semaglutide", &query)
	if len(query.Assertions) == 0 {
		t.Error("no claims about Semaglutide")
	}
	var skeptic v1.SkepticResponse
	get(t, url+"/v1/skeptic?subject=Semaglutide&predicate=nausea_rate", &skeptic)
	if skeptic.ConflictScore <= 0 || len(skeptic.Claims) < 2 || skeptic.Claims[0].Share <= 0 || skeptic.Claims[0].Voices == 0 {
		t.Errorf("the nausea rate is not contested: %+v", skeptic)
	}

	kill()
	serveAlone(t, server, data, url)
	get(t, url+"/v1/query?subject=Semaglutide", &query) // linearizable: when it answers, the log is replayed
	var again v1.Health
	get(t, url+"/v1/health", &again)
	if again.AssertionsCount != health.AssertionsCount {
		t.Errorf("%d claims before kill -9, %d after", health.AssertionsCount, again.AssertionsCount)
	}
	out := run()
	get(t, url+"/v1/health", &again)
	if again.AssertionsCount != health.AssertionsCount {
		t.Errorf("a second ingestion made %d claims of %d:\n%s", again.AssertionsCount, health.AssertionsCount, out)
	}
}

// serveAlone runs the server with nothing but a data directory, waits until it
// is ready, and returns what kills it.
func serveAlone(t *testing.T, server, data, url string) (kill func()) {
	t.Helper()
	cmd := exec.Command(server, "serve")
	cmd.Env = append(localcluster.CleanEnv(), "STEMEDB_DATA_DIR="+data)
	output, err := os.CreateTemp(t.TempDir(), "log")
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	cmd.Stderr = output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	kill = func() {
		if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
		<-ended
	}
	t.Cleanup(kill)
	deadline := time.Now().Add(patience)
	for !answers(t.Context(), url+"/readyz") {
		select {
		case <-ended:
			text, _ := os.ReadFile(output.Name())
			t.Fatalf("the server ended: %v\n%s", cmd.ProcessState, text)
		case <-time.After(pause):
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server was not ready within %v", patience)
		}
	}
	return kill
}

func answers(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// get reads a JSON answer as curl would.
func get(t *testing.T, url string, out any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v\n%s", url, resp.Status, err, body)
	}
	if err := json.Unmarshal(body, out); err != nil {
		t.Fatalf("GET %s: %v\n%s", url, err, body)
	}
}
