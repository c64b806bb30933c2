package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
	"github.com/stemedb/stemedb/cmd/pharma-ingest/corpus"
	"github.com/stemedb/stemedb/internal/exitcode"
)

// cluster is a fake node: it verifies claims and keeps their signers by the
// rules of the API.
type cluster struct {
	mu      sync.Mutex
	signers map[assertion.Hash][]assertion.AgentID
	apiKeys []string
	refuse  string // predicate whose claims are refused
	status  int    // if set, every request fails with it
}

func (c *cluster) start(t *testing.T) string {
	t.Helper()
	c.signers = map[assertion.Hash][]assertion.AgentID{}
	s := httptest.NewServer(c)
	t.Cleanup(s.Close)
	return s.URL
}

func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.apiKeys = append(c.apiKeys, r.Header.Get("X-API-Key"))
	if c.status != 0 || r.Method != http.MethodPost || r.URL.Path != "/v1/assert/batch" {
		w.WriteHeader(max(c.status, http.StatusNotFound))
		_ = json.NewEncoder(w).Encode(v1.Problem{Status: c.status, Code: "test", Detail: "as the test wants it"})
		return
	}
	answer := v1.BatchResponse{Index: 1}
	lines := bufio.NewScanner(r.Body)
	lines.Buffer(nil, assertion.MaxJSONBytes)
	for lines.Scan() {
		result := c.assert(lines.Bytes())
		result.Line = len(answer.Results) + 1
		answer.Results = append(answer.Results, result)
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (c *cluster) assert(body []byte) v1.BatchResult {
	a, err := assertion.DecodeJSON(body)
	if err == nil {
		err = errors.Join(a.Validate(), a.Verify(assertion.VerifyOptions{}))
	}
	if err != nil {
		return v1.BatchResult{Status: v1.StatusRefused, Code: "test_invalid", Detail: err.Error()}
	}
	h, agent := a.ContentHash(), a.Signatures[0].AgentID
	status := v1.StatusCreated
	switch known := c.signers[h]; {
	case a.Predicate == c.refuse:
		return v1.BatchResult{Hash: &h, Status: v1.StatusRefused, Code: "test_refused", Detail: "not this one"}
	case slices.Contains(known, agent):
		return v1.BatchResult{Hash: &h, Status: v1.StatusExists}
	case len(known) > 0:
		status = v1.StatusCosigned
	}
	c.signers[h] = append(c.signers[h], agent)
	return v1.BatchResult{Hash: &h, Status: status}
}

// run is one run of the command, in an environment of its own.
func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := rootCommand()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func runJSON(t *testing.T, args ...string) (report, error) {
	t.Helper()
	out, err := run(t, append(args, "--format", "json")...)
	var r report
	if out != "" {
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatalf("the report is no JSON: %v\n%s", err, out)
		}
	}
	return r, err
}

