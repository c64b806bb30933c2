package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/fsm"
	"github.com/stemedb/stemedb/index"
)

// gate is a commit function that a test holds up and lets go group by group.
type gate struct {
	entered chan []*writeRequest
	release chan error
}

func newGate() *gate {
	return &gate{entered: make(chan []*writeRequest), release: make(chan error)}
}

// commit answers each record with a hash that repeats its first byte.
func (g *gate) commit(group []*writeRequest) writeReply {
	g.entered <- group
	if err := <-g.release; err != nil {
		return writeReply{err: err}
	}
	var reply writeReply
	for _, req := range group {
		for _, record := range req.records {
			reply.results = append(reply.results, fsm.Result{Outcome: index.Created, Hash: assertion.Hash{record[0]}})
		}
	}
	return reply
}

func request(first byte, records, size int) *writeRequest {
	req := &writeRequest{done: make(chan writeReply, 1)}
	for i := range records {
		record := make([]byte, size)
		record[0] = first + byte(i)
		req.records = append(req.records, record)
		req.bytes += size
	}
	return req
}

func TestBatcherGroupsWhatArrivesWhileOneIsInFlight(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	g := newGate()
	b := newBatcher(1000, g.commit)
	var wg sync.WaitGroup
	submit := func(req *writeRequest) {
		wg.Go(func() {
			reply := b.submit(t.Context(), req)
			if reply.err != nil {
				t.Errorf("submit: %v", reply.err)
				return
			}
			for i, got := range reply.results {
				if got.Hash[0] != req.records[i][0] {
					t.Errorf("request got the outcome of another: %v at %d, want %d", got.Hash[0], i, req.records[i][0])
				}
			}
		})
	}
	submit(request(1, 1, 10))
	first := <-g.entered
	if len(first) != 1 {
		t.Fatalf("first group has %d requests, want the lone one at once", len(first))
	}
	for i := range 5 {
		submit(request(byte(10*(i+1)), 3, 10))
	}
	waitFor(t, func() bool { b.mu.Lock(); defer b.mu.Unlock(); return len(b.queue) == 5 })
	g.release <- nil
	if second := <-g.entered; len(second) != 5 {
		t.Fatalf("second group has %d requests, want the 5 that waited", len(second))
	}
	g.release <- nil
	wg.Wait()
	b.close()
}

func TestBatcherRespectsTheBoundsOfAnEntry(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for _, tc := range []struct {
		name          string
		records, size int
		wantInGroup   int
	}{
		{"by claims", 200, 10, 2},              // 2 × 200 fit under 512, a third does not
		{"by bytes", 1, 100 << 10, 2},          // 2 × 100 KiB fit under 256 KiB
		{"a large one alone", 1, 300 << 10, 1}, // one record is never split
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newGate()
			b := newBatcher(10000, g.commit)
			var wg sync.WaitGroup
			wg.Go(func() { b.submit(t.Context(), request(1, 1, 1)) })
			<-g.entered
			for range 4 {
				wg.Go(func() { b.submit(t.Context(), request(1, tc.records, tc.size)) })
			}
			waitFor(t, func() bool { b.mu.Lock(); defer b.mu.Unlock(); return len(b.queue) == 4 })
			g.release <- nil
			for taken := 0; taken < 4; taken += tc.wantInGroup {
				if group := <-g.entered; len(group) != tc.wantInGroup {
					t.Errorf("group has %d requests, want %d", len(group), tc.wantInGroup)
				}
				g.release <- nil
			}
			wg.Wait()
			b.close()
		})
	}
}

// A leader that is low on space refuses a whole group for one claim in it.
func TestBatcherKeepsApartWhatIsWrittenWithoutSpace(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	g := newGate()
	b := newBatcher(1000, g.commit)
	var wg sync.WaitGroup
	wg.Go(func() { b.submit(t.Context(), request(1, 1, 1)) })
	<-g.entered
	for i, exempt := range []bool{false, false, true, true, false} {
		req := request(byte(10*i), 1, 1)
		req.exempt = exempt
		wg.Go(func() { b.submit(t.Context(), req) })
		waitFor(t, func() bool { b.mu.Lock(); defer b.mu.Unlock(); return len(b.queue) == i+1 })
	}
	g.release <- nil
	for _, want := range []int{2, 2, 1} {
		if group := <-g.entered; len(group) != want {
			t.Errorf("a group of %d requests, want %d of one kind", len(group), want)
		}
		g.release <- nil
	}
	wg.Wait()
	b.close()
}

func TestBatcherTellsQueuedFromInFlight(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	g := newGate()
	b := newBatcher(1000, g.commit)
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	inFlight, queued := make(chan error, 1), make(chan error, 1)
	wg.Go(func() { inFlight <- b.submit(ctx, request(1, 1, 10)).err })
	<-g.entered
	wg.Go(func() { queued <- b.submit(ctx, request(2, 1, 10)).err })
	waitFor(t, func() bool { b.mu.Lock(); defer b.mu.Unlock(); return len(b.queue) == 1 })
	cancel()
	if err := <-inFlight; !errors.Is(err, ErrOutcomeUnknown) {
		t.Errorf("in flight: %v, want ErrOutcomeUnknown", err)
	}
	if err := <-queued; !errors.Is(err, ErrNoLeader) || errors.Is(err, ErrOutcomeUnknown) {
		t.Errorf("queued: %v, want ErrNoLeader: it was never proposed", err)
	}
	g.release <- nil
	wg.Wait()
	b.close() // a withdrawn request must not be committed
	if err := b.submit(t.Context(), request(3, 1, 1)).err; !errors.Is(err, ErrStopping) {
		t.Errorf("after close: %v, want ErrStopping", err)
	}
}

func TestBatcherRefusesOverload(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	g := newGate()
	b := newBatcher(10, g.commit)
	var wg sync.WaitGroup
	wg.Go(func() { b.submit(t.Context(), request(1, 1, 10)) })
	<-g.entered
	wg.Go(func() { b.submit(t.Context(), request(1, 9, 10)) })
	waitFor(t, func() bool { b.mu.Lock(); defer b.mu.Unlock(); return b.claims == 9 })
	if err := b.submit(t.Context(), request(1, 2, 10)).err; !errors.Is(err, ErrOverloaded) {
		t.Errorf("over the bound: %v, want ErrOverloaded", err)
	}
	g.release <- fmt.Errorf("%w: test", ErrOutcomeUnknown)
	<-g.entered
	g.release <- nil
	wg.Wait()
	b.close()
}

func TestChunkKeepsOrderAndBounds(t *testing.T) {
	var records [][]byte
	for i := range 1000 {
		record := make([]byte, 700)
		record[0], record[1] = byte(i), byte(i>>8)
		records = append(records, record)
	}
	next := 0
	for _, req := range chunk(Caller{RequestID: "r"}, nil, records) {
		if len(req.records) > maxGroupClaims || req.bytes > maxGroupBytes || req.caller.RequestID != "r" {
			t.Errorf("chunk of %d claims and %d bytes for %q", len(req.records), req.bytes, req.caller.RequestID)
		}
		for _, record := range req.records {
			if got := int(record[0]) | int(record[1])<<8; got != next {
				t.Fatalf("record %d stands where %d should", got, next)
			}
			next++
		}
	}
	if next != 1000 {
		t.Fatalf("%d of 1000 records", next)
	}
}

// waitFor polls a condition that must come true.
func waitFor(t testing.TB, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatal("the awaited condition did not come true within 30s")
		}
		time.Sleep(2 * time.Millisecond)
	}
}
