package fsm

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"os"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"
	"go.uber.org/goleak"

	"github.com/stemedb/stemedb/assertion"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimEnv); dir != "" {
		victim(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// testTime is the clock of the first entry.
const testTime = 1_700_000_000

func testKey(n int) assertion.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	binary.BigEndian.PutUint64(seed, uint64(n)+1)
	return ed25519.NewKeyFromSeed(seed)
}

// claim n is signed by one of five keys and states one of seven questions.
func claim(n int) *assertion.Assertion {
	a := &assertion.Assertion{
		Subject: fmt.Sprintf("subject-%d", n%7), Predicate: "rate", Object: assertion.Number(float64(n % 11)),
		Confidence: 0.5, SourceClass: assertion.SourceClass(n % assertion.NumTiers), Timestamp: testTime + uint64(n),
	}
	binary.BigEndian.PutUint64(a.SourceHash[:], uint64(n%13))
	a.Sign(testKey(n%5), testTime)
	return a
}

func record(t testing.TB, a *assertion.Assertion) []byte {
	t.Helper()
	raw, err := assertion.AppendEntry(nil, a)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// assertEntry is the log entry that stores claims.
func assertEntry(t testing.TB, index uint64, claims ...*assertion.Assertion) *raft.Log {
	t.Helper()
	records := make([][]byte, len(claims))
	for i, a := range claims {
		records[i] = record(t, a)
	}
	return entry(index, EncodeWrite(FormatVersion, testTime+index, records))
}

func entry(index uint64, command []byte) *raft.Log {
	return &raft.Log{Index: index, Term: 1 + index/50, Type: raft.LogCommand, Data: command}
}

// testLog is a log of n entries: the first names the cluster, the rest hold
// three claims each, among them co-signed, repeated and retired ones, and there
// are configuration entries and gaps, as raft leaves where it keeps an entry to
// itself.
func testLog(t testing.TB, n int) []*raft.Log {
	t.Helper()
	logs := []*raft.Log{entry(1, EncodeClusterInit(testTime, "cluster"))}
	index := uint64(1)
	for i := 1; i < n; i++ {
		index++
		switch {
		case i%17 == 5:
			logs = append(logs, &raft.Log{Index: index, Term: 1 + index/50, Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(testConfiguration())})
			continue
		case i%17 == 9:
			index++
		case i%17 == 12:
			logs = append(logs, entry(index, EncodeTermStart(testTime+index, "leader")))
			continue
		}
		first, second := claim(2*i), claim(2*i+1)
		cosigned := claim(i)
		cosigned.Signatures = nil
		cosigned.Sign(testKey(i%5+5), testTime)
		claims := []*assertion.Assertion{first, second, cosigned}
		if i%6 == 0 {
			parent := claim(i).ContentHash()
			retired := claim(i)
			retired.ParentHash, retired.Lifecycle, retired.Signatures = &parent, assertion.Deprecated, nil
			retired.Timestamp++
			retired.Sign(testKey(i%5), testTime)
			claims = append(claims, retired)
		}
		logs = append(logs, assertEntry(t, index, claims...))
	}
	return logs
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// small are options that make a test's database cheap.
func small(fs vfs.FS) Options {
	return Options{FS: fs, CacheBytes: 1 << 20, MemTableBytes: 1 << 20, Logger: quiet()}
}

func mustOpen(t testing.TB, dir string, o Options) *FSM {
	t.Helper()
	f, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func mustClose(t testing.TB, f *FSM) {
	t.Helper()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// feed applies entries in batches of the given size and fails the test on any
// failure of the FSM.
func feed(t testing.TB, f *FSM, logs []*raft.Log, size int) {
	t.Helper()
	for len(logs) > 0 {
		n := min(size, len(logs))
		f.ApplyBatch(logs[:n])
		if err := f.Failed(); err != nil {
			t.Fatal(err)
		}
		logs = logs[n:]
	}
}

// outline is what two equal states have in common.
type outline struct {
	Index  uint64
	Digest assertion.Hash
	Count  uint64
}

func outlineOf(f *FSM) (o outline) {
	o.Index, o.Digest, o.Count = f.Current()
	return o
}

// outlines are the states after each entry of a log, by index, from a plain run.
func outlines(t testing.TB, logs []*raft.Log) map[uint64]outline {
	t.Helper()
	f := mustOpen(t, "reference", small(vfs.NewMem()))
	defer mustClose(t, f)
	states := map[uint64]outline{0: outlineOf(f)}
	for _, log := range logs {
		feed(t, f, []*raft.Log{log}, 1)
		states[log.Index] = outlineOf(f)
	}
	return states
}

// replayFrom is what raft does after a restart: it hands over the log from
// after the newest snapshot.
func replayFrom(t testing.TB, f *FSM, logs []*raft.Log) {
	t.Helper()
	var from uint64
	if newest, err := f.snapshots.newest(); err != nil {
		t.Fatal(err)
	} else if newest != nil {
		from = newest.Index
	}
	for i, log := range logs {
		if log.Index > from {
			feed(t, f, logs[i:], 7)
			return
		}
	}
}

// snapshot takes a snapshot as raft does.
func snapshot(f *FSM, index uint64) error {
	snap, err := f.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Release()
	sink, err := f.SnapshotStore().Create(raft.SnapshotVersionMax, index, 1+index/50, testConfiguration(), 1, nil)
	if err != nil {
		return err
	}
	return snap.Persist(sink)
}

func mustSnapshot(t testing.TB, f *FSM) *raft.SnapshotMeta {
	t.Helper()
	if err := snapshot(f, f.AppliedIndex()); err != nil {
		t.Fatal(err)
	}
	metas, err := f.SnapshotStore().List()
	if err != nil || len(metas) == 0 {
		t.Fatalf("List() = %v, %v", metas, err)
	}
	return metas[0]
}

func testConfiguration() raft.Configuration {
	return raft.Configuration{Servers: []raft.Server{{Suffrage: raft.Voter, ID: "a", Address: "127.0.0.1:1"}}}
}

// streamOf is the newest snapshot as a follower receives it.
func streamOf(t testing.TB, f *FSM) (*raft.SnapshotMeta, []byte) {
	t.Helper()
	meta := mustSnapshot(t, f)
	meta, reader, err := f.SnapshotStore().Open(meta.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	raw, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(raw)) != meta.Size {
		t.Fatalf("the stream has %d bytes, the meta says %d", len(raw), meta.Size)
	}
	return meta, raw
}

// install does what raft does when a leader sends a snapshot.
func install(f *FSM, meta *raft.SnapshotMeta, stream []byte) error {
	id, err := receive(f, meta, stream)
	if err != nil {
		return err
	}
	_, reader, err := f.SnapshotStore().Open(id)
	if err != nil {
		return err
	}
	defer reader.Close()
	return f.Restore(wrapped{reader})
}

// receive is install without the restore.
func receive(f *FSM, meta *raft.SnapshotMeta, stream []byte) (id string, err error) {
	sink, err := f.SnapshotStore().Create(meta.Version, meta.Index, meta.Term, meta.Configuration, meta.ConfigurationIndex, nil)
	if err != nil {
		return "", err
	}
	for len(stream) > 0 { // in odd pieces, as a network does
		n := min(len(stream), 1013)
		if _, err := sink.Write(stream[:n]); err != nil {
			_ = sink.Cancel()
			return "", err
		}
		stream = stream[n:]
	}
	return sink.ID(), sink.Close()
}

// wrapped hides the type of a reader as raft does.
type wrapped struct{ io.ReadCloser }

func (w wrapped) WrappedReadCloser() io.ReadCloser { return w.ReadCloser }
