package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/backup"
	"github.com/stemedb/stemedb/fsm"
	"github.com/stemedb/stemedb/transport"
)

var (
	// ErrDataDirNotEmpty means that a restore would have to replace data.
	ErrDataDirNotEmpty = errors.New("the data directory is not empty")
	// ErrInterruptedRestore means that a restore into this data directory did not
	// come to its end, so that what is there must not be served.
	ErrInterruptedRestore = errors.New("a restore into this data directory was interrupted")
)

// RestoreRequest says what to restore.
type RestoreRequest struct {
	// Path is the folder of a backup, or s3://BUCKET/PREFIX/NAME.
	Path string
	// Keys open an encrypted backup.
	Keys backup.Keys
	// Target is the point of the log to restore to; see backup.Plan.
	Target backup.Target
	// Replace renames a data directory that is not empty instead of refusing it.
	Replace bool
	// Progress, if not nil, is told what is being done.
	Progress func(what string)
}

// Restored is what a restore has made.
type Restored struct {
	NodeID, Address, ClusterID string
	// Backups are the folders that were applied, in order.
	Backups []string
	// From is the cluster that the backup is of, Index the log index that the
	// state is of, CommittedAt the time of its commit, unix seconds.
	From        string
	Index       uint64
	CommittedAt uint64
	Assertions  uint64
	Digest      assertion.Hash
	// Keys are the API keys that are good in the restored cluster, also those that
	// were revoked after the backup.
	Keys []*assertion.APIKey
	// Replaced is where the data is that was there before, "" if there was none.
	Replaced string
}

// stagingName is the folder in an empty data directory in which a restore
// builds; as long as it is there, the restore has not come to its end.
const stagingName = "restore.tmp"

// stagingPrefix begins the name of the folder beside a data directory in which
// the replacement of its data is built.
const stagingPrefix = ".stemedb-restore-"

// Restore makes the data directory of one node of a backup: a new cluster of
// that node alone, with a new name, that others join. The node must not run. A
// data directory that may not be replaced is refused first. Then all backups are
// read and checked, before anything is written, and the data directory holds either
// what it held before or the whole restored node: a restore that was interrupted is
// recognised, never served, and can be repeated.
//
// Errors: ErrDataDirInUse, ErrDataDirNotEmpty, and those of backup.Plan and
// backup.Verify.
func Restore(ctx context.Context, cfg Config, r RestoreRequest) (out Restored, err error) {
	if out.Address, err = cfg.soleAddress("restore"); err != nil {
		return out, err
	}
	if r.Progress == nil {
		r.Progress = func(string) {}
	}
	lock, err := lockOccupied(&cfg, r.Replace)
	defer func() {
		if lock != nil {
			err = errors.Join(err, lock.Close())
		}
	}()
	if err != nil {
		return out, err
	}
	plan, err := checkedPlan(ctx, r)
	if err != nil {
		return out, err
	}
	for _, f := range plan {
		out.Backups = append(out.Backups, f.Path)
	}
	if lock == nil {
		if lock, err = lockDataDir(&cfg); err != nil {
			return out, err
		}
	}
	place, err := choosePlace(&cfg, r.Replace)
	if err != nil {
		return out, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, place.abandon())
		}
	}()
	if err := place.build(ctx, &cfg, plan, r, &out); err != nil {
		return out, err
	}
	out.Replaced, err = place.commit()
	return out, err
}

// lockOccupied locks a data directory that holds something which a restore may
// replace. One that is empty, or not there, is in nobody's use: it is left as it is,
// and the lock is nil.
//
// Errors: ErrDataDirInUse, ErrDataDirNotEmpty; the lock may be there then.
func lockOccupied(cfg *Config, replace bool) (io.Closer, error) {
	there, err := os.ReadDir(cfg.DataDir)
	if len(there) == 0 && (err == nil || errors.Is(err, fs.ErrNotExist)) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look at the data directory: %w", err)
	}
	lock, err := lockDataDir(cfg)
	if err != nil {
		return nil, err
	}
	_, err = replaces(cfg, replace)
	return lock, err
}