func corpusSize(t *testing.T, withConflicts bool) int {
	t.Helper()
	entries, err := corpus.Load(withConflicts)
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestSecondRunAddsNothing(t *testing.T) {
	fake := &cluster{}
	args := []string{"--api-url", fake.start(t), "--keyring", filepath.Join(t.TempDir(), "keys"), "--with-conflicts"}
	all := corpusSize(t, true)

	first, err := runJSON(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	if first.Summary.Created != all || first.Summary.Claims != all {
		t.Errorf("first run: %+v, want %d created", first.Summary, all)
	}
	second, err := runJSON(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	if second.Summary.Exists != all || second.Summary.Claims != all {
		t.Errorf("second run: %+v, want %d that exist", second.Summary, all)
	}
	if len(fake.signers) != all {
		t.Errorf("%d claims are stored, want %d", len(fake.signers), all)
	}
	for i, l := range second.Claims {
		if l.Hash != first.Claims[i].Hash {
			t.Errorf("claim %d has another hash at the second run", i)
		}
	}
}

func TestConflictsComeOnRequestOnly(t *testing.T) {
	fake := &cluster{}
	args := []string{"--api-url", fake.start(t), "--keyring", t.TempDir()}
	base, all := corpusSize(t, false), corpusSize(t, true)
	r, err := runJSON(t, args...)
	if err != nil || r.Summary.Created != base || r.Summary.Conflicts != 0 {
		t.Fatalf("without conflicts: %+v, %v; want %d created", r.Summary, err, base)
	}
	r, err = runJSON(t, append(args, "--with-conflicts")...)
	if err != nil || r.Summary.Created != all-base || r.Summary.Conflicts != all-base || r.Summary.Exists != base {
		t.Fatalf("with conflicts: %+v, %v; want %d created, %d that exist", r.Summary, err, all-base, base)
	}
}

func TestOneKeyForEachOrganisation(t *testing.T) {
	fake := &cluster{}
	r, err := runJSON(t, "--api-url", fake.start(t), "--keyring", t.TempDir(), "--with-conflicts")
	if err != nil {
		t.Fatal(err)
	}
	agents, organisations := map[string]assertion.AgentID{}, map[assertion.AgentID]string{}
	for _, l := range r.Claims {
		agent := fake.signers[l.Hash][0]
		if known, ok := agents[l.Organisation]; ok && known != agent {
			t.Errorf("%s signs with two keys", l.Organisation)
		}
		if known, ok := organisations[agent]; ok && known != l.Organisation {
			t.Errorf("%s and %s sign with one key", l.Organisation, known)
		}
		agents[l.Organisation], organisations[agent] = agent, l.Organisation
	}
	if len(agents) < 8 {
		t.Errorf("%d organisations sign, want at least 8", len(agents))
	}
}

func TestAnotherKeyringCosigns(t *testing.T) {
	fake := &cluster{}
	url := fake.start(t)
	if _, err := run(t, "--api-url", url, "--keyring", t.TempDir()); err != nil {
		t.Fatal(err)
	}
	r, err := runJSON(t, "--api-url", url, "--keyring", t.TempDir())
	if err != nil || r.Summary.Cosigned != corpusSize(t, false) {
		t.Fatalf("%+v, %v; want every claim cosigned", r.Summary, err)
	}
}

func TestAPIKey(t *testing.T) {
	for name, c := range map[string]struct {
		variable string
		args     []string
		want     string
	}{
		"none":     {"", nil, ""},
		"variable": {"from-variable", nil, "from-variable"},
		"flag":     {"from-variable", []string{"--api-key", "from-flag"}, "from-flag"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(apiKeyVar, c.variable)
			fake := &cluster{}
			if _, err := run(t, append(c.args, "--api-url", fake.start(t), "--keyring", t.TempDir())...); err != nil {
				t.Fatal(err)
			}
			if len(fake.apiKeys) != 1 || fake.apiKeys[0] != c.want {
				t.Errorf("X-API-Key in the requests: %q, want one %q", fake.apiKeys, c.want)
			}
		})
	}
}

func TestSecondURLIsTriedWhenTheFirstIsDown(t *testing.T) {
	down := httptest.NewServer(http.NotFoundHandler())
	down.Close()
	fake := &cluster{}
	r, err := runJSON(t, "--api-url", down.URL, "--api-url", fake.start(t), "--keyring", t.TempDir())
	if err != nil || r.Summary.Created != corpusSize(t, false) {
		t.Fatalf("%+v, %v", r.Summary, err)
	}
}

func TestDefaultKeyring(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(home, "config"))
	t.Setenv("AppData", filepath.Join(home, "config"))
	base, err := os.UserConfigDir()
	if err != nil {
		t.Fatal(err)
	}
	fake := &cluster{}
	if _, err := run(t, "--api-url", fake.start(t)); err != nil {
		t.Fatal(err)
	}
	keys, err := os.ReadDir(filepath.Join(base, "stemedb", "pharma-keyring"))
	if err != nil || len(keys) == 0 {
		t.Errorf("keys in the default keyring: %d, %v", len(keys), err)
	}
}

func TestDryRun(t *testing.T) {
	fake := &cluster{}
	url := fake.start(t)
	keyring := filepath.Join(t.TempDir(), "keys")
	args := []string{"--dry-run", "--with-conflicts", "--api-url", url, "--keyring", keyring}
	all := corpusSize(t, true)

	table, err := run(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"STATUS", "nausea_rate", "10.1056/NEJMoa2032183", "Regulatory", fmt.Sprintf("%d planned, nothing sent", all)} {
		if !strings.Contains(table, want) {
			t.Errorf("the table lacks %q:\n%s", want, table)
		}
	}
	if n := strings.Count(table, "\nplanned "); n != all {
		t.Errorf("%d rows, want %d", n, all)
	}

	r, err := runJSON(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	if r.Summary.Planned != all || len(r.Claims) != all {
		t.Errorf("%+v with %d claims, want %d planned", r.Summary, len(r.Claims), all)
	}
	for _, l := range r.Claims {
		if l.Status != statusPlanned || l.Hash.IsZero() || l.Citation.URL == "" {
			t.Errorf("incomplete line: %+v", l)
		}
	}

	if len(fake.apiKeys) != 0 {
		t.Errorf("a dry run sent %d requests", len(fake.apiKeys))
	}
	if _, err := os.Stat(keyring); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a dry run made the keyring: %v", err)
	}
}

func TestRefusedClaims(t *testing.T) {
	fake := &cluster{refuse: "approval_date"}
	url, keyring := fake.start(t), t.TempDir()
	r, err := runJSON(t, "--api-url", url, "--keyring", keyring)
	if exitCode(err) != exitRefused {
		t.Errorf("%v ends with %d, want %d", err, exitCode(err), exitRefused)
	}
	if r.Summary.Refused == 0 || r.Summary.Refused+r.Summary.Created != corpusSize(t, false) {
		t.Errorf("%+v: want some refused, the rest created", r.Summary)
	}
	table, _ := run(t, "--api-url", url, "--keyring", keyring)
	if !strings.Contains(table, "test_refused: not this one") {
		t.Errorf("the table does not say why a claim was refused:\n%s", table)
	}
}

func TestUsageErrors(t *testing.T) {
	keyring := filepath.Join(t.TempDir(), "keys")
	for name, args := range map[string][]string{
		"format":       {"--format", "xml"},
		"url":          {"--api-url", "localhost:18180"},
		"unknown flag": {"--nothing"},
		"argument":     {"semaglutide"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := run(t, append(args, "--keyring", keyring)...)
			if err == nil || exitCode(err) != exitUsage || out != "" {
				t.Errorf("%v ends with %d and prints %q, want an error with %d", err, exitCode(err), out, exitUsage)
			}
		})
	}
	if _, err := os.Stat(keyring); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a wrong command line made the keyring: %v", err)
	}
}

