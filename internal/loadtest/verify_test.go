package loadtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

// fakeNode answers for claims of a corpus: of the hashes in odd it says what is
// given there instead.
func fakeNode(t *testing.T, c *corpus, claims int, odd map[assertion.Hash]func(http.ResponseWriter, *assertion.Assertion), asked *atomic.Int64) string {
	t.Helper()
	has := map[string]*assertion.Assertion{}
	for i := range claims {
		a, err := c.claim(uint64(i))
		if err != nil {
			t.Fatal(err)
		}
		has[a.ContentHash().String()] = a
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if q := r.URL.Query(); q.Get("consistency") != "local" || q.Get("min_index") != "77" {
			t.Errorf("asked with %s", r.URL.RawQuery)
		}
		a := has[strings.TrimPrefix(r.URL.Path, "/v1/assertions/")]
		if a == nil {
			problem(w, http.StatusNotFound, v1.CodeAssertionNotFound)
			return
		}
		if say := odd[a.ContentHash()]; say != nil {
			say(w, a)
			return
		}
		detail(t, w, a)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func problem(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"status":%d,"code":%q,"detail":"no"}`, status, code)
}

func detail(t *testing.T, w http.ResponseWriter, a *assertion.Assertion) {
	t.Helper()
	if err := json.NewEncoder(w).Encode(v1.AssertionDetail{Assertion: v1.Assertion{
		Hash: a.ContentHash(), Subject: a.Subject, Predicate: a.Predicate, Object: a.Object, SourceClass: a.SourceClass, SourceHash: a.SourceHash,
	}}); err != nil {
		t.Error(err)
	}
}

func TestVerificationFindsWhatIsLost(t *testing.T) {
	c, err := newCorpus(1, 16, false)
	if err != nil {
		t.Fatal(err)
	}
	hash := func(i uint64) assertion.Hash {
		a, err := c.claim(i)
		if err != nil {
			t.Fatal(err)
		}
		return a.ContentHash()
	}
	const claims = 100
	type say = func(http.ResponseWriter, *assertion.Assertion)
	missing := func(w http.ResponseWriter, _ *assertion.Assertion) {
		problem(w, http.StatusNotFound, v1.CodeAssertionNotFound)
	}
	refused := func(w http.ResponseWriter, _ *assertion.Assertion) {
		problem(w, http.StatusForbidden, v1.CodeForbidden)
	}
	changed := func(w http.ResponseWriter, a *assertion.Assertion) {
		other := *a
		other.Object = assertion.Text("something else")
		detail(t, w, &other)
	}
	for _, test := range []struct {
		name         string
		odd          map[assertion.Hash]say // of the second node
		everyNode    bool
		lost, unread uint64
		fault        string
	}{
		{"all there", nil, false, 0, 0, ""},
		{"all there on every node", nil, true, 0, 0, ""},
		{"one missing", map[assertion.Hash]say{hash(7): missing}, false, 1, 0, "LOST"},
		{"one that the other node is asked for", map[assertion.Hash]say{hash(8): missing}, false, 0, 0, ""},
		{"the same, every node asked", map[assertion.Hash]say{hash(8): missing}, true, 1, 0, "LOST"},
		{"another value", map[assertion.Hash]say{hash(7): missing, hash(9): refused}, false, 1, 1, ""},
		{"unreadable", map[assertion.Hash]say{hash(9): refused}, false, 0, 1, "read claim"},
		{"changed", map[assertion.Hash]say{hash(11): changed}, false, 1, 0, "something else"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var asked atomic.Int64
			o := Defaults()
			n, err := openNodes([]string{fakeNode(t, c, claims, nil, &asked), fakeNode(t, c, claims, test.odd, &asked)}, &o)
			if err != nil {
				t.Fatal(err)
			}
			defer n.close()
			var l ledger
			for i := range uint64(claims) {
				l.acknowledge(i)
			}
			v := n.verify(t.Context(), c, &l, 77, test.everyNode, &progress{})
			if v.Lost != test.lost || v.Unread != test.unread || v.Acknowledged != claims || !strings.Contains(v.FirstFault, test.fault) {
				t.Errorf("%+v", v)
			}
			reads := uint64(claims)
			if test.everyNode {
				reads *= 2
			}
			if v.Reads != reads || uint64(asked.Load()) != reads {
				t.Errorf("%d reads, the nodes saw %d; want %d", v.Reads, asked.Load(), reads)
			}
		})
	}
}
