package node

import (
	"context"
	"errors"
	"fmt"
	"path"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stemedb/stemedb/backup"
)

// BackupSchedule says which backups the leader takes by itself, and where to.
type BackupSchedule struct {
	// Store is where they go; nil takes none. Every node should reach the same
	// one: the next leader goes on where the last one stopped.
	Store backup.Store
	// Interval is how often a full backup is taken, unless nothing has changed
	// since the last one. At least minBackupInterval.
	Interval time.Duration
	// Keep is how many full backups of this cluster stay in the store, and
	// KeepWithin for how long every one does.
	Keep       int
	KeepWithin time.Duration
}

// minBackupInterval bounds the interval: each backup reads the whole state.
const minBackupInterval = time.Second

const (
	// backupRetry is the pause before a backup that failed is tried again; it
	// doubles up to the interval.
	backupRetry = 30 * time.Second
	// backupAbandoned is how long nothing must have been added to a backup that is
	// not finished until it is taken for abandoned and removed. A file takes less.
	backupAbandoned = 15 * time.Minute
)

func (s *BackupSchedule) validate() error {
	if s.Interval < minBackupInterval || s.Keep < 1 || s.KeepWithin < 0 {
		return fmt.Errorf("backups are scheduled every %v, of which %d and all of the last %v stay: the interval must be at least %v, one must stay, and the time not be negative", s.Interval, s.Keep, s.KeepWithin, minBackupInterval)
	}
	return nil
}

// backupState is what this node knows of scheduled backups.
type backupState struct {
	mu sync.Mutex
	// success is when a backup in the store last held, or was seen to still hold,
	// the state; 0 if that is not known.
	success time.Time
	// size is that of the newest backup in the store.
	size     int64
	failures int
}

// set notes, at a time, that a backup of another time holds the state. What is
// later than now was told by a clock that was ahead, and says nothing.
func (s *backupState) set(now, success time.Time, size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.success.After(now) {
		s.success = time.Time{}
	}
	if success.After(s.success) && !success.After(now) {
		s.success = success
	}
	s.size = size
}

func (s *backupState) fail() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures++
}

func (s *backupState) get() (success time.Time, size int64, failures int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.success, s.size, s.failures
}

// scheduleBackups takes backups for as long as ctx lasts, which is that of a term.
// It begins with what the store holds, so that a change of leader neither delays
// the next backup nor repeats the last one.
func (n *Node) scheduleBackups(ctx context.Context) {
	plan := n.cfg.Backups
	if plan.Store == nil {
		return
	}
	retry, wait := backupRetry, time.Duration(0)
	for {
		next := time.NewTimer(wait)
		select {
		case <-next.C:
		case <-ctx.Done():
			next.Stop()
			return
		}
		err := n.backupIfDue(ctx, plan)
		switch {
		case err == nil:
			wait, retry = n.untilBackup(plan.Interval), backupRetry
		case ctx.Err() != nil:
			return
		default:
			n.backups.fail()
			wait = min(retry, plan.Interval)
			retry *= 2
			n.log.Error("the scheduled backup failed: the last one grows old", "retry_in", wait.String(), "error", err)
		}
	}
}

// untilBackup is the time until the next backup is due, 0 if it is.
func (n *Node) untilBackup(interval time.Duration) time.Duration {
	success, _, _ := n.backups.get()
	return min(max(success.Add(interval).Sub(n.cfg.Now()), 0), interval)
}

// ofCluster are the backups of one cluster, and those that cannot be used, which
// may be of any.
func ofCluster(all []backup.Found, id string) (own []backup.Found) {
	for _, f := range all {
		if f.Metadata == nil || f.Metadata.ClusterID == id {
			own = append(own, f)
		}
	}
	return own
}

