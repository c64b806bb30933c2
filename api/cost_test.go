package api_test

import (
	"net/http"
	"testing"

	"github.com/zeebo/blake3"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/internal/costs"
)

// TestCostOfRequests holds what requests cost in the whole of the server: writes
// without the store behind it, reads with the index.
func TestCostOfRequests(t *testing.T) {
	writes, reads := measuredWrites(t), measured(t)
	nausea(reads)
	const page = 100
	var known *assertion.Assertion
	for i := range 2 * page {
		known = signed(claim(func(a *assertion.Assertion) {
			a.Predicate, a.Timestamp, a.SourceHash = "weight_loss", now-uint64(i), blake3.Sum256([]byte{byte(i)})
		}), "x")
		reads.put(known)
	}
	for _, c := range []struct {
		operation      string
		calls, each    int
		on             *fixture
		method, target string
		contentType    string
		body           []byte
		status         int
	}{
		{"POST /v1/assert", 100, 1, writes, http.MethodPost, "/v1/assert", v1.MediaJSON, []byte(text(t, signed(claim(), "x"))), http.StatusCreated},
		{"a claim of POST /v1/assert/batch of 100", 5, 100, writes, http.MethodPost, "/v1/assert/batch", v1.MediaNDJSON, batchOf(t, 100), http.StatusOK},
		{"GET /v1/assertions/{hash}", 100, 1, reads, http.MethodGet, "/v1/assertions/" + known.ContentHash().String(), "", nil, http.StatusOK},
		{"GET /v1/skeptic", 100, 1, reads, http.MethodGet, "/v1/skeptic?" + question, "", nil, http.StatusOK},
		{"GET /v1/query?lens=consensus", 100, 1, reads, http.MethodGet, "/v1/query?lens=consensus&" + question, "", nil, http.StatusOK},
		{"GET /v1/layered", 100, 1, reads, http.MethodGet, "/v1/layered?" + question, "", nil, http.StatusOK},
		{"a claim of GET /v1/query?limit=100", 5, page, reads, http.MethodGet, "/v1/query?subject=Semaglutide&predicate=weight_loss&limit=100", "", nil, http.StatusOK},
		{"GET /v1/health", 100, 1, reads, http.MethodGet, "/v1/health", "", nil, http.StatusOK},
	} {
		t.Run(c.operation, func(t *testing.T) {
			costs.HoldMemory(t, c.operation, c.calls, c.each, repeated(t, c.on, c.method, c.target, c.contentType, c.body, c.status))
		})
	}
}
