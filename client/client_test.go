package client

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server answers with what the test decides per request.
func server(t *testing.T, answer func(n int32, w http.ResponseWriter, r *http.Request)) (*httptest.Server, *atomic.Int32) {
	t.Helper()
	var n atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(n.Add(1), w, r) }))
	t.Cleanup(s.Close)
	return s, &n
}

func problem(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", v1.MediaProblem)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v1.Problem{Status: status, Code: code, Detail: "test"})
}

func created(w http.ResponseWriter, index string) {
	w.Header().Set(v1.HeaderIndex, index)
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(v1.AssertResponse{Status: v1.StatusCreated, Index: 7})
}

func TestStartAtChoosesTheFirstEndpoint(t *testing.T) {
	answers := func(_ int32, w http.ResponseWriter, _ *http.Request) { created(w, "7") }
	first, firstAsked := server(t, answers)
	second, secondAsked := server(t, answers)
	for start, want := range map[int][2]int32{0: {1, 0}, 1: {0, 1}, 3: {0, 1}, -1: {1, 0}} {
		firstAsked.Store(0)
		secondAsked.Store(0)
		c, err := New([]string{first.URL, second.URL}, StartAt(start))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.AssertJSON(t.Context(), []byte("{}")); err != nil {
			t.Fatal(err)
		}
		c.Close()
		if got := [2]int32{firstAsked.Load(), secondAsked.Load()}; got != want {
			t.Errorf("StartAt(%d): requests %v, want %v", start, got, want)
		}
	}
}

func newClient(t *testing.T, endpoints []string, options ...Option) *Client {
	t.Helper()
	c, err := New(endpoints, options...)
	if err != nil {
		t.Fatal(err)
	}
	c.pause = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	c.preferred.Store(0)
	t.Cleanup(c.Close)
	return c
}

func signed(t *testing.T) *assertion.Assertion {
	t.Helper()
	key, err := GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	a, err := NewClaim("s", "p", assertion.Number(1)).Source("src", assertion.Clinical).Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Verify(assertion.VerifyOptions{}); err != nil {
		t.Fatal(err)
	}
	return a
}

func TestBatchKeepsOrderOverSeveralRequests(t *testing.T) {
	s, n := server(t, func(_ int32, w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var out v1.BatchResponse
		for i, line := range strings.Split(strings.TrimSuffix(string(body), "\n"), "\n") {
			a, err := assertion.DecodeJSON([]byte(line))
			if err != nil {
				problem(w, 400, "invalid_json")
				return
			}
			h := a.ContentHash()
			out.Results = append(out.Results, v1.BatchResult{Line: i + 1, Hash: &h, Status: v1.StatusCreated})
		}
		_ = json.NewEncoder(w).Encode(out)
	})
	key, err := GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	var claims []*assertion.Assertion
	for i := range 1500 {
		a, err := NewClaim(fmt.Sprintf("s%d", i), "p", assertion.Number(float64(i))).Sign(key)
		if err != nil {
			t.Fatal(err)
		}
		claims = append(claims, a)
	}
	got, err := newClient(t, []string{s.URL}).AssertBatch(t.Context(), claims)
	if err != nil || len(got.Results) != 1500 || n.Load() != 2 {
		t.Fatalf("%d results in %d requests, %v", len(got.Results), n.Load(), err)
	}
	for i, r := range got.Results {
		if r.Line != i+1 || *r.Hash != claims[i].ContentHash() {
			t.Fatalf("result %d is %+v", i, r)
		}
	}
}

// TestBatchRefusalsAndFailures: a refused line is a result, a failed request an
// error beside the results before it.
func TestBatchRefusalsAndFailures(t *testing.T) {
	s, _ := server(t, func(n int32, w http.ResponseWriter, r *http.Request) {
		if n > 1 {
			problem(w, 413, v1.CodeBodyTooLarge)
			return
		}
		body, _ := io.ReadAll(r.Body)
		var out v1.BatchResponse
		for i := range strings.Count(string(body), "\n") {
			out.Results = append(out.Results, v1.BatchResult{Line: i + 1, Status: v1.StatusCreated})
		}
		out.Results[2] = v1.BatchResult{Line: 3, Status: v1.StatusRefused, Code: v1.CodeNotOwner}
		out.Index = 9
		_ = json.NewEncoder(w).Encode(out)
	})
	claim := signed(t)
	claims := make([]*assertion.Assertion, v1.MaxBatchClaims+1)
	for i := range claims {
		claims[i] = claim
	}
	c := newClient(t, []string{s.URL})
	got, err := c.AssertBatch(t.Context(), claims)
	if !errors.Is(err, Code(v1.CodeBodyTooLarge)) || !strings.Contains(err.Error(), "claims 1001 to 1001") {
		t.Errorf("got %v", err)
	}
	if len(got.Results) != v1.MaxBatchClaims || got.Results[2].Code != v1.CodeNotOwner || got.Index != 9 {
		t.Errorf("%d results, index %d", len(got.Results), got.Index)
	}
}

