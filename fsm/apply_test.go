package fsm

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"
	"pgregory.net/rapid"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/index"
)

// The same log gives the same state however raft cuts it into batches.
func TestApplyIsDeterministic(t *testing.T) {
	logs := testLog(t, 120)
	want := outlines(t, logs)
	reference := mustOpen(t, "a", small(vfs.NewMem()))
	defer mustClose(t, reference)
	feed(t, reference, logs, 1)
	tallies := talliesOf(t, reference)
	rapid.Check(t, func(rt *rapid.T) {
		f := mustOpen(t, "b", small(vfs.NewMem()))
		defer mustClose(t, f)
		for rest := logs; len(rest) > 0; {
			n := rapid.IntRange(1, min(len(rest), 40)).Draw(rt, "batch")
			feed(t, f, rest[:n], n)
			rest = rest[n:]
		}
		if diff := cmp.Diff(outlineOf(reference), outlineOf(f)); diff != "" {
			rt.Fatalf("another batching, another state:\n%s", diff)
		}
		if diff := cmp.Diff(tallies, talliesOf(t, f), cmp.Comparer(assertion.ObjectValue.Equal)); diff != "" {
			rt.Fatalf("another batching, other tallies:\n%s", diff)
		}
		for at, state := range want {
			if got, ok := f.DigestAt(at); at > 0 && (!ok || got != state.Digest) {
				rt.Fatalf("DigestAt(%d) = %s, %v, want %s", at, got, ok, state.Digest)
			}
		}
	})
}

func talliesOf(t testing.TB, f *FSM) (tallies []*assertion.Tally) {
	t.Helper()
	v, err := f.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	for n := range 7 {
		tally, err := v.Tally(claim(n).Subject, "rate", testTime+1_000_000)
		if err != nil {
			t.Fatal(err)
		}
		tallies = append(tallies, tally)
	}
	return tallies
}

func TestApplyAnswersEachClaim(t *testing.T) {
	f := mustOpen(t, "a", small(vfs.NewMem()))
	defer mustClose(t, f)
	unknown := assertion.Hash{1}
	orphan := claim(3)
	orphan.ParentHash, orphan.Signatures = &unknown, nil
	orphan.Sign(testKey(3), testTime)
	cosigned := claim(1)
	cosigned.Sign(testKey(9), testTime)
	responses := f.ApplyBatch([]*raft.Log{
		assertEntry(t, 4, claim(1), claim(2), claim(1)),
		{Index: 5, Term: 1, Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(testConfiguration())},
		assertEntry(t, 7, orphan, cosigned),
	})
	want := []any{
		&Response{Index: 4, Results: []Result{{index.Created, claim(1).ContentHash()}, {index.Created, claim(2).ContentHash()}, {index.Exists, claim(1).ContentHash()}}},
		&Response{Index: 5},
		&Response{Index: 7, Results: []Result{{index.ParentNotFound, orphan.ContentHash()}, {index.Cosigned, claim(1).ContentHash()}}},
	}
	if diff := cmp.Diff(want, responses); diff != "" {
		t.Error(diff)
	}
	if _, ok := f.DigestAt(8); ok {
		t.Error("a digest of the future")
	}
	at4, _ := f.DigestAt(4)
	if at6, ok := f.DigestAt(6); !ok || at6 != at4 {
		t.Error("an entry that raft keeps to itself does not have the digest of the one before")
	}
}

// committed_at never goes back, even if a leader's clock does.
func TestCommittedAtNeverDecreases(t *testing.T) {
	fs := vfs.NewMem()
	f := mustOpen(t, "a", small(fs))
	feed(t, f, []*raft.Log{
		entry(1, EncodeWrite(FormatVersion, 500, [][]byte{record(t, claim(1))})),
		entry(2, EncodeWrite(FormatVersion, 400, [][]byte{record(t, claim(2))})),
	}, 2)
	feed(t, f, []*raft.Log{entry(3, EncodeWrite(FormatVersion, 450, [][]byte{record(t, claim(3))})), entry(4, EncodeWrite(FormatVersion, 501, [][]byte{record(t, claim(4))}))}, 1)
	defer mustClose(t, f)
	v, err := f.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	for n, want := range map[int]uint64{1: 500, 2: 500, 3: 500, 4: 501} {
		c, err := v.Get(claim(n).ContentHash())
		if err != nil || c.Commit.At != want || c.Commit.Index != uint64(n) {
			t.Errorf("claim %d: committed %+v, %v; want at %d", n, c.Commit, err, want)
		}
	}
}

