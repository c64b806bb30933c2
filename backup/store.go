package backup

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Store is where backups are kept: a folder, or a bucket of objects. Backups have
// names (see Name).
type Store interface {
	// Path names a backup of this store for people and for Locate.
	Path(name string) string
	// Names returns the names of the backups that count, in no order.
	Names(ctx context.Context) ([]string, error)
	// Open returns the files of a backup; they are read with ctx.
	Open(ctx context.Context, name string) fs.FS
	// Create begins a backup that began at a time. Its name is that of a later
	// second if there is another one of that second.
	Create(ctx context.Context, at time.Time) (Place, error)
	// Remove removes a backup, or a leftover. A removal that is interrupted leaves
	// nothing that counts.
	Remove(ctx context.Context, name string) error
	// Leftovers returns the names of backups that were not finished, or not removed
	// to the end, and that nothing was added to since a time.
	Leftovers(ctx context.Context, since time.Time) ([]string, error)
}

// Place is a Sink in a store.
type Place interface {
	Sink
	// Path is that of the backup once it is committed; before, it may not be known.
	Path() string
	// Close removes what was written, unless it was committed.
	Close() error
}

// s3Scheme begins the location of a store in a bucket.
const s3Scheme = "s3://"

// OpenStore returns the store at a location: the path of a folder, or
// s3://BUCKET/PREFIX. Nothing is read or made yet.
func OpenStore(location string, keys Keys) (Store, error) {
	if rest, ok := strings.CutPrefix(location, s3Scheme); ok {
		s, err := openBucket(rest)
		if err != nil {
			return nil, fmt.Errorf("backups in %s: %w", location, err)
		}
		return sealed{s, keys}, nil
	}
	if scheme, _, ok := strings.Cut(location, "://"); ok {
		return nil, fmt.Errorf("backups in %s: %s is no kind of store: give the path of a folder, or s3://BUCKET/PREFIX", location, scheme)
	}
	return sealed{Folder(location), keys}, nil
}

// Locate returns the store that holds the backup at a location, and its name.
func Locate(location string, keys Keys) (Store, string, error) {
	if rest, ok := strings.CutPrefix(location, s3Scheme); ok {
		rest = strings.TrimRight(rest, "/")
		cut := strings.LastIndexByte(rest, '/')
		if cut < 0 {
			return nil, "", fmt.Errorf("%s names no backup: give s3://BUCKET/PREFIX/%s…, as `stemectl backup list` prints it", location, namePrefix)
		}
		store, err := OpenStore(s3Scheme+rest[:cut], keys)
		return store, rest[cut+1:], err
	}
	path, err := filepath.Abs(location)
	if err != nil {
		return nil, "", err
	}
	store, err := OpenStore(filepath.Dir(path), keys)
	return store, filepath.Base(path), err
}

// List returns the backups in a store, those that end earlier in the log first
// and unusable ones last. Only their manifests are read.
func List(ctx context.Context, store Store) ([]Found, error) {
	names, err := store.Names(ctx)
	if err != nil {
		return nil, fmt.Errorf("list backups: %w", err)
	}
	all := make([]Found, len(names))
	for i, name := range names {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		all[i] = Find(ctx, store, name)
	}
	slices.SortStableFunc(all, func(a, b Found) int {
		switch {
		case a.Metadata == nil || b.Metadata == nil:
			return boolean(a.Metadata == nil) - boolean(b.Metadata == nil)
		case a.Metadata.Index != b.Metadata.Index:
			return 1 - 2*boolean(a.Metadata.Index < b.Metadata.Index)
		}
		return strings.Compare(a.Name, b.Name)
	})
	return all, nil
}

// Find reads the manifest of a backup.
func Find(ctx context.Context, store Store, name string) Found {
	f := Found{Path: store.Path(name), Name: name, files: store.Open(ctx, name)}
	f.Metadata, f.Err = ReadMetadata(f.files)
	return f
}