// place is where a restore builds, and how that becomes the data directory.
type place struct {
	dataDir, staging string
	// inside says that staging lies in the data directory, which is otherwise empty;
	// else beside it.
	inside bool
	locked io.Closer // the lock of staging where it is to be the data directory
	done   bool
}

// replaces tells whether a restore replaces what the data directory, which is locked,
// holds. An empty one, and what an interrupted restore has left, is not replaced.
//
// Errors: ErrDataDirNotEmpty if it may not be.
func replaces(cfg *Config, may bool) (bool, error) {
	if interruptedRestore(cfg) {
		return false, nil
	}
	entries, err := os.ReadDir(cfg.DataDir)
	if err != nil {
		return false, fmt.Errorf("look at the data directory: %w", err)
	}
	var held []string
	for _, e := range entries {
		if e.Name() != filepath.Base(cfg.lockPath()) && e.Name() != "lost+found" {
			held = append(held, e.Name())
		}
	}
	if len(held) > 0 && !may {
		return false, fmt.Errorf("%w: %s holds %s and %d more: give an empty one, or --force, which renames it", ErrDataDirNotEmpty, cfg.DataDir, held[0], len(held)-1)
	}
	return len(held) > 0, nil
}

// choosePlace makes the folder to build in, of a data directory that is locked. An
// earlier restore that was interrupted is cleared away.
func choosePlace(cfg *Config, replace bool) (*place, error) {
	replace, err := replaces(cfg, replace)
	if err != nil {
		return nil, err
	}
	p := &place{dataDir: cfg.DataDir, staging: filepath.Join(cfg.DataDir, stagingName), inside: !replace}
	if replace {
		if p.staging, err = os.MkdirTemp(filepath.Dir(cfg.DataDir), stagingPrefix); err != nil {
			return nil, fmt.Errorf("make a folder beside the data directory: %w", err)
		}
		staged := Config{DataDir: p.staging}
		if p.locked, err = lockDataDir(&staged); err != nil {
			return nil, errors.Join(err, p.abandon())
		}
		return p, nil
	}
	if interruptedRestore(cfg) {
		// What is there came from the staging folder, which is cleared last.
		for _, name := range append(restoredNames(cfg), stagingName) {
			if err := os.RemoveAll(filepath.Join(cfg.DataDir, name)); err != nil {
				return nil, fmt.Errorf("clear away an interrupted restore: %w", err)
			}
		}
	}
	if err := os.Mkdir(p.staging, 0o700); err != nil {
		return nil, fmt.Errorf("make a folder in the data directory: %w", err)
	}
	return p, syncDir(cfg.DataDir)
}

// interruptedRestore tells whether a restore into an empty data directory did
// not come to its end.
func interruptedRestore(cfg *Config) bool {
	_, err := os.Stat(filepath.Join(cfg.DataDir, stagingName))
	return err == nil
}

// restoredNames are what a restore puts into a data directory, the identity last. Of
// the logs it is one.
func restoredNames(cfg *Config) []string {
	return []string{filepath.Base(cfg.statePath()), filepath.Base(boltPath(cfg.DataDir)), filepath.Base(walPath(cfg.DataDir)), filepath.Base(cfg.identityPath())}
}

// abandon removes what was built.
func (p *place) abandon() error {
	var errs []error
	if p.locked != nil {
		errs = append(errs, p.locked.Close())
	}
	if !p.done {
		errs = append(errs, os.RemoveAll(p.staging))
	}
	return errors.Join(errs...)
}

