package backup

import (
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

// Found is one backup in a folder of backups.
type Found struct {
	Path string
	// Metadata is nil where Err is set: the manifest cannot be used.
	Metadata *Metadata
	Err      error
}

// FS is the backup's files.
func (f Found) FS() fs.FS { return os.DirFS(f.Path) }

// List returns the backups in a folder, those that end earlier in the log first
// and unusable ones last. Only their manifests are read. A folder that is not there holds none.
func List(parent string) ([]Found, error) {
	entries, err := os.ReadDir(parent)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list backups: %w", err)
	}
	var all []Found
	for _, e := range entries {
		if !e.IsDir() || !namePattern.MatchString(e.Name()) {
			continue
		}
		f := Found{Path: filepath.Join(parent, e.Name())}
		f.Metadata, f.Err = ReadMetadata(f.FS())
		all = append(all, f)
	}
	slices.SortStableFunc(all, func(a, b Found) int {
		switch {
		case a.Metadata == nil || b.Metadata == nil:
			return boolean(a.Metadata == nil) - boolean(b.Metadata == nil)
		case a.Metadata.Index != b.Metadata.Index:
			return 1 - 2*boolean(a.Metadata.Index < b.Metadata.Index)
		}
		return strings.Compare(filepath.Base(a.Path), filepath.Base(b.Path))
	})
	return all, nil
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

// Tip returns the backup with which a new log backup of a cluster continues: the
// end of the chain of the newest full backup; nil if there is no full backup of
// that cluster.
func Tip(all []Found, clusterID string) *Found {
	var tip *Found
	for i, f := range all {
		if f.Metadata != nil && f.Metadata.Kind == Full && f.Metadata.ClusterID == clusterID {
			tip = &all[i] // sorted by index: the last one is the newest
		}
	}
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
// chosen one, in the folder that holds it, a full backup first (or a log backup
// that begins with entry 1), then log backups without a gap.
//
// Without a target the plan ends with the chosen backup. With one, it begins
// with the chosen backup, if that is a full one, else with the newest full backup
// before the target.
//
// Errors: ErrGap, ErrNotBackup, ErrVersion, ErrDamaged.
func Plan(path string, to Target) ([]Found, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	chosen := Found{Path: path}
	if chosen.Metadata, err = ReadMetadata(chosen.FS()); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	last := chosen.Metadata
	if last.Kind == Full && to == (Target{}) {
		return []Found{chosen}, nil
	}
	all, err := List(filepath.Dir(path))
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
			return nil, fmt.Errorf("%w: the backups in %s end with log index %d, committed at %s; no log backup there continues from it", ErrGap, filepath.Dir(path), end.Index, time.Unix(int64(end.CommittedAt), 0).UTC().Format(time.RFC3339))
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
// look at.
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

// Remove removes a backup. Its folder is given a hidden name first, so that a
// removal that is interrupted leaves nothing that looks like a damaged backup.
func Remove(path string) error {
	if name := filepath.Base(path); namePattern.MatchString(name) {
		hidden := filepath.Join(filepath.Dir(path), removed+name)
		if err := os.Rename(path, hidden); err != nil {
			return fmt.Errorf("remove the backup: %w", err)
		}
		path = hidden
	}
	return errors.Join(syncFile(filepath.Dir(path)), os.RemoveAll(path))
}

// Leftovers returns the folders of backups that were not finished, or not
// removed to the end, and were not touched since a time.
func Leftovers(parent string, since time.Time) ([]string, error) {
	entries, err := os.ReadDir(parent)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return nil, fmt.Errorf("list backups: %w", err)
	}
	var left []string
	for _, e := range entries {
		if !namePattern.MatchString(strings.TrimPrefix(strings.TrimPrefix(e.Name(), unfinished), removed)) || !strings.HasPrefix(e.Name(), ".") {
			continue
		}
		info, err := e.Info()
		if err == nil && info.ModTime().Before(since) {
			left = append(left, filepath.Join(parent, e.Name()))
		}
	}
	return left, nil
}