// backupIfDue looks at the store, and if the newest backup there is too old takes
// one, unless that one still holds the state, and removes what is not to be kept.
func (n *Node) backupIfDue(ctx context.Context, plan BackupSchedule) error {
	began := n.cfg.Now()
	all, err := backup.List(ctx, plan.Store)
	if err != nil {
		return err
	}
	all = ofCluster(all, n.ClusterID())
	newest, err := n.newestBackup(all)
	if err != nil {
		return err
	}
	if newest != nil {
		n.backups.set(began, newest.Metadata.Timestamp, newest.Metadata.TotalBytes)
	}
	if newest != nil && n.untilBackup(plan.Interval) > 0 {
		return nil
	}
	view, err := n.Read(ctx, Consistency{})
	if err != nil {
		return err
	}
	now := viewHead(view)
	if err := view.Close(); err != nil {
		return err
	}
	if newest != nil && newest.Metadata.Digest == now.digest && newest.Metadata.AssertionCount == now.count {
		n.log.Info("no backup is due: nothing has changed since the last one", "index", newest.Metadata.Index)
		n.backups.set(n.cfg.Now(), began, newest.Metadata.TotalBytes)
		return n.tidyBackups(ctx, plan, all)
	}
	taken, m, err := n.storeBackup(ctx, plan.Store)
	if err != nil {
		return err
	}
	n.backups.set(n.cfg.Now(), m.Timestamp, m.TotalBytes)
	n.log.Info("took the scheduled backup", "path", taken, "index", m.Index, "assertions", m.AssertionCount, "bytes", m.TotalBytes, "took", n.cfg.Now().Sub(began).String())
	return n.tidyBackups(ctx, plan, append(all, backup.Found{Path: taken, Name: path.Base(taken), Metadata: m}))
}

// newestBackup is the newest full backup of this cluster, nil if there is none or if
// it lacks some of what its manifest lists.
func (n *Node) newestBackup(all []backup.Found) (*backup.Found, error) {
	newest := backup.NewestFull(all, n.ClusterID())
	if newest == nil {
		return nil, nil
	}
	err := newest.Complete()
	if errors.Is(err, backup.ErrDamaged) || errors.Is(err, backup.ErrEncrypted) {
		n.log.Warn("the newest backup does not count: taking another one", "path", newest.Path, "error", err)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", newest.Path, err)
	}
	return newest, nil
}

// storeBackup takes a full backup into the store.
func (n *Node) storeBackup(ctx context.Context, store backup.Store) (path string, m *backup.Metadata, err error) {
	b, err := n.Backup(ctx, BackupRequest{Kind: backup.Full})
	if err != nil {
		return "", nil, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	place, err := store.Create(ctx, b.head.Timestamp)
	if err != nil {
		return "", nil, err
	}
	defer func() { err = errors.Join(err, place.Close()) }()
	m, err = b.WriteTo(ctx, place)
	return place.Path(), m, err
}

// tidyBackups removes those of this cluster's backups that are not to be kept, and
// what was never finished.
func (n *Node) tidyBackups(ctx context.Context, plan BackupSchedule, all []backup.Found) error {
	now := n.cfg.Now()
	gone, err := plan.Store.Leftovers(ctx, now.Add(-backupAbandoned))
	if err != nil {
		return fmt.Errorf("look for backups that were not finished: %w", err)
	}
	for _, f := range backup.Prune(all, backup.Keep{Full: plan.Keep, Since: now.Add(-plan.KeepWithin)}) {
		gone = append(gone, f.Name)
	}
	for _, name := range gone {
		if err := plan.Store.Remove(ctx, name); err != nil {
			return err
		}
		n.log.Info("removed an old or unfinished backup", "path", plan.Store.Path(name))
	}
	return nil
}

// collectBackups sends the metrics of scheduled backups.
func (n *Node) collectBackups(ch chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, t prometheus.ValueType, v float64) {
		ch <- prometheus.MustNewConstMetric(d, t, v)
	}
	interval, at := time.Duration(0), 0.0
	if n.cfg.Backups.Store != nil {
		interval = n.cfg.Backups.Interval
	}
	success, size, failures := n.backups.get()
	if !success.IsZero() {
		at = float64(success.UnixMilli()) / 1e3
		send(descBackupAge, prometheus.GaugeValue, n.cfg.Now().Sub(success).Seconds())
	}
	send(descBackupInterval, prometheus.GaugeValue, interval.Seconds())
	send(descBackupSuccess, prometheus.GaugeValue, at)
	send(descBackupSize, prometheus.GaugeValue, float64(size))
	send(descBackupFailures, prometheus.CounterValue, float64(failures))
}