func TestWholeRequestRefused(t *testing.T) {
	fake := &cluster{status: http.StatusRequestEntityTooLarge}
	out, err := run(t, "--api-url", fake.start(t), "--keyring", t.TempDir())
	if exitCode(err) != exitError || out != "" {
		t.Errorf("%v ends with %d and prints %q, want %d and no report", err, exitCode(err), out, exitError)
	}
}

func TestUnusableKeyring(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, "--keyring", file); exitCode(err) != exitError {
		t.Errorf("%v ends with %d, want %d", err, exitCode(err), exitError)
	}
}

func TestExitCodes(t *testing.T) {
	answer := func(status int) error {
		return fmt.Errorf("claims 1 to 9: %w", &client.Error{Problem: v1.Problem{Status: status, Code: "test"}})
	}
	for name, c := range map[string]struct {
		err  error
		want int
	}{
		"no connection":     {fmt.Errorf("%w from http://x: connection refused", client.ErrUnreachable), exitUnavailable},
		"no leader":         {answer(http.StatusServiceUnavailable), exitUnavailable},
		"bad gateway":       {answer(http.StatusBadGateway), exitUnavailable},
		"gateway timeout":   {answer(http.StatusGatewayTimeout), exitUnavailable},
		"forbidden":         {answer(http.StatusForbidden), exitError},
		"interrupted":       {fmt.Errorf("%w from http://x: %w", client.ErrUnreachable, context.Canceled), exitError},
		"refused":           {&exitcode.Error{Code: exitRefused, Err: errors.New("3 of 9")}, exitRefused},
		"refused and write": {errors.Join(&exitcode.Error{Code: exitRefused, Err: errors.New("3 of 9")}, errors.New("disk full")), exitRefused},
	} {
		t.Run(name, func(t *testing.T) {
			if got := exitCode(asCoded(c.err)); got != c.want {
				t.Errorf("%v ends with %d, want %d", c.err, got, c.want)
			}
		})
	}
	if err := asCoded(nil); err != nil {
		t.Errorf("no error became %v", err)
	}
}