// build makes the node in the staging folder.
func (p *place) build(ctx context.Context, cfg *Config, plan []backup.Found, r RestoreRequest, out *Restored) (err error) {
	staged := *cfg
	staged.DataDir = p.staging
	state, err := restoreState(ctx, &staged, plan, r)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	got, err := stateHead(state)
	if err != nil {
		return err
	}
	if out.Keys, err = goodKeys(state); err != nil {
		return err
	}
	out.From, out.Index, out.CommittedAt, out.Assertions, out.Digest = got.cluster, got.applied.Index, got.applied.CommittedAt, got.count, got.digest
	who, err := restoredIdentity(cfg, p.inside)
	if err != nil {
		return err
	}
	out.NodeID, out.ClusterID = who.NodeID, who.ClusterID
	r.Progress("making cluster " + who.ClusterID)
	if err := state.RenameCluster(who.ClusterID); err != nil {
		return fmt.Errorf("rename the cluster: %w", err)
	}
	if err := found(&staged, state, got, who.NodeID, out.Address); err != nil {
		return err
	}
	return who.save(&staged)
}

// stateHead is what a state says of itself now.
func stateHead(state *fsm.FSM) (head, error) {
	view, err := state.View()
	if err != nil {
		return head{}, err
	}
	return viewHead(view), view.Close()
}

// goodKeys are the API keys of a state that can be used now.
func goodKeys(state *fsm.FSM) (good []*assertion.APIKey, err error) {
	view, err := state.View()
	if err != nil {
		return nil, err
	}
	keys, err := view.APIKeys()
	now := uint64(time.Now().Unix())
	for _, k := range keys {
		if !k.Revoked && !k.Expired(now) {
			good = append(good, k)
		}
	}
	return good, errors.Join(err, view.Close())
}

// matches compares a state that a whole backup has led to with its manifest.
func matches(state *fsm.FSM, m *backup.Metadata) error {
	got, err := stateHead(state)
	if err != nil {
		return err
	}
	if got.cluster != m.ClusterID {
		return fmt.Errorf("%w: the state is of cluster %s, the manifest says %s", backup.ErrDamaged, got.cluster, m.ClusterID)
	}
	if got.digest != m.Digest || got.count != m.AssertionCount || got.applied.Index != m.Index {
		return fmt.Errorf("%w: the state at log index %d holds %d assertions with digest %s, the manifest says %d assertions with digest %s at index %d", backup.ErrDamaged,
			got.applied.Index, got.count, assertion.Hash(got.digest), m.AssertionCount, m.Digest, m.Index)
	}
	return nil
}

// restoreState builds the state of the backups of a plan. After each that was
// applied to its end, the state must be the one that its manifest describes.
func restoreState(ctx context.Context, staged *Config, plan []backup.Found, r RestoreRequest) (state *fsm.FSM, err error) {
	defer func() {
		if err != nil && state != nil {
			err = errors.Join(err, state.Close())
			state = nil
		}
	}()
	if base := plan[0]; base.Metadata.Kind == backup.Full {
		r.Progress("restoring " + base.Path)
		state, err = fsm.Import(staged.statePath(), staged.stateOptions(), &interruptible{ctx, backup.NewReader(base.FS(), base.Metadata)})
		if err == nil {
			err = matches(state, base.Metadata)
		}
		plan = plan[1:]
	} else {
		state, err = fsm.Open(staged.statePath(), staged.stateOptions())
	}
	if err != nil {
		return state, fmt.Errorf("restore the state: %w", err)
	}
	log, err := newReplay(state, r.Target)
	if err != nil {
		return state, err
	}
	for _, f := range plan {
		r.Progress("replaying " + f.Path)
		err := backup.Entries(f.FS(), f.Metadata, func(e backup.Entry) error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return log.add(&raft.Log{Index: e.Index, Term: e.Term, Type: raft.LogType(e.Type), Data: e.Data})
		})
		if err == nil {
			err = log.flush()
		}
		if err == nil && !log.ended {
			err = matches(state, f.Metadata)
		}
		if err != nil {
			return state, fmt.Errorf("%s: %w", f.Path, err)
		}
	}
	at, err := stateHead(state)
	if err == nil && at.cluster == "" {
		err = fmt.Errorf("at log index %d the cluster had no name yet: restore to a later point", at.applied.Index)
	}
	return state, err
}

