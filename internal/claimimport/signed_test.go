package claimimport

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/stemedb/stemedb/api/export"
	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
)

// cluster is a Taker that remembers what it took, in order.
type cluster struct {
	client.Client
	mu       sync.Mutex
	took     []string       // every new record
	seen     map[string]int // how often it was sent
	requests int
	failAt   int            // request that fails, from 1
	refuses  map[string]int // HTTP status by what the record begins with
	review   string         // of every claim
}

func newCluster() *cluster { return &cluster{seen: map[string]int{}, refuses: map[string]int{}} }

func (c *cluster) request() error {
	c.requests++
	if c.requests == c.failAt {
		return &client.Error{Problem: v1.Problem{Status: http.StatusServiceUnavailable, Code: v1.CodeNoLeader}}
	}
	return nil
}

func (c *cluster) take(record string) (*v1.AssertResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.request(); err != nil {
		return nil, err
	}
	for begin, status := range c.refuses {
		if strings.HasPrefix(record, begin) {
			return nil, &client.Error{Problem: v1.Problem{Status: status, Code: v1.CodeForbidden}}
		}
	}
	return &v1.AssertResponse{Status: c.note(record)}, nil
}

func (c *cluster) note(record string) v1.Status {
	if c.seen[record]++; c.seen[record] > 1 {
		return v1.StatusExists
	}
	c.took = append(c.took, record)
	return v1.StatusCreated
}

func (c *cluster) AssertBatch(_ context.Context, claims []*assertion.Assertion) (*v1.BatchResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.request(); err != nil {
		return nil, err
	}
	out := &v1.BatchResponse{}
	for _, a := range claims {
		h := a.ContentHash()
		out.Results = append(out.Results, v1.BatchResult{Hash: &h, Status: c.note("claim " + a.Subject + a.Signatures[0].AgentID.String())})
	}
	return out, nil
}

func (c *cluster) Vote(_ context.Context, v *assertion.Vote) (*v1.AssertResponse, error) {
	return c.take(fmt.Sprint("vote ", v.AssertionHash, " ", v.Timestamp))
}

func (c *cluster) SetAlias(_ context.Context, a *assertion.Alias) (*v1.AssertResponse, error) {
	return c.take("alias " + a.Name)
}

func (c *cluster) Get(context.Context, assertion.Hash, client.Consistency) (*v1.AssertionDetail, error) {
	return &v1.AssertionDetail{Assertion: v1.Assertion{Review: c.review}}, nil
}

func (c *cluster) ApproveClaim(_ context.Context, h assertion.Hash, _ string) (*v1.DecisionResponse, error) {
	answer, err := c.take(fmt.Sprint("approval ", h))
	if err != nil {
		return nil, err
	}
	return &v1.DecisionResponse{Status: answer.Status}, nil
}

// exported is an export of an alias, claims each with a later signer, two votes
// on each, and the approval of the last; and the records of it that a cluster
// takes.
func exported(t rapid.TB, claims int) (file []byte, want []string) {
	t.Helper()
	var out bytes.Buffer
	w, err := export.NewWriter(&out, export.Header{ClusterID: "c"})
	if err != nil {
		t.Fatal(err)
	}
	key := func(n byte) ed25519.PrivateKey {
		return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
	}
	place := assertion.Position{}
	add := func(e assertion.Event, record string) {
		place.Index++
		e.Commit.Position = place
		if e.Claim == nil {
			e.Kind = e.Entry.Kind()
		}
		if err := w.Add(&e); err != nil {
			t.Fatal(err)
		}
		want = append(want, record)
	}
	add(assertion.Event{Entry: &assertion.Alias{Name: "a", Canonical: "b"}}, "alias a")
	var hashes []assertion.Hash
	for i := range claims {
		a := assertion.Assertion{Subject: fmt.Sprint("s", i), Predicate: "p", Object: assertion.Boolean(true), Timestamp: 1}
		by := a
		a.Sign(key(1), 1)
		by.Sign(key(2), 1)
		hashes = append(hashes, a.ContentHash())
		add(assertion.Event{Kind: assertion.KindAssertion, Claim: &assertion.Claim{Assertion: a}}, "claim "+a.Subject+assertion.AgentOf(key(1)).String())
		add(assertion.Event{Entry: &assertion.Cosignature{Assertion: &by, Hash: hashes[i]}}, "claim "+a.Subject+assertion.AgentOf(key(2)).String())
	}
	for _, h := range hashes {
		for i := range uint64(2) {
			v := &assertion.Vote{AssertionHash: h, Timestamp: i + 1}
			v.Sign(key(1))
			add(assertion.Event{Entry: v}, fmt.Sprint("vote ", h, " ", i+1))
		}
	}
	last := hashes[claims-1]
	add(assertion.Event{Entry: &assertion.Decision{Claim: last, Approved: true, Reviewer: "ops", Reason: "r"}}, fmt.Sprint("approval ", last))
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), want
}

