package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stemedb/stemedb/api"
	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/auth"
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

// Whatever arrives as a request, the answer is what the route promises or a
// complete problem of the client's making: no panic, no code internal, no secret
// of anybody else, and a request that only asks changes nothing.
func FuzzHTTP(f *testing.F) {
	open := newFixture(f, origins("*"))
	closed := newFixture(f, func(c *api.Config) { c.Auth.Enabled = true })
	closed.record(&assertion.APIKey{ID: auth.RootID, Revision: 1, Role: assertion.RoleAdmin, Secret: auth.HashSecret(rootSecret)})
	for _, fixture := range []*fixture{open, closed} {
		fixture.record(signed(claim(), "x", "y"), signed(claim(func(a *assertion.Assertion) { a.Object = assertion.Text("none") }), "z"))
	}
	hash := claim().ContentHash().String()
	names := strings.NewReplacer("{hash}", hash, "{agent}", strings.Repeat("0", 64), "{id}", auth.RootID, "{path}", "Semaglutide")
	question := "?subject=Semaglutide&predicate=nausea_rate"
	for _, r := range open.server.Routes() {
		target := names.Replace(r.Path)
		f.Add(r.Method, target, "", []byte(nil), true)
		f.Add(r.Method, target+question+"&limit=2&cursor=x&consistency=local&lens=consensus(0.1)", "X-Agent-Id: 00", []byte("{}"), false)
		f.Add(r.Method, target+question+"&as_of=1&known_at=1&min_index=0&aliases=false", "X-API-Key: "+rootSecret+"\r\nContent-Type: application/json", []byte("{}"), true)
	}
	for _, lens := range []string{"recency", "truth", "skeptic", "epoch:x,authority", "votes(1)"} {
		f.Add("GET", "/v1/query"+question+"&tolerance=1%25&receipt=true&lens="+lens, "", []byte(nil), false)
	}
	for _, target := range []string{"*", "/", "//", "/%00", "/v1/assertions/%2e%2e", "/v1/query?subject=%ff&%zz", "/v1/concepts/a/b//c?x", "/v1/feed?after=18446744073709551615", "http://a:b@c/v1/query"} {
		f.Add("OPTIONS", target, "Origin: null\r\nAccess-Control-Request-Method: X", []byte(nil), false)
		f.Add("GET", target, "Last-Event-ID: -1\r\nX-Request-Id: \x01", []byte{0xff}, true)
	}
	body := text(f, signed(claim(), "x"))
	f.Add("POST", "/v1/assert", "Content-Type: application/json; charset=utf-8", []byte(body), false)
	f.Add("POST", "/v1/assert/batch", "Content-Type: application/x-ndjson", []byte(body+"\n{}\n\n["), false)
	f.Fuzz(func(t *testing.T, method, target, headers string, body []byte, guarded bool) {
		fixture := open
		if guarded {
			fixture = closed
		}
		fixture.t = t
		fixture.log.Reset()
		raw := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n%s\r\n\r\n%s", method, target, len(body), headers, body)
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil {
			return // net/http answers this by itself
		}
		wait := 5 * time.Second
		if strings.Contains(r.URL.Path, "watch") {
			wait = 10 * time.Millisecond // it would not end by itself
		}
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		defer cancel()
		before, digest := fixture.store.state()
		w := httptest.NewRecorder()
		fixture.server.ServeHTTP(w, r.WithContext(ctx))
		if w.Code == http.StatusInternalServerError || strings.Contains(fixture.log.String(), `"request failed"`) {
			t.Fatalf("%s %s: status %d: %s\n%s", method, target, w.Code, w.Body, fixture.log)
		}
		if w.Code >= 400 {
			p := read[v1.Problem](t, w, w.Code)
			refused(t, w, w.Code, p.Code)
		}
		if presented := r.Header.Get("X-API-Key") + r.Header.Get("Authorization"); guarded && !strings.Contains(presented, rootSecret) && strings.Contains(w.Body.String(), rootSecret) {
			t.Fatal("the answer shows a secret")
		}
		if method != http.MethodPost {
			if after, d := fixture.store.state(); after != before || d != digest {
				t.Fatalf("%s %s changed the state", method, target)
			}
		}
	})
}
