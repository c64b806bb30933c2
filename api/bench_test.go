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

// measured is a Server that keeps no log.
func measured(t testing.TB) *fixture {
	t.Helper()
	return newFixture(t, func(c *api.Config) { c.Logger = slog.New(slog.NewJSONHandler(io.Discard, nil)) })
}

// measuredWrites is a Server whose writes are instant.
func measuredWrites(t testing.TB) *fixture {
	t.Helper()
	f := measured(t)
	f.server.Attach("n1", instant{})
	return f
}

// repeated is a request that can be sent again and again: each call sends it and
// expects a status.
func repeated(t testing.TB, f *fixture, method, target, contentType string, body []byte, status int) (send func()) {
	t.Helper()
	reader := bytes.NewReader(body)
	r := httptest.NewRequest(method, target, nil)
	r.Header.Set("Content-Type", contentType)
	return func() {
		reader.Reset(body)
		r.Body, r.ContentLength = io.NopCloser(reader), int64(len(body))
		w := sink{header: http.Header{}}
		f.server.ServeHTTP(&w, r)
		if w.status != status {
			t.Fatalf("status %d", w.status)
		}
	}
}

func run(b *testing.B, f *fixture, method, target, contentType string, body []byte, status int) {
	b.Helper()
	b.ReportAllocs()
	send := repeated(b, f, method, target, contentType, body, status)
	for b.Loop() {
		send()
	}
}

// batchOf is the body of a batch of different claims.
func batchOf(t testing.TB, claims int) []byte {
	t.Helper()
	lines := make([]string, claims)
	for i := range lines {
		lines[i] = text(t, signed(claim(func(a *assertion.Assertion) { a.Timestamp -= uint64(i) }), "x"))
	}
	return []byte(strings.Join(lines, "\n"))
}

// BenchmarkAssert is the whole of a write but the store. BenchmarkVerify is the
// part of it that the signature takes.
func BenchmarkAssert(b *testing.B) {
	f := measuredWrites(b)
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
	f := measuredWrites(b)
	const claims = 100
	run(b, f, http.MethodPost, "/v1/assert/batch", v1.MediaNDJSON, batchOf(b, claims), http.StatusOK)
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*claims), "µs/claim")
}

func BenchmarkSkeptic(b *testing.B) {
	f := measured(b)
	nausea(f)
	run(b, f, http.MethodGet, "/v1/skeptic?"+question, "", nil, http.StatusOK)
}

func BenchmarkQuery(b *testing.B) {
	f := measured(b)
	nausea(f)
	run(b, f, http.MethodGet, "/v1/query?"+question, "", nil, http.StatusOK)
}
