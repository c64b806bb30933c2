package node

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/internal/costs"
)

// syncsPerCommit is how often bbolt waits for the disk at each commit: for the
// pages, and for the page that makes them valid. The tests of internal/clustertest
// compare that with the system calls.
const syncsPerCommit = 2

// countedNode is a cluster of one whose log nothing but the test writes to.
func countedNode(t *testing.T) *Node {
	t.Helper()
	return startCluster(t, 1, func(_ int, c *Config) { c.TrustInterval = time.Hour }).leader()
}

// logSyncs is how often the raft log's file was synced since it was made, growth
// apart: by the number of the newest commit in its two meta pages.
func logSyncs(t *testing.T, n *Node) (syncs uint64) {
	t.Helper()
	file, err := os.Open(boltPath(n.cfg.DataDir))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	// A page's head; magic, version, page size and flags; root, its sequence, free
	// list, high-water mark.
	const at = 16 + 4*4 + 4*8
	for page := range 2 {
		var commit [8]byte
		if _, err := file.ReadAt(commit[:], int64(page*os.Getpagesize()+at)); err != nil {
			t.Fatal(err)
		}
		syncs = max(syncs, syncsPerCommit*binary.NativeEndian.Uint64(commit[:]))
	}
	return syncs
}

// costRecord is the record of a claim with a text of 256 bytes, of the same size
// for every i below 10,000.
func costRecord(t *testing.T, key ed25519.PrivateKey, i int) []byte {
	t.Helper()
	a := &assertion.Assertion{
		Subject: fmt.Sprintf("bench:%d", i%10), Predicate: "value", Confidence: 0.5, SourceClass: assertion.Observational,
		Object: assertion.Text(fmt.Sprintf("%04d", i) + strings.Repeat("x", 252)), SourceHash: assertion.Hash{1}, Timestamp: 1700000000,
	}
	a.Sign(key, 1700000000)
	record, err := assertion.AppendEntry(nil, a)
	if err != nil {
		t.Fatal(err)
	}
	return record
}

// TestCostOfTheLog holds how many entries and syncs the log takes for 1,000
// claims, by how they arrive.
func TestCostOfTheLog(t *testing.T) {
	const claims = 1000
	n := countedNode(t)
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	made := 0
	records := func(count int) (out [][]byte) {
		for range count {
			out = append(out, costRecord(t, key, made))
			made++
		}
		return out
	}
	for _, c := range []struct {
		operation string
		requests  int // to send, of claims/requests each
		waiting   bool
	}{
		{"1,000 claims, one after the other", claims, false},
		{"1,000 claims that arrive while one is committed", claims, true},
		{"10 requests of 100 claims, one after the other", 10, false},
		{"10 requests of 100 claims that arrive while one is committed", 10, true},
		{"a request of 1,000 claims", 1, false},
	} {
		t.Run(c.operation, func(t *testing.T) {
			var requests []*writeRequest
			for range c.requests {
				requests = append(requests, chunk(Caller{}, nil, records(claims/c.requests))...)
			}
			first := chunk(Caller{}, nil, records(1))[0]
			gate := make(chan struct{})
			b := newBatcher(2*claims, func(group []*writeRequest) writeReply {
				<-gate
				return n.commitGroup(group)
			})
			defer b.close()
			var wg sync.WaitGroup
			var mu sync.Mutex
			entries := map[uint64]bool{}
			submit := func(req *writeRequest) {
				reply := b.submit(t.Context(), req)
				if reply.err != nil {
					t.Error(reply.err)
				}
				mu.Lock()
				defer mu.Unlock()
				entries[reply.index] = true
			}
			if !c.waiting {
				close(gate)
				before := logSyncs(t, n)
				for _, req := range requests {
					submit(req)
				}
				hold(t, c.operation, entries, logSyncs(t, n)-before)
				return
			}
			wg.Go(func() { b.submit(t.Context(), first) })
			waitFor(t, func() bool { b.mu.Lock(); defer b.mu.Unlock(); return first.taken })
			for _, req := range requests {
				wg.Go(func() { submit(req) })
			}
			waitFor(t, func() bool { b.mu.Lock(); defer b.mu.Unlock(); return len(b.queue) == len(requests) })
			before := logSyncs(t, n)
			close(gate)
			wg.Wait()
			hold(t, c.operation, entries, logSyncs(t, n)-before-syncsPerCommit)
		})
	}
}

func hold(t *testing.T, operation string, entries map[uint64]bool, syncs uint64) {
	t.Helper()
	costs.Hold(t, operation, costs.Entries, float64(len(entries)))
	costs.Hold(t, operation, costs.Syncs, float64(syncs))
}
