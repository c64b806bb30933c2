package index

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/stemedb/stemedb/assertion"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// reference is an index that was never interrupted, up to a log index.
func reference(t *testing.T, claims int) *View {
	t.Helper()
	db, err := Open("db", Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, db, 0, claims, 100, plain)
	v, err := db.View()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close(); db.Close() })
	return v
}

func TestACrashLeavesAConsistentPrefix(t *testing.T) {
	for seed := range uint64(5) {
		fs := vfs.NewCrashableMem()
		db, err := Open("db", Options{FS: fs, MemTableBytes: 256 << 10})
		if err != nil {
			t.Fatal(err)
		}
		fill(t, db, 0, 3000, 100, plain)
		if err := db.Flush(); err != nil {
			t.Fatal(err)
		}
		fill(t, db, 3000, 2000, 100, plain)
		after := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(seed, 1))})
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		again, err := Open("db", Options{FS: after})
		if err != nil {
			t.Fatalf("seed %d: reopen: %v", seed, err)
		}
		v, err := again.View()
		if err != nil {
			t.Fatal(err)
		}
		// The batches hold 100 claims each, and the k-th has the log index 100(k-1)+1.
		held := int(v.Applied().Index) + 99
		if v.Count() != uint64(held) || held < 3000 {
			t.Errorf("seed %d: applied %d with %d claims, at least the flushed 3000 were promised", seed, v.Applied().Index, v.Count())
		}
		want := reference(t, held)
		if v.Digest() != want.Digest() {
			t.Errorf("seed %d: the digest is not that of the first %d claims", seed, held)
		}
		for _, subject := range []string{"subject-0", "subject-42"} {
			got, err := v.Tally(subject, "value", testNow)
			if err != nil {
				t.Fatal(err)
			}
			w, err := want.Tally(subject, "value", testNow)
			if err != nil {
				t.Fatal(err)
			}
			if diff := tallyDiff(got, w); diff != "" {
				t.Errorf("seed %d: %s: %s", seed, subject, diff)
			}
		}
		if err := errors.Join(v.Close(), again.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestACheckpointHoldsExactlyTheAppliedEntry(t *testing.T) {
	dir := t.TempDir()
	db, err := Open(filepath.Join(dir, "db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, db, 0, 1500, 100, plain)
	if err := db.Checkpoint(filepath.Join(dir, "copy")); err != nil {
		t.Fatal(err)
	}
	fill(t, db, 1500, 500, 100, plain)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	copied, err := Open(filepath.Join(dir, "copy"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer copied.Close()
	v, err := copied.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	want := reference(t, 1500)
	if v.Applied() != want.Applied() || v.Digest() != want.Digest() || v.Count() != 1500 {
		t.Errorf("the checkpoint is at %+v with %d claims", v.Applied(), v.Count())
	}
}

// damagedDir makes an index on disk and damages its largest table.
func damagedDir(t *testing.T, damage func(t *testing.T, path string)) string {
	t.Helper()
	dir := t.TempDir()
	db, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, db, 0, 5000, 100, plain)
	if err := errors.Join(db.Flush(), db.Close()); err != nil {
		t.Fatal(err)
	}
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("no tables: %v", err)
	}
	largest, size := "", int64(0)
	for _, table := range tables {
		info, err := os.Stat(table)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > size {
			largest, size = table, info.Size()
		}
	}
	damage(t, largest)
	return dir
}

func flip(at float64) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		raw[int(at*float64(len(raw)-1))] ^= 0x40
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDamagedFilesAreNeverReadAsData(t *testing.T) {
	want := reference(t, 5000)
	for name, damage := range map[string]func(*testing.T, string){
		"flipped among the agents": flip(0.001), // the first keyspace
		"flipped among the claims": flip(0.2),
		"flipped in the footer":    flip(0.9999),
		"torn": func(t *testing.T, path string) {
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(path, info.Size()/2); err != nil {
				t.Fatal(err)
			}
		},
		"missing": func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var heard error
			db, err := Open(damagedDir(t, damage), Options{OnCorruption: func(err error) { heard = err }})
			if err != nil {
				return // refused to open: said why
			}
			defer db.Close()
			failed := readEverything(db, want, t)
			if failed == nil {
				t.Fatal("every read came back right: the damage was not where it should be")
			}
			if !errors.Is(failed, ErrCorrupt) || db.Err() == nil || heard == nil {
				t.Errorf("the damage shows as %v (remembered %v, told %v), want ErrCorrupt everywhere", failed, db.Err(), heard)
			}
		})
	}
}

// readEverything returns the first error; a wrong answer fails the test.
func readEverything(db *DB, want *View, t *testing.T) error {
	v, err := db.View()
	if err != nil {
		return err
	}
	defer v.Close()
	for i := range 5000 {
		a := plain(i)
		got, err := v.Get(a.ContentHash())
		if err != nil {
			return err
		}
		if got.Object != a.Object || got.Subject != a.Subject {
			t.Fatalf("claim %d came back wrong", i)
		}
		signers, err := db.Signers(a.ContentHash())
		if err != nil {
			return err
		}
		if len(signers) != 1 || signers[0] != a.Signatures[0].AgentID {
			t.Fatalf("claim %d: signers %x without an error", i, signers)
		}
	}
	filters := []assertion.Filter{{}, {Predicate: "value"}, {Subject: "subject", SubjectPrefix: true}}
	for agent := range byte(10) {
		it := v.Scan(assertion.Filter{Agent: &assertion.AgentID{agent}})
		n := 0
		for it.Next() {
			n++
		}
		if err := it.Close(); err != nil {
			return err
		}
		if n != 500 {
			t.Fatalf("agent %d: %d claims without an error, want 500", agent, n)
		}
	}
	for _, f := range filters {
		it := v.Scan(f)
		n := 0
		for it.Next() {
			n++
		}
		if err := it.Close(); err != nil {
			return err
		}
		if n != 5000 {
			t.Fatalf("%+v: %d claims without an error, want 5000", f, n)
		}
	}
	for i := range 100 {
		subject := strings.Replace("subject-N", "N", string(rune('0'+i%10)), 1)
		got, err := v.Tally(subject, "value", testNow)
		if err != nil {
			return err
		}
		w, err := want.Tally(subject, "value", testNow)
		if err != nil {
			return err
		}
		if diff := tallyDiff(got, w); diff != "" {
			t.Fatalf("%s came back wrong: %s", subject, diff)
		}
	}
	return nil
}

func TestANewerLayoutIsRefused(t *testing.T) {
	dir := t.TempDir()
	db, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.db.Set(keyLayout, []byte{layoutVersion + 1}, pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Flush(), db.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), "layout") {
		t.Errorf("open: %v, want an error about the layout", err)
	}
}