func TestChunksKeepTheLimits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.SampledFrom([]int{1, 1000, 64 << 10, v1.MaxBatchBytes - 1, v1.MaxBatchBytes + 5}), 1, 2100).Draw(t, "sizes")
		whole := make([]byte, v1.MaxBatchBytes+5)
		lines := make([][]byte, len(sizes))
		for i, n := range sizes {
			lines[i] = whole[:n]
		}
		for at := 0; at < len(lines); {
			end := chunk(lines, at)
			size := end - at // line ends
			for _, line := range lines[at:end] {
				size += len(line)
			}
			if end <= at || end-at > v1.MaxBatchClaims || size > v1.MaxBatchBytes && end-at > 1 {
				t.Fatalf("a chunk of %d lines and %d bytes", end-at, size)
			}
			if end < len(lines) && end-at < v1.MaxBatchClaims && size+len(lines[end])+1 <= v1.MaxBatchBytes {
				t.Fatalf("a chunk ends at %d, though the next line would fit", end)
			}
			at = end
		}
	})
}

func TestTooLargeAnswersAreRefused(t *testing.T) {
	s, _ := server(t, func(_ int32, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(maxAnswerBytes+1))
	})
	if _, err := newClient(t, []string{s.URL}).Query(t.Context(), Query{}); !errors.Is(err, errAnswerTooLarge) {
		t.Errorf("got %v", err)
	}
}

func TestReadYourWritesSendsTheIndex(t *testing.T) {
	var query atomic.Value
	s, _ := server(t, func(_ int32, w http.ResponseWriter, r *http.Request) {
		query.Store(r.URL.RawQuery)
		w.Header().Set(v1.HeaderIndex, "42")
		_ = json.NewEncoder(w).Encode(v1.QueryResponse{})
	})
	c := newClient(t, []string{s.URL}, ReadYourWrites())
	q := Query{Subject: "a b*", Limit: 5, Consistency: Consistency{Level: "bounded", MaxStale: 2 * time.Second}}
	for _, want := range []string{"consistency=bounded&limit=5&max_stale=2s&subject=a+b%2A", "consistency=bounded&limit=5&max_stale=2s&min_index=42&subject=a+b%2A"} {
		if _, err := c.Query(t.Context(), q); err != nil {
			t.Fatal(err)
		}
		if got := query.Load(); got != want {
			t.Errorf("query %q, want %q", got, want)
		}
	}
}

func TestAllFollowsCursors(t *testing.T) {
	s, _ := server(t, func(n int32, w http.ResponseWriter, r *http.Request) {
		one := v1.Assertion{Object: assertion.Number(1)}
		page := v1.QueryResponse{Assertions: []v1.Assertion{one, one}}
		if n < 3 {
			page.NextCursor = fmt.Sprint("c", n)
		}
		if want := fmt.Sprint("c", n-1); n > 1 && r.URL.Query().Get("cursor") != want {
			problem(w, 400, v1.CodeBadCursor)
			return
		}
		_ = json.NewEncoder(w).Encode(page)
	})
	count := 0
	for _, err := range newClient(t, []string{s.URL}).All(t.Context(), Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		count++
	}
	if count != 6 {
		t.Errorf("%d claims, want 6", count)
	}
}

