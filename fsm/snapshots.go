package fsm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"
	"github.com/zeebo/blake3"
)

const (
	metaName  = "SNAPSHOT.json"
	tmpSuffix = ".tmp"
)

// SnapshotStore keeps snapshots as Pebble checkpoints, one folder each. A local
// snapshot is taken over by a rename; one that a leader sends arrives as a
// checksummed stream. A folder counts only once its description, which is
// written last, is in place under its final name.
type SnapshotStore struct {
	fs     vfs.FS
	dir    string
	retain int
	log    *slog.Logger

	mu    sync.Mutex
	inUse map[string]int // open readers by snapshot; such a snapshot is not removed
}

// snapshotMeta describes a snapshot folder.
type snapshotMeta struct {
	Meta  raft.SnapshotMeta `json:"meta"`
	Files []snapshotFile    `json:"files"`
}

// sealedMeta guards the description itself.
type sealedMeta struct {
	Description json.RawMessage `json:"description"`
	BLAKE3      []byte          `json:"blake3"`
}

func openSnapshotStore(fs vfs.FS, dir string, retain int, log *slog.Logger) (*SnapshotStore, error) {
	s := &SnapshotStore{fs: fs, dir: dir, retain: retain, log: log, inUse: map[string]int{}}
	if err := makeDir(fs, dir); err != nil {
		return nil, fmt.Errorf("make the snapshot folder: %w", err)
	}
	names, err := fs.List(dir)
	if err != nil {
		return nil, fmt.Errorf("list snapshots: %w", err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, tmpSuffix) { // half-made when the process ended
			if err := fs.RemoveAll(fs.PathJoin(dir, name)); err != nil {
				return nil, fmt.Errorf("remove the unfinished snapshot %s: %w", name, err)
			}
		}
	}
	return s, nil
}

// Create implements raft.SnapshotStore.
func (s *SnapshotStore) Create(version raft.SnapshotVersion, index, term uint64, configuration raft.Configuration, configurationIndex uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	if version != raft.SnapshotVersionMax {
		return nil, fmt.Errorf("snapshot version %d is not supported", version)
	}
	id := fmt.Sprintf("%d-%d-%d", term, index, time.Now().UnixNano())
	k := &snapshotSink{store: s, dir: s.fs.PathJoin(s.dir, id+tmpSuffix)}
	k.meta.Meta = raft.SnapshotMeta{
		Version: version, ID: id, Index: index, Term: term, Configuration: configuration, ConfigurationIndex: configurationIndex,
	}
	return k, nil
}

// List implements raft.SnapshotStore: the newest first. A folder whose
// description is damaged is left out and logged.
func (s *SnapshotStore) List() ([]*raft.SnapshotMeta, error) {
	names, err := s.fs.List(s.dir)
	if err != nil {
		return nil, fmt.Errorf("list snapshots: %w", err)
	}
	var metas []*raft.SnapshotMeta
	for _, name := range names {
		if strings.HasSuffix(name, tmpSuffix) {
			continue
		}
		m, err := s.read(name)
		if err != nil {
			s.log.Error("a snapshot is not usable", "snapshot", name, "error", err)
			continue
		}
		metas = append(metas, &m.Meta)
	}
	slices.SortFunc(metas, func(a, b *raft.SnapshotMeta) int {
		if a.Index != b.Index {
			return -compare(a.Index, b.Index)
		}
		if a.Term != b.Term {
			return -compare(a.Term, b.Term)
		}
		return -strings.Compare(a.ID, b.ID)
	})
	return metas, nil
}

func compare(a, b uint64) int {
	if a < b {
		return -1
	}
	return 1
}

// read returns the description of a snapshot after checking it against its
// seal and the files against it.
func (s *SnapshotStore) read(id string) (*snapshotMeta, error) {
	dir := s.fs.PathJoin(s.dir, id)
	file, err := s.fs.Open(s.fs.PathJoin(dir, metaName))
	if err != nil {
		return nil, fmt.Errorf("%w: no description: %w", ErrDamagedSnapshot, err)
	}
	defer file.Close()
	raw, err := io.ReadAll(file)
	if err != nil {
		return nil, fmt.Errorf("read the description of snapshot %s: %w", id, err)
	}
	var sealed sealedMeta
	if err := json.Unmarshal(raw, &sealed); err != nil {
		return nil, fmt.Errorf("%w: description of %s: %w", ErrDamagedSnapshot, id, err)
	}
	if sum := blake3.Sum256(sealed.Description); string(sum[:]) != string(sealed.BLAKE3) {
		return nil, fmt.Errorf("%w: the description of %s does not match its checksum", ErrDamagedSnapshot, id)
	}
	m := new(snapshotMeta)
	if err := json.Unmarshal(sealed.Description, m); err != nil {
		return nil, fmt.Errorf("%w: description of %s: %w", ErrDamagedSnapshot, id, err)
	}
	have, err := listFiles(s.fs, dir)
	if err != nil {
		return nil, err
	}
	if !slices.Equal(have, m.Files) || m.Meta.ID != id {
		return nil, fmt.Errorf("%w: the files of %s are not those of its description", ErrDamagedSnapshot, id)
	}
	return m, nil
}

// Open implements raft.SnapshotStore. The reader streams the folder; the FSM
// recognises it and links the files instead. The snapshot stays until the
// reader is closed, however many newer ones are taken meanwhile: a slow follower
// would never get a whole one otherwise.
func (s *SnapshotStore) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.read(id)
	if err != nil {
		return nil, nil, err
	}
	s.inUse[id]++
	return &m.Meta, &snapshotReader{store: s, dir: s.fs.PathJoin(s.dir, id), meta: m}, nil
}

