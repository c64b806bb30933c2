package fsm

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/hashicorp/raft"
)

// crashPoints counts the changing operations of a file system and keeps what a
// crash right before the chosen one leaves on the disk.
type crashPoints struct {
	disk *vfs.MemFS
	cfg  func() vfs.CrashCloneCfg

	linking sync.Mutex // MemFS.Link and CrashClone at once may lock each other up

	mu     sync.Mutex
	armed  bool
	clones []*vfs.MemFS
	ops    []string
}

// MaybeError implements errorfs.Injector.
func (c *crashPoints) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() == errorfs.OpIsRead || op.Kind == errorfs.OpFileClose {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.armed {
		return nil
	}
	c.linking.Lock()
	defer c.linking.Unlock()
	c.clones = append(c.clones, c.disk.CrashClone(c.cfg()))
	c.ops = append(c.ops, fmt.Sprintf("%d %s", op.Kind, op.Path))
	return nil
}

func (c *crashPoints) String() string { return "crash points" }

// passed is the number of crash points so far.
func (c *crashPoints) passed() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.clones)
}

func (c *crashPoints) arm(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed = on
}

// strict drops everything that was not synced, torn keeps a random part.
func strict() vfs.CrashCloneCfg { return vfs.CrashCloneCfg{} }

func torn(seed uint64) func() vfs.CrashCloneCfg {
	rng := rand.New(rand.NewPCG(seed, seed))
	return func() vfs.CrashCloneCfg {
		return vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng}
	}
}

func crashConfigs(torns int) map[string]func() vfs.CrashCloneCfg {
	configs := map[string]func() vfs.CrashCloneCfg{"unsynced lost": strict}
	for seed := range uint64(torns) {
		configs[fmt.Sprintf("unsynced torn %d", seed)] = torn(seed)
	}
	return configs
}

// crashable is a disk on which work records every crash point.
func crashable(cfg func() vfs.CrashCloneCfg) (*crashPoints, vfs.FS) {
	points := &crashPoints{disk: vfs.NewCrashableMem(), cfg: cfg}
	return points, errorfs.Wrap(linkGuard{points.disk, &points.linking}, points)
}

type linkGuard struct {
	vfs.FS
	linking *sync.Mutex
}

func (g linkGuard) Link(from, to string) error {
	g.linking.Lock()
	defer g.linking.Unlock()
	return g.FS.Link(from, to)
}

// unsynced is a disk whose Sync does nothing.
type unsynced struct{ vfs.FS }

type unsyncedFile struct{ vfs.File }

func (unsyncedFile) Sync() error                       { return nil }
func (unsyncedFile) SyncData() error                   { return nil }
func (unsyncedFile) SyncTo(length int64) (bool, error) { return true, nil }

func lazily(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return unsyncedFile{f}, nil
}

func (u unsynced) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return lazily(u.FS.Create(name, c))
}
func (u unsynced) Open(name string, o ...vfs.OpenOption) (vfs.File, error) {
	return lazily(u.FS.Open(name, o...))
}
func (u unsynced) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return lazily(u.FS.OpenReadWrite(name, c, o...))
}
func (u unsynced) OpenDir(name string) (vfs.File, error) { return lazily(u.FS.OpenDir(name)) }
func (u unsynced) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return lazily(u.FS.ReuseForWrite(from, to, c))
}

// recovers opens what a crash left, replays the log that raft still has and
// compares the result with the state of an undisturbed run. truncated is the
// index up to which raft may have removed the log.
func recovers(disk vfs.FS, logs []*raft.Log, want map[uint64]outline, truncated uint64) error {
	f, err := Open("node", small(disk))
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer f.Close()
	start := outlineOf(f)
	newest, err := f.snapshots.newest()
	if err != nil {
		return err
	}
	if truncated > 0 && (newest == nil || newest.Index < truncated || start.Index < truncated) {
		return fmt.Errorf("raft was told that %d is durable: after the crash the newest snapshot is %+v and %d is applied", truncated, newest, start.Index)
	}
	if state := want[start.Index]; state != start {
		return fmt.Errorf("after the crash %+v, the log makes it %+v", start, state)
	}
	if newest != nil { // NoSnapshotRestoreOnStart: raft goes on from there
		truncated = newest.Index
	}
	var skipped, applied uint64
	for _, log := range logs {
		if log.Index <= truncated {
			continue
		}
		r := f.Apply(log).(*Response)
		if r.Err != nil && log.Index > start.Index {
			return fmt.Errorf("entry %d: %w", log.Index, r.Err)
		}
		if log.Index <= start.Index {
			skipped++
		} else {
			applied++
		}
		if state := want[max(log.Index, start.Index)]; state != outlineOf(f) {
			return fmt.Errorf("entry %d leads to %+v, want %+v", log.Index, outlineOf(f), state)
		}
	}
	if stats := f.MarkRecovered(); stats.Applied != applied || stats.Skipped != skipped {
		return fmt.Errorf("replay %+v, want %d applied and %d skipped", stats, applied, skipped)
	}
	return nil
}

