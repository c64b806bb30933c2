package backup

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"time"

	"github.com/zeebo/blake3"

	"github.com/stemedb/stemedb/assertion"
)

// FormatVersion is the version of the format that this package writes, and the
// only one that it reads.
const FormatVersion = 1

// MetadataName is the file name of the manifest.
const MetadataName = "backup-metadata.json"

// maxMetadataBytes bounds a manifest: a million segments fit.
const maxMetadataBytes = 256 << 20

var (
	// ErrNotBackup means that there is no backup: no manifest, or a segment that
	// does not begin with the magic bytes.
	ErrNotBackup = errors.New("not a StemeDB backup")
	// ErrVersion means that the backup is of a format version that is not known.
	ErrVersion = errors.New("backup of an unknown format version")
	// ErrDamaged means that a backup is not what was written.
	ErrDamaged = errors.New("damaged backup")
)

// Kind says what a backup holds.
type Kind string

// The kinds.
const (
	Full Kind = "full" // the state at one log index
	Log  Kind = "log"  // the entries of the log from FirstIndex to Index
)

// Metadata is the manifest of a backup.
type Metadata struct {
	FormatVersion int    `json:"format_version"`
	Kind          Kind   `json:"kind"`
	ClusterID     string `json:"cluster_id"`
	// Node is the one that the backup was taken from.
	Node string `json:"node"`
	// FirstIndex and PreviousTerm are of a log backup: the index of its first
	// entry, and the term of the entry before, 0 if that is not known.
	FirstIndex   uint64 `json:"first_index,omitempty"`
	PreviousTerm uint64 `json:"previous_term,omitempty"`
	// Index and Term are those of the last entry that the backup holds the effect
	// of, CommittedAt the time of its commit, unix seconds.
	Index       uint64 `json:"index"`
	Term        uint64 `json:"term"`
	CommittedAt uint64 `json:"committed_at"`
	// Timestamp is when the backup began, by the clock of the node.
	Timestamp time.Time `json:"timestamp"`
	// AssertionCount and Digest are those of the state at Index.
	AssertionCount  uint64         `json:"assertion_count"`
	Digest          assertion.Hash `json:"digest"`
	SoftwareVersion string         `json:"software_version"`
	// ContentBytes is the size of the content before compression.
	ContentBytes int64 `json:"content_bytes"`
	// FileCount and TotalBytes are of Files, which are the segments in order.
	FileCount  int    `json:"file_count"`
	TotalBytes int64  `json:"total_bytes"`
	Files      []File `json:"files"`
	// Seal is the BLAKE3 of the manifest with a Seal of zeros.
	Seal assertion.Hash `json:"blake3"`
}

// File is one segment.
type File struct {
	Name   string         `json:"name"`
	Size   int64          `json:"size"`
	BLAKE3 assertion.Hash `json:"blake3"`
}

// encode returns the bytes of the manifest with its seal.
func (m *Metadata) encode() ([]byte, error) {
	m.Seal = assertion.Hash{}
	raw, err := m.plain()
	if err != nil {
		return nil, err
	}
	m.Seal = blake3.Sum256(raw)
	return m.plain()
}

func (m *Metadata) plain() ([]byte, error) {
	raw, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", MetadataName, err)
	}
	return append(raw, '\n'), nil
}

// DecodeMetadata reads a manifest and accepts only bytes that were written by
// this package.
//
// Errors: ErrVersion, ErrDamaged.
func DecodeMetadata(raw []byte) (*Metadata, error) {
	var version struct {
		FormatVersion int `json:"format_version"`
	}
	if err := json.Unmarshal(raw, &version); err != nil {
		return nil, fmt.Errorf("%w: %s is no JSON: %w", ErrDamaged, MetadataName, err)
	}
	if version.FormatVersion != FormatVersion {
		return nil, fmt.Errorf("%w: %d, this software reads %d: use the version of StemeDB that wrote it, or a newer one", ErrVersion, version.FormatVersion, FormatVersion)
	}
	m := new(Metadata)
	if err := json.Unmarshal(raw, m); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, MetadataName, err)
	}
	sealed := *m
	again, err := sealed.encode()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(raw, again) {
		return nil, fmt.Errorf("%w: %s does not match its own checksum", ErrDamaged, MetadataName)
	}
	return m, m.check()
}

// check refuses a manifest that contradicts itself.
func (m *Metadata) check() error {
	total := int64(0)
	for i, f := range m.Files {
		if f.Name != segmentName(m.Kind, i) || f.Size <= 0 || f.Size > maxSegmentBytes {
			return fmt.Errorf("%w: %s lists %q of %d bytes as file %d", ErrDamaged, MetadataName, f.Name, f.Size, i)
		}
		total += f.Size
	}
	switch {
	case m.Kind != Full && m.Kind != Log:
		return fmt.Errorf("%w: %s gives the unknown kind %q", ErrDamaged, MetadataName, m.Kind)
	case m.FileCount != len(m.Files) || m.TotalBytes != total:
		return fmt.Errorf("%w: %s counts %d files of %d bytes and lists %d of %d", ErrDamaged, MetadataName, m.FileCount, m.TotalBytes, len(m.Files), total)
	case m.Kind == Log && (m.FirstIndex == 0 || m.FirstIndex > m.Index):
		return fmt.Errorf("%w: %s gives the log entries %d to %d", ErrDamaged, MetadataName, m.FirstIndex, m.Index)
	}
	return nil
}

// ReadMetadata reads the manifest of the backup in a folder; nothing else is
// looked at.
//
// Errors: ErrNotBackup, ErrVersion, ErrDamaged.
func ReadMetadata(backup fs.FS) (*Metadata, error) {
	raw, err := readFile(backup, MetadataName, maxMetadataBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: there is no %s: a backup is a folder with one; an unfinished backup has none", ErrNotBackup, MetadataName)
	}
	if err != nil {
		return nil, err
	}
	return DecodeMetadata(raw)
}

// readFile reads a whole file of at most so many bytes.
func readFile(backup fs.FS, name string, most int64) ([]byte, error) {
	f, err := backup.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if int64(len(raw)) > most {
		return nil, fmt.Errorf("%w: %s has more than %d bytes", ErrDamaged, name, most)
	}
	return raw, nil
}

// nameLayout is that of time.Format for the end of a backup's name.
const nameLayout = "20060102-150405"

// namePrefix begins the names of backups.
const namePrefix = "stemedb-backup-"

var namePattern = regexp.MustCompile(`^` + namePrefix + `\d{8}-\d{6}$`)

// Name is the name of the folder of a backup that began at a time.
func Name(at time.Time) string { return namePrefix + at.UTC().Format(nameLayout) }

// Summary says in one line what the backup holds.
func (m *Metadata) Summary() string {
	what := fmt.Sprintf("state at log index %d", m.Index)
	if m.Kind == Log {
		what = fmt.Sprintf("log entries %d to %d", m.FirstIndex, m.Index)
	}
	return fmt.Sprintf("%s backup of cluster %s: %s, committed %s, %d assertions, digest %s, %d bytes in %d files", m.Kind, m.ClusterID, what,
		time.Unix(int64(m.CommittedAt), 0).UTC().Format(time.RFC3339), m.AssertionCount, m.Digest, m.TotalBytes, m.FileCount)
}
