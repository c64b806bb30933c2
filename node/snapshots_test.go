package node

import (
	"errors"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// The settings that count entries allow the whole log here; only its bytes make
// snapshots due.
func TestTheLogStaysWithinItsBytes(t *testing.T) {
	eachLogKind(t, func(t *testing.T, kind string) {
		const bytes = 256 << 10
		c := startCluster(t, 1, func(_ int, cfg *Config) {
			cfg.LogStore, cfg.logSegmentBytes = kind, 32<<10
			cfg.SnapshotInterval, cfg.LogBytes = 20*time.Millisecond, bytes
		})
		hashes := write(t, c.nodes[0], 0, 400)
		for i := 400; i < 3000; i += 100 {
			hashes = append(hashes, write(t, c.nodes[0], i, 100)...)
		}
		waitFor(t, func() bool {
			used, err := c.nodes[0].logs.used()
			return err == nil && used <= bytes*3/2 // pages of the store's own weigh much in so small a log
		})
		if first, err := c.nodes[0].logs.FirstIndex(); err != nil || first <= 1 {
			t.Errorf("the log begins at entry %d (%v): none was let go", first, err)
		}
		mustHold(t, c.nodes[0], Consistency{}, hashes)
	})
}

func TestOldEntriesGoInStepsAndNewOnesAtOnce(t *testing.T) {
	const last, begin = 3*removedAtOnce + 10, 2*removedAtOnce + 6
	for _, r := range []struct {
		what             string
		minimum, maximum uint64
		first, last      uint64 // that are left
		transactions     int
	}{
		{"old ones", 1, begin - 1, begin, last, 3},
		{"new ones", last - removedAtOnce - 1, last, 1, last - removedAtOnce - 2, 1},
		{"all of them", 1, last, 1, 0, 1},
	} {
		t.Run(r.what, func(t *testing.T) {
			eachLogKind(t, func(t *testing.T, kind string) {
				dir := t.TempDir()
				open := func() *LogStore {
					logs, err := OpenLogStore(dir, LogOptions{Kind: kind, NoSync: true})
					if err != nil {
						t.Fatal(err)
					}
					return logs
				}
				logs, model := open(), entries(1, last, 1)
				if err := errors.Join(logs.StoreLogs(model), logs.Close()); err != nil {
					t.Fatal(err)
				}
				before := transactions(t, dir, kind)
				logs = open() // is one transaction
				if err := logs.DeleteRange(r.minimum, r.maximum); err != nil {
					t.Fatal(err)
				}
				mustBe(t, logs, model[r.first-1:r.last])
				if err := logs.Close(); err != nil {
					t.Fatal(err)
				}
				if made := transactions(t, dir, kind) - before - 1; kind == LogBolt && made != r.transactions {
					t.Errorf("%d transactions, want %d", made, r.transactions)
				}
			})
		})
	}
}

// transactions is how many have been committed to the boltdb log in dir, plus a
// constant.
func transactions(t *testing.T, dir, kind string) (n int) {
	if kind != LogBolt {
		return 0
	}
	db, err := bbolt.Open(boltPath(dir), 0o600, &bbolt.Options{ReadOnly: true})
	if err == nil {
		err = errors.Join(db.View(func(tx *bbolt.Tx) error { n = tx.ID(); return nil }), db.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}
