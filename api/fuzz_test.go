package api_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

// Whatever is posted, the answer is a success or a complete problem with a code
// of the input, never of the server; and what is refused leaves no trace.
func FuzzAssert(f *testing.F) {
	for _, body := range []string{
		"", "{}", "[]", "null", `{"subject":1}`, `{"subject":"a","subject":"b"}`, "{\"subject\":\"\\ud800\"}",
		text(f, signed(claim(), "x")), text(f, claim(func(a *assertion.Assertion) { a.Signatures = []assertion.Signature{} })),
		text(f, signed(claim(func(a *assertion.Assertion) { a.Object, a.Vector = assertion.Text("t"), []float32{1} }), "x", "y")),
		`{"subject":"a","predicate":"b","object":{"Number":NaN},"confidence":1e999,"source_hash":"","timestamp":-1}`,
	} {
		f.Add([]byte(body), false)
		f.Add([]byte(body), true)
	}
	fixture := newFixture(f)
	f.Fuzz(func(t *testing.T, body []byte, batch bool) {
		fixture.t = t
		fixture.log.Reset()
		before, digest := fixture.store.state()
		if batch {
			w := fixture.do(http.MethodPost, "/v1/assert/batch", string(body), jsonType)
			if w.Code >= 500 {
				t.Fatalf("status %d: %s", w.Code, w.Body)
			}
			return
		}
		w := fixture.assert(string(body))
		switch {
		case w.Code == http.StatusCreated || w.Code == http.StatusOK:
			read[v1.AssertResponse](t, w, w.Code)
			return
		case w.Code >= 500:
			t.Fatalf("status %d: %s", w.Code, w.Body)
		}
		var p v1.Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		refused(t, w, w.Code, p.Code)
		if after, d := fixture.store.state(); after != before || d != digest {
			t.Fatal("a refused claim changed the state")
		}
	})
}