// An index of an older layout goes on as one that was never of it.
func TestOlderLayoutsAreReadAndReplaced(t *testing.T) {
	again := func(i int) *assertion.Assertion { // of 100 voices, each on one question
		a := plain(i)
		a.Subject, a.SourceHash = fmt.Sprintf("subject-%d", i%20), assertion.Hash{byte(i % 100)}
		a.Signatures[0].AgentID = assertion.AgentID{byte(i % 100)}
		return a
	}
	tallies := func(layout byte) (all []*assertion.Tally) {
		dir := t.TempDir()
		db, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		fill(t, db, 0, 150, 50, again)
		if layout != layoutVersion {
			downgrade(t, db, layout)
			if err := errors.Join(db.Flush(), db.Close()); err != nil {
				t.Fatal(err)
			}
			if db, err = Open(dir, Options{}); err != nil {
				t.Fatal(err)
			}
		}
		fill(t, db, 150, 30, 10, again)
		// Current claims, whose voices fall back to one that was current in the older
		// layout (150, 151) or was not any more; claims that were followed by others;
		// and in the end the last ones of their voices.
		for n, i := range []int{100, 101, 102, 150, 151, 20, 21, 0, 1, 99} {
			superseded := &assertion.Supersession{Superseded: again(i).ContentHash(), Type: assertion.Retracts, AgentID: assertion.AgentID{byte(i % 100)}, Timestamp: testNow}
			c := assertion.Commit{Position: assertion.Position{Index: uint64(1000 + n)}, At: 1000}
			if outcome := put(t, db, superseded, c, assertion.Admission{}); outcome != Created {
				t.Fatalf("claim %d was not superseded: %v", i, outcome)
			}
		}
		v, err := db.View()
		if err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			tally, err := v.Tally(fmt.Sprintf("subject-%d", i), "value", testNow)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, tally)
		}
		if raw, err := db.get(v.snapshot, keyLayout); err != nil || len(raw) != 1 || raw[0] != layoutVersion {
			t.Errorf("the layout is %x (%v), want %d", raw, err, layoutVersion)
		}
		if err := errors.Join(v.Close(), db.Close()); err != nil {
			t.Fatal(err)
		}
		return all
	}
	want := tallies(layoutVersion)
	for layout := byte(oldestLayout); layout < layoutVersion; layout++ {
		for i, got := range tallies(layout) {
			if diff := tallyDiff(got, want[i]); diff != "" {
				t.Errorf("from layout %d, subject-%d: %s", layout, i, diff)
			}
		}
	}
}

// downgrade makes an index one of an older layout.
func downgrade(t *testing.T, db *DB, layout byte) {
	t.Helper()
	it, err := db.db.NewIter(&pebble.IterOptions{LowerBound: []byte{spaceCurrent}, UpperBound: []byte{spaceCurrent + 1}})
	if err != nil {
		t.Fatal(err)
	}
	voices := 0
	for ok := it.First(); ok; ok = it.Next() {
		at := it.Value()[:orderLen]
		if err := db.db.Set(key(spaceVoice, it.Key()[1:], at), nil, pebble.NoSync); err != nil {
			t.Fatal(err)
		}
		if layout == 1 {
			if err := db.db.Set(it.Key(), at, pebble.NoSync); err != nil {
				t.Fatal(err)
			}
		}
		voices++
	}
	if err := errors.Join(it.Error(), it.Close(), db.db.Set(keyLayout, []byte{layout}, pebble.NoSync)); err != nil {
		t.Fatal(err)
	}
	if voices != 100 {
		t.Fatalf("%d voices, want 100", voices)
	}
}
