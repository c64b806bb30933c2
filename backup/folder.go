package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// ErrGap means that there are not all the backups that are needed to reach a
// point of the log.
var ErrGap = errors.New("a gap between backups")

// Found is one backup in a store.
type Found struct {
	// Path names it for people and for Locate, Name within its store.
	Path, Name string
	// Metadata is nil where Err is set: the manifest cannot be used.
	Metadata *Metadata
	Err      error

	files fs.FS
}

// FS is the backup's files.
func (f Found) FS() fs.FS { return f.files }

// Folder is a store in a folder, which need not be there: it holds no backup then.
type Folder string

// Path implements Store.
func (f Folder) Path(name string) string { return filepath.Join(string(f), name) }

// Open implements Store.
func (f Folder) Open(_ context.Context, name string) fs.FS { return os.DirFS(f.Path(name)) }

// Create implements Store.
func (f Folder) Create(_ context.Context, at time.Time) (Place, error) { return NewDir(string(f), at) }

// names returns the names of the folders in it that match.
func (f Folder) names(match func(fs.DirEntry) bool) ([]string, error) {
	entries, err := os.ReadDir(string(f))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && match(e) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Names implements Store.
func (f Folder) Names(context.Context) ([]string, error) {
	return f.names(func(e fs.DirEntry) bool { return namePattern.MatchString(e.Name()) })
}

// Leftovers implements Store.
func (f Folder) Leftovers(_ context.Context, since time.Time) ([]string, error) {
	return f.names(func(e fs.DirEntry) bool {
		name := strings.TrimPrefix(strings.TrimPrefix(e.Name(), unfinished), removed)
		if name == e.Name() || !namePattern.MatchString(name) {
			return false
		}
		info, err := e.Info()
		return err == nil && info.ModTime().Before(since)
	})
}

// Remove implements Store.
func (f Folder) Remove(_ context.Context, name string) error {
	path, err := f.hide(name)
	if err != nil {
		return fmt.Errorf("remove the backup: %w", err)
	}
	return errors.Join(syncFile(string(f)), os.RemoveAll(path))
}

// hide gives a backup, or a leftover, a name under which it is neither taken for a
// backup nor finished by who still writes it.
func (f Folder) hide(name string) (path string, err error) {
	if strings.HasPrefix(name, removed) {
		return f.Path(name), nil
	}
	path = f.Path(removed + strings.TrimPrefix(name, unfinished))
	return path, os.Rename(f.Path(name), path)
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}

// follows reports whether a log backup continues, without a gap, what ends with
// the backup before.
func (m *Metadata) follows(before *Metadata) bool {
	return m.Kind == Log && m.ClusterID == before.ClusterID && m.FirstIndex <= before.Index+1 && m.Index > before.Index &&
		(m.FirstIndex <= before.Index || m.PreviousTerm == 0 || m.PreviousTerm == before.Term)
}

// NewestFull returns the newest full backup of a cluster, of backups in the order
// of List; nil if there is none.
func NewestFull(all []Found, clusterID string) *Found {
	for i := range slices.Backward(all) {
		if m := all[i].Metadata; m != nil && m.Kind == Full && m.ClusterID == clusterID {
			return &all[i]
		}
	}
	return nil
}

// Tip returns the backup with which a new log backup of a cluster continues: the
// end of the chain of the newest full backup; nil if there is no full backup of
// that cluster.
func Tip(all []Found, clusterID string) *Found {
	tip := NewestFull(all, clusterID)
	if tip == nil {
		return nil
	}
	for next := successor(all, tip.Metadata); next != nil; next = successor(all, tip.Metadata) {
		tip = next
	}
	return tip
}

// successor is the log backup that follows one and reaches furthest, nil if none
// does.
func successor(all []Found, before *Metadata) (best *Found) {
	for i, f := range all {
		if f.Metadata != nil && f.Metadata.follows(before) && (best == nil || f.Metadata.Index > best.Metadata.Index) {
			best = &all[i]
		}
	}
	return best
}

// Target is the point of the log that a restore ends with. The zero value is
// the end of the chosen backup.
type Target struct {
	// Index, if not 0, is the last entry to restore.
	Index uint64
	// Time, if not 0, is the last time of commit to restore, unix seconds.
	Time uint64
}

// reachedBy reports whether everything up to the target lies within a backup or
// before it.
func (t Target) reachedBy(m *Metadata) bool {
	return t.Index != 0 && m.Index >= t.Index || t.Time != 0 && m.CommittedAt > t.Time
}

// Plan returns the backups that a restore applies one after another: of the
// chosen one, in the store that holds it, a full backup first (or a log backup
// that begins with entry 1), then log backups without a gap.
//
// Without a target the plan ends with the chosen backup. With one, it begins
// with the chosen backup, if that is a full one, else with the newest full backup
// before the target.
//
// Errors: ErrGap, ErrNotBackup, ErrVersion, ErrDamaged.
func Plan(ctx context.Context, store Store, name string, to Target) ([]Found, error) {
	chosen := Find(ctx, store, name)
	if chosen.Err != nil {
		return nil, fmt.Errorf("%s: %w", chosen.Path, chosen.Err)
	}
	last := chosen.Metadata
	if last.Kind == Full && to == (Target{}) {
		return []Found{chosen}, nil
	}
	all, err := List(ctx, store)
	if err != nil {
		return nil, err
	}
	if to == (Target{}) {
		to.Index = last.Index
	}
	base := chosen
	if last.Kind == Log {
		if base, err = baseOf(all, last, to); err != nil {
			return nil, err
		}
	}
	if beyond(base.Metadata, to) {
		return nil, fmt.Errorf("%w: %s already holds what came after the wanted point (it ends with log index %d, committed at %d): choose an earlier full backup", ErrGap, base.Path, base.Metadata.Index, base.Metadata.CommittedAt)
	}
	plan := []Found{base}
	for end := base.Metadata; !to.reachedBy(end); end = plan[len(plan)-1].Metadata {
		next := successor(all, end)
		if next == nil {
			if to.Index == 0 && end.CommittedAt == to.Time {
				break
			}
			return nil, fmt.Errorf("%w: the backups in %s end with log index %d, committed at %s; no log backup there continues from it: to restore all there is, name the last one, and no index or time", ErrGap, strings.TrimSuffix(chosen.Path, chosen.Name), end.Index, time.Unix(int64(end.CommittedAt), 0).UTC().Format(time.RFC3339))
		}
		plan = append(plan, *next)
	}
	return plan, nil
}

// beyond reports whether a full backup holds something from after a target.
func beyond(m *Metadata, to Target) bool {
	return m.Kind == Full && (to.Index != 0 && m.Index > to.Index || to.Time != 0 && m.CommittedAt > to.Time)
}

// baseOf is the newest backup that a restore of a chain with a log backup can
// begin with.
func baseOf(all []Found, last *Metadata, to Target) (base Found, err error) {
	for _, f := range all {
		m := f.Metadata
		if m == nil || m.ClusterID != last.ClusterID || beyond(m, to) {
			continue
		}
		if m.Kind == Full && m.Index <= last.Index || m.Kind == Log && m.FirstIndex == 1 && base.Metadata == nil {
			base = f
		}
	}
	if base.Metadata == nil {
		return base, fmt.Errorf("%w: beside the log backup there is no full backup of cluster %s before the wanted point, and its log does not begin with entry 1", ErrGap, last.ClusterID)
	}
	return base, nil
}

// Keep says what a pruning leaves. What is kept for either reason stays, with all
// that it builds on.
type Keep struct {
	// Full is how many full backups are kept, the newest ones.
	Full int
	// Since keeps every backup that began at or after this time.
	Since time.Time
}

// Prune returns the backups of a folder that are not to be kept: full ones that
// are too old, and log backups that no kept full backup leads to. Where no full
// backup would be left, nothing may go. Unusable backups are left for people to
// look at; where one may be a full backup that cannot be read now, or not by this
// software, all log backups stay: they may continue it.
func Prune(all []Found, keep Keep) []Found {
	var gone []Found
	clusters := map[string]int{}
	kept := map[string]*Metadata{} // by cluster: the oldest full backup that stays
	for _, f := range slices.Backward(all) {
		if f.Metadata == nil || f.Metadata.Kind != Full {
			continue
		}
		id := f.Metadata.ClusterID
		if clusters[id]++; clusters[id] > max(keep.Full, 1) && f.Metadata.Timestamp.Before(keep.Since) {
			gone = append(gone, f)
			continue
		}
		if kept[id] == nil || f.Metadata.Index < kept[id].Index {
			kept[id] = f.Metadata
		}
	}
	if slices.ContainsFunc(all, func(f Found) bool {
		return f.Err != nil && !errors.Is(f.Err, ErrNotBackup) && !errors.Is(f.Err, ErrDamaged)
	}) {
		return gone
	}
	for _, f := range all {
		if f.Metadata == nil || f.Metadata.Kind != Log {
			continue
		}
		if oldest := kept[f.Metadata.ClusterID]; oldest != nil && f.Metadata.Index <= oldest.Index {
			gone = append(gone, f)
		}
	}
	return gone
}