// The machine dies at any operation on its disk while entries are applied and
// snapshots taken: nothing that raft was told to be durable is lost, nothing is
// applied twice, and the replay leads to the same state.
func TestP0CrashRecoveryAtEveryDiskOperation(t *testing.T) {
	logs := testLog(t, 32)
	want := outlines(t, logs)
	for name, cfg := range crashConfigs(1) {
		t.Run(name, func(t *testing.T) {
			points, disk := crashable(cfg)
			f := mustOpen(t, "node", small(disk))
			points.arm(true)
			type promise struct {
				after int // crash points passed
				index uint64
			}
			promises := []promise{{}}
			for i := 0; i < len(logs); i += 8 {
				feed(t, f, logs[i:min(i+8, len(logs))], 3)
				if i%16 == 8 {
					index := mustSnapshot(t, f).Index
					promises = append(promises, promise{points.passed(), index})
				}
			}
			points.arm(false)
			mustClose(t, f)
			if len(points.clones) < 50 {
				t.Fatalf("only %d crash points", len(points.clones))
			}
			var current uint64
			for i, clone := range points.clones {
				for len(promises) > 0 && promises[0].after <= i {
					current, promises = promises[0].index, promises[1:]
				}
				if err := recovers(clone, logs, want, current); err != nil {
					t.Fatalf("crash before operation %d (%s): %v", i, points.ops[i], err)
				}
			}
		})
	}
}

// The check above would notice a disk that does not sync.
func TestP0CrashRecoveryNeedsSync(t *testing.T) {
	logs := testLog(t, 40)
	want := outlines(t, logs)
	for name, syncing := range map[string]bool{"sync on": true, "sync off": false} {
		t.Run(name, func(t *testing.T) {
			memory := vfs.NewCrashableMem()
			var disk vfs.FS = memory
			if !syncing {
				disk = unsynced{memory}
			}
			f := mustOpen(t, "node", small(disk))
			feed(t, f, logs[:30], 4)
			promised := mustSnapshot(t, f).Index
			feed(t, f, logs[30:], 4)
			crashed := memory.CrashClone(strict())
			mustClose(t, f)
			err := recovers(crashed, logs, want, promised)
			if syncing && err != nil {
				t.Errorf("lost what was durable: %v", err)
			}
			if !syncing && (err == nil || !strings.Contains(err.Error(), "raft was told")) {
				t.Errorf("the loss of unsynced writes was not noticed: %v", err)
			}
		})
	}
}

// The machine dies at any operation while a snapshot is received and takes the
// place of the database: afterwards there is the old state or the new one, and
// with the new one raft's snapshot too.
func TestP0CrashRecoveryWithinInstall(t *testing.T) {
	logs := testLog(t, 30)
	want := outlines(t, logs)
	leader := mustOpen(t, "leader", small(vfs.NewMem()))
	defer mustClose(t, leader)
	feed(t, leader, logs[:25], 9)
	meta, stream := streamOf(t, leader)
	for name, cfg := range crashConfigs(1) {
		t.Run(name, func(t *testing.T) {
			points, disk := crashable(cfg)
			f := mustOpen(t, "node", small(disk))
			feed(t, f, logs[:10], 4)
			old := mustSnapshot(t, f).Index
			points.arm(true)
			if err := install(f, meta, stream); err != nil {
				t.Fatal(err)
			}
			finished := points.passed()
			f.closing.Wait() // the old database goes away
			points.arm(false)
			if outlineOf(f) != want[meta.Index] {
				t.Fatalf("installed %+v, want %+v", outlineOf(f), want[meta.Index])
			}
			mustClose(t, f)
			var saw [2]int
			for i, clone := range points.clones {
				f, err := Open("node", small(clone))
				if err != nil {
					t.Fatalf("crash before operation %d (%s): %v", i, points.ops[i], err)
				}
				newest, err := f.snapshots.newest()
				if err != nil || newest == nil {
					t.Fatalf("crash before operation %d (%s): newest snapshot %v, %v", i, points.ops[i], newest, err)
				}
				got := outlineOf(f)
				switch {
				case newest.Index == old && got == want[old]:
					saw[0]++
				case newest.Index == meta.Index && got == want[meta.Index]:
					saw[1]++
				default:
					t.Fatalf("crash before operation %d (%s): snapshot %d and %+v", i, points.ops[i], newest.Index, got)
				}
				if i >= finished && newest.Index == old {
					t.Fatalf("crash before operation %d (%s), after the end: the old state", i, points.ops[i])
				}
				mustClose(t, f) // waits for the removal of a replaced database
				if names, _ := clone.List("node"); len(names) != 3 {
					t.Fatalf("crash before operation %d (%s): left behind %q", i, points.ops[i], names)
				}
				if err := recovers(clone, logs, want, newest.Index); err != nil {
					t.Fatalf("crash before operation %d (%s): %v", i, points.ops[i], err)
				}
			}
			if saw[0] == 0 || saw[1] == 0 {
				t.Errorf("saw the old state %d times and the new one %d times", saw[0], saw[1])
			}
		})
	}
}