// release ends the use of a snapshot by one reader.
func (s *SnapshotStore) release(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inUse[id]--; s.inUse[id] == 0 {
		delete(s.inUse, id)
	}
}

// newest returns the newest usable snapshot, nil if there is none.
func (s *SnapshotStore) newest() (*raft.SnapshotMeta, error) {
	metas, err := s.List()
	if err != nil || len(metas) == 0 {
		return nil, err
	}
	return metas[0], nil
}

// reap removes all but the newest snapshots and those that are being read.
func (s *SnapshotStore) reap() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	metas, err := s.List()
	if err != nil {
		return err
	}
	for _, m := range metas[min(s.retain, len(metas)):] {
		if s.inUse[m.ID] > 0 {
			continue
		}
		if err := s.fs.RemoveAll(s.fs.PathJoin(s.dir, m.ID)); err != nil {
			return fmt.Errorf("remove the old snapshot %s: %w", m.ID, err)
		}
	}
	return nil
}

// snapshotReader streams a snapshot folder from the first Read on.
type snapshotReader struct {
	store *SnapshotStore
	dir   string
	meta  *snapshotMeta

	start  sync.Once
	finish sync.Once
	pipe   *io.PipeReader
	done   chan struct{}
}

// Read implements io.Reader.
func (r *snapshotReader) Read(p []byte) (int, error) {
	r.start.Do(func() {
		var w *io.PipeWriter
		r.pipe, w = io.Pipe()
		r.done = make(chan struct{})
		go func() {
			defer close(r.done)
			w.CloseWithError(writeStream(w, r.store.fs, r.dir, r.meta.Files))
		}()
	})
	return r.pipe.Read(p)
}

// Close implements io.Closer.
func (r *snapshotReader) Close() error {
	r.finish.Do(func() {
		r.start.Do(func() { r.pipe, _ = io.Pipe() }) // no Read after Close
		_ = r.pipe.Close()                           // never fails
		if r.done != nil {
			<-r.done
		}
		r.store.release(r.meta.Meta.ID)
	})
	return nil
}

// snapshotSink receives one snapshot, either by adopt or by Write.
type snapshotSink struct {
	store *SnapshotStore
	dir   string
	meta  snapshotMeta

	stream   *io.PipeWriter
	received chan error
	ended    bool
}

// ID implements raft.SnapshotSink.
func (k *snapshotSink) ID() string { return k.meta.Meta.ID }

// adopt takes over a local checkpoint folder.
func (k *snapshotSink) adopt(checkpoint string) error {
	if err := k.store.fs.Rename(checkpoint, k.dir); err != nil {
		return fmt.Errorf("take over the checkpoint: %w", err)
	}
	return nil
}

// Write implements io.Writer: it takes the stream that another node sends.
func (k *snapshotSink) Write(p []byte) (int, error) {
	if k.stream == nil {
		if err := k.store.fs.MkdirAll(k.dir, 0o700); err != nil {
			return 0, fmt.Errorf("make the snapshot folder: %w", err)
		}
		var r *io.PipeReader
		r, k.stream = io.Pipe()
		k.received = make(chan error, 1)
		go func() {
			err := readStream(r, k.store.fs, k.dir)
			if err == nil {
				err = io.EOF // a writer that goes on learns that the stream is over
				k.received <- nil
			} else {
				k.received <- err
			}
			r.CloseWithError(err)
		}()
	}
	return k.stream.Write(p)
}

// Close implements raft.SnapshotSink: the snapshot counts when it returns nil.
func (k *snapshotSink) Close() error {
	if k.ended {
		return nil
	}
	if err := k.finish(); err != nil {
		return errors.Join(err, k.Cancel())
	}
	k.ended = true
	if err := k.store.reap(); err != nil { // this snapshot is in place all the same
		k.store.log.Error("an old snapshot was not removed", "error", err)
	}
	return nil
}

func (k *snapshotSink) finish() error {
	fs := k.store.fs
	if k.stream != nil {
		k.stream.Close()
		err := <-k.received
		k.received <- err
		if err != nil {
			return err
		}
	}
	files, err := listFiles(fs, k.dir)
	if err != nil {
		return err
	}
	k.meta.Files, k.meta.Meta.Size = files, streamSize(files)
	description, err := json.Marshal(k.meta)
	if err != nil {
		return fmt.Errorf("describe the snapshot: %w", err)
	}
	sum := blake3.Sum256(description)
	raw, err := json.Marshal(sealedMeta{Description: description, BLAKE3: sum[:]})
	if err != nil {
		return fmt.Errorf("describe the snapshot: %w", err)
	}
	if err := writeFile(fs, fs.PathJoin(k.dir, metaName), raw); err != nil {
		return err
	}
	if err := syncDir(fs, k.dir); err != nil {
		return err
	}
	if err := fs.Rename(k.dir, fs.PathJoin(k.store.dir, k.ID())); err != nil {
		return fmt.Errorf("finish the snapshot: %w", err)
	}
	return syncDir(fs, k.store.dir)
}

// Cancel implements raft.SnapshotSink.
func (k *snapshotSink) Cancel() error {
	if k.ended {
		return nil
	}
	k.ended = true
	if k.stream != nil {
		k.stream.CloseWithError(errors.New("the snapshot was cancelled"))
		_ = <-k.received // the goroutine has ended
	}
	if err := k.store.fs.RemoveAll(k.dir); err != nil {
		return fmt.Errorf("remove the cancelled snapshot: %w", err)
	}
	return nil
}

func writeFile(fs vfs.FS, path string, content []byte) error {
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func sorted(names []string) []string {
	slices.Sort(names)
	return names
}
