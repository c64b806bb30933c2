package clustertest

import (
	"crypto/ed25519"
	"fmt"
	"sync"
	"testing"
	"time"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
)

// Claim makes the i-th of an endless family of different, signed, valid claims.
func Claim(t testing.TB, i int) *assertion.Assertion {
	t.Helper()
	a := &assertion.Assertion{
		Subject: fmt.Sprintf("subject-%d", i%97), Predicate: "value", Object: assertion.Number(float64(i)),
		Confidence: 0.5, SourceClass: assertion.Clinical, SourceHash: assertion.Hash{byte(i), byte(i >> 8)}, Timestamp: 1_700_000_000 + uint64(i),
	}
	if err := a.Normalize(); err != nil {
		t.Fatal(err)
	}
	a.Sign(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), a.Timestamp)
	if err := a.Validate(); err != nil {
		t.Fatal(err)
	}
	return a
}

// Claims makes count claims from the one numbered from on.
func Claims(t testing.TB, from, count int) []*assertion.Assertion {
	t.Helper()
	claims := make([]*assertion.Assertion, count)
	for i := range claims {
		claims[i] = Claim(t, from+i)
	}
	return claims
}

// Write stores claims from the one numbered from on through the given nodes, or
// all, and returns their hashes.
func (c *Cluster) Write(from, count int, nodes ...*Node) []assertion.Hash {
	c.t.Helper()
	hashes, err := c.tryWrite(from, count, nodes...)
	c.do(err)
	return hashes
}

// tryWrite is Write for goroutines: it tells what went wrong.
func (c *Cluster) tryWrite(from, count int, nodes ...*Node) ([]assertion.Hash, error) {
	c.t.Helper()
	answer, err := c.Client(nodes...).AssertBatch(c.t.Context(), Claims(c.t, from, count))
	if err != nil {
		return nil, err
	}
	hashes := make([]assertion.Hash, count)
	for i, r := range answer.Results {
		if r.Status != v1.StatusCreated && r.Status != v1.StatusExists { // it exists if the client had to send it again
			return nil, fmt.Errorf("claim %d: %+v, want created", from+i, r)
		}
		hashes[i] = *r.Hash
	}
	return hashes, nil
}

// Load stores claims from the one numbered from on, each in a request of its
// own, with a number of concurrent writers, until count are
// acknowledged. acked receives the number of acknowledgements so far after each
// one. Every request must succeed. The hashes of the acknowledged claims are
// returned.
func (c *Cluster) Load(db *client.Client, from, count, writers int, acked func(int)) []assertion.Hash {
	c.t.Helper()
	claims := Claims(c.t, from, count)
	var mu sync.Mutex
	var hashes []assertion.Hash
	var wg sync.WaitGroup
	next := make(chan *assertion.Assertion)
	last, gap := time.Now(), time.Duration(0)
	for range writers {
		wg.Go(func() {
			for a := range next {
				answer, err := db.Assert(c.t.Context(), a)
				if err != nil {
					c.t.Errorf("claim %s was refused: %v", a.ContentHash(), err)
					continue
				}
				mu.Lock()
				hashes = append(hashes, answer.Hash)
				number := len(hashes)
				gap, last = max(gap, time.Since(last)), time.Now()
				mu.Unlock()
				acked(number)
			}
		})
	}
	for _, a := range claims {
		next <- a
	}
	close(next)
	wg.Wait()
	if c.t.Failed() {
		c.t.FailNow()
	}
	c.t.Logf("%d claims acknowledged; the longest time between two acknowledgements was %v", len(hashes), gap.Round(time.Millisecond))
	return hashes
}
