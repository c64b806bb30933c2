package api_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stemedb/stemedb/api"
	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

// instant is a Store whose writes cost nothing, so that a benchmark measures
// the API alone.
type instant struct{ *store }

func (instant) Write(_ context.Context, _ api.Caller, entries []assertion.Entry) (api.WriteResult, error) {
	results := make([]api.EntryResult, len(entries))
	for i := range results {
		results[i].Outcome = api.Created
	}
	return api.WriteResult{Index: 1, Results: results}, nil
}

// sink is a ResponseWriter that keeps nothing.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) Write(b []byte) (int, error) { return len(b), nil }

func benchmarked(b *testing.B) *fixture {
	f := newFixture(b, func(c *api.Config) { c.Logger = slog.New(slog.NewJSONHandler(io.Discard, nil)) })
	f.server.Attach("n1", instant{})
	return f
}

func run(b *testing.B, f *fixture, method, target, contentType string, body []byte, status int) {
	b.Helper()
	b.ReportAllocs()
	reader := bytes.NewReader(body)
	r := httptest.NewRequest(method, target, nil)
	r.Header.Set("Content-Type", contentType)
	for b.Loop() {
		reader.Reset(body)
		r.Body, r.ContentLength = io.NopCloser(reader), int64(len(body))
		w := sink{header: http.Header{}}
		f.server.ServeHTTP(&w, r)
		if w.status != status {
			b.Fatalf("status %d", w.status)
		}
	}
}

// BenchmarkAssert is the whole of a write but the store. BenchmarkVerify is the
// part of it that the signature takes.
func BenchmarkAssert(b *testing.B) {
	f := benchmarked(b)
	run(b, f, http.MethodPost, "/v1/assert", v1.MediaJSON, []byte(text(b, signed(claim(), "x"))), http.StatusCreated)
}

func BenchmarkVerify(b *testing.B) {
	a := signed(claim(), "x")
	b.ReportAllocs()
	for b.Loop() {
		if err := a.Verify(assertion.VerifyOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAssertBatch reports the time of one claim of a batch of 100.
func BenchmarkAssertBatch(b *testing.B) {
	f := benchmarked(b)
	lines := make([]string, 100)
	for i := range lines {
		lines[i] = text(b, signed(claim(func(a *assertion.Assertion) { a.Timestamp -= uint64(i) }), "x"))
	}
	run(b, f, http.MethodPost, "/v1/assert/batch", v1.MediaNDJSON, []byte(strings.Join(lines, "\n")), http.StatusOK)
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*len(lines)), "µs/claim")
}

func BenchmarkSkeptic(b *testing.B) {
	f := newFixture(b, func(c *api.Config) { c.Logger = slog.New(slog.NewJSONHandler(io.Discard, nil)) })
	nausea(f)
	run(b, f, http.MethodGet, "/v1/skeptic?"+question, "", nil, http.StatusOK)
}

func BenchmarkQuery(b *testing.B) {
	f := newFixture(b, func(c *api.Config) { c.Logger = slog.New(slog.NewJSONHandler(io.Discard, nil)) })
	nausea(f)
	run(b, f, http.MethodGet, "/v1/query?"+question, "", nil, http.StatusOK)
}