// BackupState builds the state of a backup, up to a point, in a folder that does
// not exist yet, to be read; the caller closes it and removes the folder.
func BackupState(ctx context.Context, dir string, r RestoreRequest) (*fsm.FSM, error) {
	if r.Progress == nil {
		r.Progress = func(string) {}
	}
	plan, err := checkedPlan(ctx, r)
	if err != nil {
		return nil, err
	}
	staged := DefaultConfig()
	staged.DataDir, staged.Logger = dir, slog.New(slog.DiscardHandler)
	return restoreState(ctx, &staged, plan, r)
}

// checkedPlan is the plan of a restore, of which every byte was checked.
func checkedPlan(ctx context.Context, r RestoreRequest) ([]backup.Found, error) {
	store, name, err := backup.Locate(r.Path, r.Keys)
	if err != nil {
		return nil, err
	}
	plan, err := backup.Plan(ctx, store, name, r.Target)
	if err != nil {
		return nil, err
	}
	for _, f := range plan {
		r.Progress("checking " + f.Path)
		if _, err := backup.Verify(f.FS()); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Path, err)
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
	return plan, nil
}

// interruptible is a reader that ends with its context.
type interruptible struct {
	ctx context.Context
	io.Reader
}

// Read implements io.Reader.
func (r *interruptible) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.Reader.Read(p)
}

// restoredIdentity is that of the node: the name that the setting gives, or the
// data directory's that is replaced, or a new one; and a new cluster.
func restoredIdentity(cfg *Config, empty bool) (identity, error) {
	who := identity{NodeID: cfg.NodeID}
	if _, err := os.Stat(cfg.identityPath()); who.NodeID == "" && !empty && err == nil {
		before, err := resolveIdentity(cfg)
		if err != nil {
			return who, err
		}
		who.NodeID = before.NodeID
	}
	if who.NodeID == "" {
		who.NodeID = "node-" + randomHex(6)
	}
	if !validNodeID.MatchString(who.NodeID) {
		return who, badNodeID(who.NodeID)
	}
	who.ClusterID = randomHex(clusterIDBytes)
	return who, nil
}

// found makes a state the snapshot of a raft cluster of one node, and its log the
// empty one that follows.
func found(staged *Config, state *fsm.FSM, at head, id, address string) error {
	snapshot, err := state.Snapshot()
	if err != nil {
		return fmt.Errorf("take a snapshot of the restored state: %w", err)
	}
	defer snapshot.Release()
	sink, err := state.SnapshotStore().Create(raft.SnapshotVersionMax, at.applied.Index, at.applied.Term, sole(id, address), at.applied.Index, nil)
	if err != nil {
		return fmt.Errorf("take a snapshot of the restored state: %w", err)
	}
	if err := snapshot.Persist(sink); err != nil {
		return fmt.Errorf("take a snapshot of the restored state: %w", err)
	}
	logs, err := OpenLogStore(staged.DataDir, staged.logOptions(staged.LogStore))
	if err != nil {
		return err
	}
	// Terms go on from that of the state: a log must not go back in them.
	return errors.Join(logs.SetUint64([]byte(termKey), at.applied.Term), logs.Close())
}

// termKey is where raft keeps its term in the stable store.
const termKey = "CurrentTerm"