func TestSomethingElseAtTheURLIsExplained(t *testing.T) {
	s, _ := server(t, func(_ int32, w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", 404) })
	_, err := newClient(t, []string{s.URL}).Get(t.Context(), assertion.Hash{}, Consistency{})
	if err == nil || !strings.Contains(err.Error(), "unexpected_answer") {
		t.Errorf("got %v", err)
	}
	for _, bad := range []string{"localhost:18180", "ftp://x", "", "http://me:secret@x", "http://x/?a=b", "http://x#y"} {
		if _, err := New([]string{bad}); err == nil {
			t.Errorf("endpoint %q was accepted", bad)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}

func TestTheBuilderReportsWhatIsWrong(t *testing.T) {
	var fault *assertion.Error
	if _, err := NewClaim("", "p", assertion.Number(1)).Build(); !errors.As(err, &fault) || fault.Code != assertion.CodeSubjectInvalid {
		t.Errorf("got %v", err)
	}
	if _, err := NewClaim("s", "p", assertion.Number(1)).Metadata(make(chan int)).Build(); err == nil {
		t.Error("metadata that is no JSON was accepted")
	}
}

func TestRootCAs(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { created(w, "7") }))
	defer s.Close()
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	roots, err := ReadRootCAs(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newClient(t, []string{s.URL}, WithRootCAs(roots)).Assert(t.Context(), signed(t)); err != nil {
		t.Errorf("with the authority: %v", err)
	}
	for name, options := range map[string][]Option{"of the system": nil, "none": {WithRootCAs(x509.NewCertPool())}} {
		if _, err := newClient(t, []string{s.URL}, append(options, WithAttempts(1))...).Assert(t.Context(), signed(t)); !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("authorities %s: %v", name, err)
		}
	}
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{empty, empty + "x"} {
		if _, err := ReadRootCAs(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// An export comes from a node that answers, as a stream; what a node refuses is
// an error at once.
func TestExport(t *testing.T) {
	down, _ := server(t, func(_ int32, w http.ResponseWriter, _ *http.Request) {
		problem(w, http.StatusServiceUnavailable, v1.CodeOverloaded)
	})
	up, _ := server(t, func(_ int32, w http.ResponseWriter, r *http.Request) {
		w.Header().Set(v1.HeaderIndex, "9")
		_, _ = io.WriteString(w, r.URL.Path+"?"+r.URL.Query().Encode())
	})
	c := newClient(t, []string{down.URL, up.URL})
	body, err := c.Export(t.Context(), ExportQuery{Subject: "a*", Since: 7, Consistency: Consistency{Level: "local"}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(body)
	if want := "/v1/export?consistency=local&since=7&subject=a%2A"; err != nil || string(got) != want || c.SeenIndex() != 9 {
		t.Errorf("%q, %v, index %d; want %q", got, err, c.SeenIndex(), want)
	}
	if err := body.Close(); err != nil {
		t.Error(err)
	}
	forbidden, _ := server(t, func(_ int32, w http.ResponseWriter, _ *http.Request) {
		problem(w, http.StatusForbidden, v1.CodeForbidden)
	})
	if _, err := newClient(t, []string{forbidden.URL}).Export(t.Context(), ExportQuery{}); !errors.Is(err, Code(v1.CodeForbidden)) {
		t.Errorf("%v", err)
	}
}

// A backup comes as a stream that says who sends it, and of which index it is.
func TestBackup(t *testing.T) {
	s, _ := server(t, func(_ int32, w http.ResponseWriter, r *http.Request) {
		w.Header().Set(v1.HeaderIndex, "9")
		w.Header().Set(v1.HeaderBackupSize, "1234")
		_, _ = io.WriteString(w, r.URL.Path+"?"+r.URL.Query().Encode())
	})
	c := newClient(t, []string{s.URL})
	b, err := c.Backup(t.Context(), BackupOptions{LogOnly: true, After: 7, AfterTerm: 2})
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(b)
	if want := "/v1/cluster/backup?after=7&after_term=2&kind=log"; err != nil || string(got) != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	if b.Endpoint != s.URL || b.Index != 9 || b.Size != 1234 || c.SeenIndex() != 9 {
		t.Errorf("%+v, and the client has seen index %d", b, c.SeenIndex())
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

// The trace of the caller goes with every request; none is made up.
func TestTheTraceOfTheCallerGoesOn(t *testing.T) {
	var got atomic.Value
	s, _ := server(t, func(_ int32, w http.ResponseWriter, r *http.Request) {
		got.Store(r.Header.Get("traceparent"))
		created(w, "7")
	})
	c := newClient(t, []string{s.URL})
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
	for ctx, want := range map[context.Context]string{
		t.Context(): "",
		trace.ContextWithSpanContext(t.Context(), span): "00-01000000000000000000000000000000-0200000000000000-01",
	} {
		if _, err := c.Assert(ctx, signed(t)); err != nil {
			t.Fatal(err)
		}
		if got.Load() != want {
			t.Errorf("the node was sent the traceparent %q, want %q", got.Load(), want)
		}
	}
}