// Wherever an import is interrupted, begun again it brings everything, with the
// claims in the order of the file and nothing twice that was acknowledged.
func TestSignedImportGoesOn(t *testing.T) {
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		file, want := exported(t, rapid.IntRange(1, 140).Draw(t, "claims"))
		to := newCluster()
		to.review = assertion.ReviewPending.String()
		o := SignedOptions{BatchSize: rapid.IntRange(1, 200).Draw(t, "batch"), Workers: rapid.IntRange(1, 4).Draw(t, "workers")}
		if rapid.Bool().Draw(t, "resumes") {
			o.StatePath = filepath.Join(dir, fmt.Sprint(n))
		}
		to.failAt = rapid.IntRange(1, 40).Draw(t, "fails at")
		if _, err := Signed(t.Context(), bytes.NewReader(file), to, o); to.requests >= to.failAt && err == nil {
			t.Fatal("a cluster that is gone is no error")
		}
		done := len(to.took)
		to.failAt = 0
		summary, err := Signed(t.Context(), bytes.NewReader(file), to, o)
		if err != nil {
			t.Fatal(err)
		}
		if summary.Records != len(want) || summary.Created != len(want)-done || summary.Created+summary.Exists+summary.Skipped != len(want) {
			t.Fatalf("%+v, of %d records %d were there", summary, len(want), done)
		}
		order := map[string]int{}
		for i, record := range to.took {
			order[record] = i
		}
		at := 0
		for _, record := range want {
			i, there := order[record]
			if !there {
				t.Fatalf("%s is missing", record)
			}
			if strings.HasPrefix(record, "claim") {
				if i < at {
					t.Fatalf("%s came before what is before it", record)
				}
				at = i
			}
			if first, second := order[record], order[strings.TrimSuffix(record, " 1")+" 2"]; strings.HasPrefix(record, "vote") && strings.HasSuffix(record, " 1") && second < first {
				t.Fatal("the votes of one claim have changed their order")
			}
		}
		again, err := Signed(t.Context(), bytes.NewReader(file), to, o)
		if err != nil || again.Created != 0 || len(to.took) != len(want) || o.StatePath != "" && again.Skipped != len(want) {
			t.Fatalf("once more: %+v, %v", again, err)
		}
	})
}

func TestSignedImportRefusesADamagedFile(t *testing.T) {
	file, _ := exported(t, 3)
	to := newCluster()
	if _, err := Signed(t.Context(), bytes.NewReader(file[:len(file)-1]), to, SignedOptions{BatchSize: 1}); !errors.Is(err, export.ErrInvalid) || to.requests != 0 {
		t.Errorf("%v after %d requests", err, to.requests)
	}
}

// What a cluster refuses is told with its line, and the rest goes on; a key that
// it does not know, and a limit, end the import.
func TestSignedImportAndRefusals(t *testing.T) {
	file, want := exported(t, 5)
	for status, stops := range map[int]bool{http.StatusForbidden: false, http.StatusNotFound: false, http.StatusUnauthorized: true, http.StatusTooManyRequests: true, http.StatusServiceUnavailable: true} {
		to := newCluster()
		to.refuses["vote"] = status
		var lines []int
		summary, err := Signed(t.Context(), bytes.NewReader(file), to, SignedOptions{BatchSize: 10, Workers: 2, Refused: func(line int, _ error) { lines = append(lines, line) }})
		if stops {
			if err == nil {
				t.Errorf("status %d: no error", status)
			}
			continue
		}
		slices.Sort(lines)
		if err != nil || summary.Refused != 10 || summary.Created != len(want)-11 || len(lines) != 10 || lines[0] != 13 || lines[9] != 22 {
			t.Errorf("status %d: %v, %+v, lines %v", status, err, summary, lines)
		}
	}
}

// An approval counts where nobody has decided, and nowhere else.
func TestSignedImportOfAnApproval(t *testing.T) {
	file, want := exported(t, 1)
	approval := want[len(want)-1]
	for review, approved := range map[string]bool{"": false, "pending": true, "approved": false, "rejected": false} {
		to := newCluster()
		to.review = review
		summary, err := Signed(t.Context(), bytes.NewReader(file), to, SignedOptions{BatchSize: 1})
		if err != nil || (to.seen[approval] > 0) != approved || (summary.Refused > 0) != (review == "rejected") {
			t.Errorf("review %q: %v, %+v, approved %d times", review, err, summary, to.seen[approval])
		}
	}
}
