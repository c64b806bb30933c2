package node

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft-wal/metadb"
	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

// walFiles are the files of a LogWAL's segments. Raft-wal's own do not make a
// segment's name durable if the first attempt fails, or if the process was killed
// before it, and leave a file behind that could not be made: with its name taken, no
// other attempt can succeed.
type walFiles struct {
	types.VFS
	noSync bool
}

// Create implements types.VFS. Space is set aside for the segment if the disk has
// it.
func (f walFiles) Create(dir, name string, size uint64) (types.WritableFile, error) {
	file, err := f.VFS.Create(dir, name, size)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		file, err = f.VFS.Create(dir, name, 0)
	}
	if err != nil {
		return nil, err
	}
	return &walFile{WritableFile: file, dir: dir, noSync: f.noSync}, nil
}

// OpenWriter implements types.VFS.
func (f walFiles) OpenWriter(dir, name string) (types.WritableFile, error) {
	file, err := f.VFS.OpenWriter(dir, name)
	if err != nil {
		return nil, err
	}
	return &walFile{WritableFile: file, dir: dir, noSync: f.noSync}, nil
}

// walFile is a segment that is written.
type walFile struct {
	types.WritableFile
	dir    string
	named  bool // its name is durable
	noSync bool
}

// Sync implements types.WritableFile.
func (f *walFile) Sync() error {
	if f.noSync {
		return nil
	}
	if err := f.WritableFile.Sync(); err != nil || f.named {
		return err
	}
	err := syncDir(f.dir)
	f.named = err == nil
	return err
}

// walMeta is raft-wal's list of segments, and its stable store.
type walMeta struct {
	metadb.BoltMetaDB
	filer *segment.Filer
}

// walMetaPath is its file; where it is, there is a log.
func walMetaPath(dir string) string { return filepath.Join(dir, metadb.FileName) }

// Load implements types.MetaStore. A process that was killed between the append that
// seals a segment and the entry of the next one in the list leaves a sealed segment
// that the list has as the one to append to: raft-wal would refuse every append. Load
// makes that entry. A seal of which only a part was written is taken away.
func (m *walMeta) Load(dir string) (types.PersistentState, error) {
	state, err := m.BoltMetaDB.Load(dir)
	if err != nil || len(state.Segments) == 0 {
		return state, err
	}
	tail := &state.Segments[len(state.Segments)-1]
	if !tail.SealTime.IsZero() {
		return state, nil
	}
	seal, last, err := m.seal(*tail)
	if err != nil || seal == 0 {
		return state, err
	}
	path := filepath.Join(dir, segment.FileName(*tail))
	whole, err := wholeSeal(path, seal, last+1-tail.BaseIndex)
	if err != nil {
		return state, fmt.Errorf("look at the end of the segment %s: %w", path, err)
	}
	if !whole {
		return state, removeSeal(path, seal)
	}
	now := time.Now()
	tail.SealTime, tail.MaxIndex, tail.IndexStart = now, last, seal
	state.Segments = append(state.Segments, types.SegmentInfo{
		ID: state.NextSegmentID, BaseIndex: last + 1, MinIndex: last + 1, Codec: tail.Codec, SizeLimit: tail.SizeLimit, CreateTime: now,
	})
	state.NextSegmentID++
	return state, m.CommitState(state)
}

// seal is where the index of a segment begins, 0 if it has none, and the last entry.
func (m *walMeta) seal(tail types.SegmentInfo) (start, last uint64, err error) {
	w, err := m.filer.RecoverTail(tail)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, 0, nil // it was to be made
	}
	if err != nil {
		return 0, 0, err
	}
	_, start, err = w.Sealed()
	return start, w.LastIndex(), errors.Join(err, w.Close())
}

// frameHeader is the size of the head of a frame in a segment: its type in the first
// byte, its length, or the checksum of a commit, in the last four.
const frameHeader = 8

// wholeSeal tells whether the index of a segment that holds so many entries was
// written to its end, with the commit that follows it.
func wholeSeal(path string, start, entries uint64) (whole bool, err error) {
	file, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	frame := func(at uint64, kind uint8) (length uint64, ok bool) {
		var head [frameHeader]byte
		if _, err := file.ReadAt(head[:], int64(at)); err != nil {
			return 0, false
		}
		return uint64(binary.LittleEndian.Uint32(head[4:])), head[0] == kind
	}
	length, ok := frame(start-frameHeader, segment.FrameIndex)
	if !ok || length != 4*entries {
		return false, nil
	}
	if _, ok := frame((start+length+frameHeader-1)/frameHeader*frameHeader, segment.FrameCommit); !ok {
		return false, nil
	}
	offsets := make([]byte, length)
	if _, err := file.ReadAt(offsets, int64(start)); err != nil {
		return false, err
	}
	for ; len(offsets) > 0; offsets = offsets[4:] {
		if _, ok := frame(uint64(binary.LittleEndian.Uint32(offsets)), segment.FrameEntry); !ok {
			return false, nil
		}
	}
	return true, nil
}

// removeSeal overwrites the head of an index, so that nothing counts from there on.
func removeSeal(path string, start uint64) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("take away the unfinished end of the segment %s: %w", path, err)
	}
	_, err = file.WriteAt(make([]byte, frameHeader), int64(start-frameHeader))
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("take away the unfinished end of the segment %s: %w", path, err)
	}
	return nil
}