// An entry that cannot be applied stops the FSM for good and changes nothing.
func TestApplyFailureIsFinal(t *testing.T) {
	newer := EncodeTermStart(testTime, "a")
	newer[1] = 9
	for name, bad := range map[string][]byte{
		"unknown version": newer,
		"malformed":       {1},
		"bad record":      EncodeWrite(FormatVersion, testTime, [][]byte{[]byte("\x01no record")}),
		"bad vote":        EncodeWrite(FormatVersion, testTime, [][]byte{[]byte("\x02no record")}),
		"no kind":         EncodeWrite(FormatVersion, testTime, [][]byte{{}}),
		"unknown kind":    EncodeWrite(FormatVersion, testTime, [][]byte{{0xfe, 1, 0x80}}),
		"cosignature":     EncodeWrite(FormatVersion, testTime, [][]byte{{byte(assertion.KindCosignature), 1, 0x80}}),
	} {
		t.Run(name, func(t *testing.T) {
			var fatal []error
			o := small(vfs.NewMem())
			o.OnFatal = func(err error) { fatal = append(fatal, err) }
			f := mustOpen(t, "a", o)
			defer mustClose(t, f)
			feed(t, f, testLog(t, 10), 4)
			before := outlineOf(f)
			waiting := make(chan error, 1)
			go func() { waiting <- f.WaitApplied(context.Background(), 1000) }()
			responses := f.ApplyBatch([]*raft.Log{assertEntry(t, 100, claim(500)), entry(101, bad)})
			responses = append(responses, f.ApplyBatch([]*raft.Log{assertEntry(t, 102, claim(501))})...)
			responses = append(responses, f.Apply(assertEntry(t, 103, claim(502))))
			for _, r := range responses {
				if err := r.(*Response).Err; !errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), "entry 101") {
					t.Errorf("response %+v", r)
				}
			}
			if len(fatal) != 1 || !errors.Is(fatal[0], ErrFailed) {
				t.Errorf("OnFatal was called with %v", fatal)
			}
			if err := <-waiting; !errors.Is(err, ErrFailed) {
				t.Errorf("WaitApplied: %v", err)
			}
			<-f.Failure()
			if _, err := f.View(); !errors.Is(err, ErrFailed) {
				t.Errorf("View: %v", err)
			}
			if _, err := f.Snapshot(); !errors.Is(err, ErrFailed) {
				t.Errorf("Snapshot: %v", err)
			}
			if err := f.Restore(nil); !errors.Is(err, ErrFailed) {
				t.Errorf("Restore: %v", err)
			}
			if after := outlineOf(f); after != before {
				t.Errorf("state changed from %+v to %+v", before, after)
			}
		})
	}
}

func TestWaitApplied(t *testing.T) {
	f := mustOpen(t, "a", small(vfs.NewMem()))
	defer mustClose(t, f)
	done := make(chan error, 20)
	for n := range 20 {
		go func() { done <- f.WaitApplied(context.Background(), uint64(n+1)) }()
	}
	ended, cancel := context.WithCancelCause(context.Background())
	late := make(chan error, 1)
	go func() { late <- f.WaitApplied(ended, 21) }()
	for n := range 20 {
		feed(t, f, []*raft.Log{assertEntry(t, uint64(n+1), claim(n))}, 1)
	}
	deadline := time.After(30 * time.Second)
	for range 20 {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-deadline:
			t.Fatal("a waiter was not woken")
		}
	}
	cause := errors.New("gone")
	cancel(cause)
	if err := <-late; !errors.Is(err, cause) {
		t.Errorf("WaitApplied beyond the log: %v", err)
	}
}

// The digest of an index is kept for 4096 entries, and never mistaken.
func TestDigestAtForgets(t *testing.T) {
	var p positions
	p.reset(state{index: 10, digest: assertion.Hash{10}})
	for i := uint64(11); i < 10_000; i += 1 + i%3 {
		p.publishAll([]state{{index: i, digest: assertion.Hash{byte(i), byte(i >> 8)}}})
		for _, back := range []uint64{0, 1, 2, 3, 100, digestRing - 1, digestRing, digestRing + 1} {
			at := i - min(back, i)
			got, ok := p.digestAt(at)
			if ok != (at >= 10 && back < digestRing) {
				t.Fatalf("at %d: digestAt(%d) ok = %v", i, at, ok)
			}
			from := uint64(got[0]) | uint64(got[1])<<8
			if ok && (from > at || at-from > 2) {
				t.Fatalf("at %d: digestAt(%d) is that of %d", i, at, from)
			}
		}
	}
	p.reset(state{index: 9_000, digest: assertion.Hash{1}})
	if _, ok := p.digestAt(8_999); ok {
		t.Error("a digest from before the restore")
	}
}

func TestReplayIsCounted(t *testing.T) {
	fs := vfs.NewMem()
	logs := testLog(t, 40)
	f := mustOpen(t, "a", small(fs))
	feed(t, f, logs[:20], 5)
	mustSnapshot(t, f)
	mustClose(t, f)
	var out bytes.Buffer
	o := small(fs)
	o.Logger = slog.New(slog.NewTextHandler(&out, nil))
	f = mustOpen(t, "a", o)
	defer mustClose(t, f)
	feed(t, f, logs, 5)
	want := ReplayStats{First: logs[20].Index, Last: logs[39].Index, Applied: 20, Skipped: 20}
	if got := f.MarkRecovered(); got != want {
		t.Errorf("replay = %+v, want %+v", got, want)
	}
	feed(t, f, []*raft.Log{assertEntry(t, 1000, claim(1000))}, 1)
	if got := f.MarkRecovered(); got != want {
		t.Errorf("the replay counts on after recovery: %+v", got)
	}
}
