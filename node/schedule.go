package node

import (
	"context"
	"errors"
	"fmt"
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

func (s *backupState) set(success time.Time, size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if success.After(s.success) {
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
	known := false
	retry := backupRetry
	var wait time.Duration
	for {
		next := time.NewTimer(wait)
		select {
		case <-next.C:
		case <-ctx.Done():
			next.Stop()
			return
		}
		err := error(nil)
		if !known {
			var newest *backup.Metadata
			if newest, err = n.newestBackup(ctx); err == nil && newest != nil {
				n.backups.set(newest.Timestamp, newest.TotalBytes)
			}
			known = err == nil
		}
		success, _, _ := n.backups.get()
		if due := success.Add(plan.Interval).Sub(n.cfg.Now()); err == nil && due > 0 {
			wait = min(due, plan.Interval)
			continue
		}
		if err == nil {
			err = n.runBackup(ctx)
		}
		switch {
		case err == nil:
			wait, retry = 0, backupRetry // until it is due
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

// newestBackup is the newest full backup of this cluster in the store, nil if
// there is none.
func (n *Node) newestBackup(ctx context.Context) (*backup.Metadata, error) {
	all, err := backup.List(ctx, n.cfg.Backups.Store)
	if err != nil {
		return nil, err
	}
	if newest := backup.NewestFull(all, n.ClusterID()); newest != nil {
		return newest.Metadata, nil
	}
	return nil, nil
}

// ofCluster are the usable backups of one cluster.
func ofCluster(all []backup.Found, id string) (own []backup.Found) {
	for _, f := range all {
		if f.Metadata != nil && f.Metadata.ClusterID == id {
			own = append(own, f)
		}
	}
	return own
}

// runBackup takes a backup unless the newest one still holds the state, then
// removes what is not to be kept.
func (n *Node) runBackup(ctx context.Context) error {
	began := n.cfg.Now()
	newest, err := n.newestBackup(ctx)
	if err != nil {
		return err
	}
	view, err := n.Read(ctx, Consistency{})
	if err != nil {
		return err
	}
	now := viewHead(view)
	if err := view.Close(); err != nil {
		return err
	}
	if newest != nil && newest.Digest == now.digest && newest.AssertionCount == now.count {
		n.log.Info("no backup is due: nothing has changed since the last one", "index", newest.Index)
		n.backups.set(began, newest.TotalBytes)
		return n.tidyBackups(ctx)
	}
	path, m, err := n.storeBackup(ctx)
	if err != nil {
		return err
	}
	n.backups.set(m.Timestamp, m.TotalBytes)
	n.log.Info("took the scheduled backup", "path", path, "index", m.Index, "assertions", m.AssertionCount, "bytes", m.TotalBytes, "took", n.cfg.Now().Sub(began).String())
	return n.tidyBackups(ctx)
}

// storeBackup takes a full backup into the store.
func (n *Node) storeBackup(ctx context.Context) (path string, m *backup.Metadata, err error) {
	b, err := n.Backup(ctx, BackupRequest{Kind: backup.Full})
	if err != nil {
		return "", nil, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	place, err := n.cfg.Backups.Store.Create(ctx, b.head.Timestamp)
	if err != nil {
		return "", nil, err
	}
	defer func() { err = errors.Join(err, place.Close()) }()
	m, err = b.WriteTo(ctx, place)
	return place.Path(), m, err
}

// tidyBackups removes this cluster's backups that are not to be kept, and what
// was never finished.
func (n *Node) tidyBackups(ctx context.Context) error {
	plan, now := n.cfg.Backups, n.cfg.Now()
	all, err := backup.List(ctx, plan.Store)
	if err != nil {
		return err
	}
	gone, err := plan.Store.Leftovers(ctx, now.Add(-backupAbandoned))
	if err != nil {
		return fmt.Errorf("look for backups that were not finished: %w", err)
	}
	for _, f := range backup.Prune(ofCluster(all, n.ClusterID()), backup.Keep{Full: plan.Keep, Since: now.Add(-plan.KeepWithin)}) {
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