// commit puts what was built into its place.
func (p *place) commit() (replaced string, err error) {
	if err := syncDir(p.staging); err != nil {
		return "", err
	}
	if !p.inside {
		return p.exchange()
	}
	staged := Config{DataDir: p.staging}
	for _, name := range restoredNames(&staged) {
		from := filepath.Join(p.staging, name)
		if _, err := os.Lstat(from); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := os.Rename(from, filepath.Join(p.dataDir, name)); err != nil {
			return "", fmt.Errorf("put the restored data into its place: %w", err)
		}
	}
	if err := syncDir(p.dataDir); err != nil {
		return "", err
	}
	if err := os.Remove(p.staging); err != nil { // from here on the directory counts
		return "", fmt.Errorf("put the restored data into its place: %w", err)
	}
	p.done = true
	return "", syncDir(p.dataDir)
}

// exchange swaps the staging folder and the data directory in one step, and gives
// the old data its new name.
func (p *place) exchange() (replaced string, err error) {
	parent := filepath.Dir(p.dataDir)
	if err := exchangeDirs(p.staging, p.dataDir); err != nil {
		return "", fmt.Errorf("exchange %s for the restored data: %w: the file system cannot do that, or the directory is a mount point: empty it, and restore without --force", p.dataDir, err)
	}
	p.done = true
	replaced = fmt.Sprintf("%s.before-restore-%s", p.dataDir, time.Now().UTC().Format("20060102-150405"))
	if err := os.Rename(p.staging, replaced); err != nil {
		return p.staging, fmt.Errorf("the data is restored, but what was there before is still in %s: %w", p.staging, err)
	}
	return replaced, errors.Join(syncDir(parent), p.locked.Close())
}

// restoreFirst restores a backup on the first start of a node, if the settings
// say so. It does nothing where another node is to restore, where the data directory
// holds a node, or where a node that is to be joined belongs to a cluster.
func restoreFirst(ctx context.Context, cfg *Config) error {
	if cfg.RestoreFrom == "" || cfg.RestoreNode != "" && cfg.RestoreNode != cfg.NodeID {
		return nil
	}
	if _, err := os.Stat(cfg.identityPath()); !errors.Is(err, fs.ErrNotExist) && !interruptedRestore(cfg) {
		return err
	}
	there, err := clusterThere(ctx, cfg)
	if err != nil {
		return err
	}
	if there != "" {
		cfg.Logger.Warn("not restoring the backup: a node to join belongs to a cluster", "member", there, "restore_from", cfg.RestoreFrom)
		return nil
	}
	r, err := Restore(ctx, *cfg, RestoreRequest{Path: cfg.RestoreFrom, Keys: cfg.RestoreKeys, Progress: func(what string) { cfg.Logger.Info(what) }})
	if err != nil {
		return fmt.Errorf("restore %s on the first start: %w", cfg.RestoreFrom, err)
	}
	cfg.Logger.Info("restored a backup as a new cluster", "from", r.From, "cluster", r.ClusterID, "node", r.NodeID, "index", r.Index, "assertions", r.Assertions, "digest", r.Digest)
	for _, k := range r.Keys {
		cfg.Logger.Warn("an API key of the backup is good, also if it was revoked since: revoke it anew then", "key", k.ID, "name", k.Name, "role", k.Role.String())
	}
	return nil
}

// clusterThere asks every address to join, once, and returns one that belongs to
// a cluster; "" if none that answers does.
func clusterThere(ctx context.Context, cfg *Config) (string, error) {
	if len(cfg.Join) == 0 {
		return "", nil
	}
	t, err := transport.Listen(transport.Config{Addr: cfg.ClusterAddr, Advertise: cfg.AdvertiseHost, TLS: cfg.TLS, Logger: cfg.Logger})
	if err != nil {
		return "", fmt.Errorf("listen for the other nodes: %w", err)
	}
	there := ""
	for _, join := range cfg.Join {
		for _, address := range resolve(ctx, join) {
			if address == t.Addr() {
				continue
			}
			asking, asked := context.WithTimeout(ctx, helloTimeout)
			hello, err := t.Client().Hello(asking, address, transport.HelloRequest{})
			asked()
			if err == nil && (hello.ClusterID != "" || hello.HasState) {
				there = address
			}
		}
	}
	return there, t.Close()
}
