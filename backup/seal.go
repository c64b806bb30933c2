package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
)

var (
	// ErrEncrypted means that a backup is encrypted and no identity was given.
	ErrEncrypted = errors.New("the backup is encrypted")
	// ErrWrongKey means that no given identity opens a backup.
	ErrWrongKey = errors.New("the backup is encrypted for another key")
)

// sealedSuffix ends the names of encrypted files.
const sealedSuffix = ".age"

// Keys are what segments are encrypted for and opened with, both by age. Manifests
// are never encrypted: who keeps backups in order need not be able to read them.
type Keys struct {
	recipients []age.Recipient
	identities []age.Identity
}

// ParseKeys reads recipients (age1…), and a file of identities unless its path is
// "".
func ParseKeys(recipients []string, identityFile string) (k Keys, err error) {
	if len(recipients) > 0 {
		if k.recipients, err = age.ParseRecipients(strings.NewReader(strings.Join(recipients, "\n"))); err != nil {
			return k, fmt.Errorf("recipients of encrypted backups: %w: `age-keygen` prints one, age1…", err)
		}
	}
	if identityFile == "" {
		return k, nil
	}
	f, err := os.Open(identityFile)
	if err != nil {
		return k, fmt.Errorf("identities for encrypted backups: %w", err)
	}
	defer f.Close()
	if k.identities, err = age.ParseIdentities(f); err != nil {
		return k, fmt.Errorf("identities for encrypted backups: %s: %w: `age-keygen` makes such a file", identityFile, err)
	}
	return k, nil
}

// sealed is a store whose segments are encrypted, if there are recipients, and
// opened again. Backups that are not encrypted are read as they are.
type sealed struct {
	Store
	keys Keys
}

// Create implements Store.
func (s sealed) Create(ctx context.Context, at time.Time) (Place, error) {
	place, err := s.Store.Create(ctx, at)
	if err != nil || len(s.keys.recipients) == 0 {
		return place, err
	}
	return sealing{place, s.keys.recipients}, nil
}

// Open implements Store.
func (s sealed) Open(ctx context.Context, name string) fs.FS {
	return opening{s.Store.Open(ctx, name), s.keys}
}

// sealing encrypts what is put into a place.
type sealing struct {
	Place
	recipients []age.Recipient
}

// Put implements Sink.
func (s sealing) Put(ctx context.Context, name string, content []byte) error {
	if name == MetadataName {
		return s.Place.Put(ctx, name, content)
	}
	out, err := encrypt(content, s.recipients)
	if err != nil {
		return err
	}
	return s.Place.Put(ctx, name+sealedSuffix, out)
}

func encrypt(content []byte, recipients []age.Recipient) ([]byte, error) {
	var out bytes.Buffer
	w, err := age.Encrypt(&out, recipients...)
	if err == nil {
		_, err = w.Write(content)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	return out.Bytes(), nil
}

// After a header, whose size depends on the recipients alone, age writes the content
// in chunks, each with a tag; the last one may be empty only where all are.
const (
	ageChunkBytes = 64 << 10
	ageTagBytes   = 16
)

// sealedSize returns the size of a file that is encrypted for the recipients, by
// that of its content.
//
// Errors: ErrEncrypted if there are none.
func (k Keys) sealedSize() (of func(plain int64) int64, err error) {
	if len(k.recipients) == 0 {
		return nil, fmt.Errorf("%w, and no recipients are set", ErrEncrypted)
	}
	empty, err := encrypt(nil, k.recipients)
	return func(plain int64) int64 {
		chunks := max((plain+ageChunkBytes-1)/ageChunkBytes, 1)
		return int64(len(empty)) + plain + (chunks-1)*ageTagBytes
	}, err
}

// opening shows the files of a backup under the names, and with the content, that
// they had before they were encrypted.
type opening struct {
	fs.FS
	keys Keys
}

// Open implements fs.FS.
func (o opening) Open(name string) (fs.File, error) {
	f, err := o.FS.Open(name)
	if !errors.Is(err, fs.ErrNotExist) || name == MetadataName {
		return f, err
	}
	missing := err
	if f, err = o.FS.Open(name + sealedSuffix); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, missing
		}
		return nil, err
	}
	if len(o.keys.identities) == 0 {
		return nil, errors.Join(fmt.Errorf("%w: give a file with an identity that it was encrypted for (stemectl: --identity, stemedb: --backup-age-identity-file)", ErrEncrypted), f.Close())
	}
	plain, err := age.Decrypt(f, o.keys.identities...)
	var noMatch *age.NoIdentityMatchError
	switch {
	case errors.As(err, &noMatch):
		return nil, errors.Join(fmt.Errorf("%w: no identity that was given opens %s", ErrWrongKey, name+sealedSuffix), f.Close())
	case err != nil:
		return nil, errors.Join(fmt.Errorf("%w: open %s: %w", ErrDamaged, name+sealedSuffix, err), f.Close())
	}
	return opened{f, plain}, nil
}

// ReadDir implements fs.ReadDirFS. Of a file that is there twice only the plain
// one has its name: the other one is not expected.
func (o opening) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(o.FS, name)
	if err != nil {
		return nil, err
	}
	for i, e := range entries {
		plain, ok := strings.CutSuffix(e.Name(), sealedSuffix)
		if ok && !slices.ContainsFunc(entries, func(other fs.DirEntry) bool { return other.Name() == plain }) {
			entries[i] = renamed{e, plain}
		}
	}
	return entries, nil
}

// renamed is an entry under another name.
type renamed struct {
	fs.DirEntry
	name string
}

// Name implements fs.DirEntry.
func (r renamed) Name() string { return r.name }

// isSealed tells whether an entry of an opening is an encrypted file.
func isSealed(e fs.DirEntry) bool {
	_, ok := e.(renamed)
	return ok
}

// opened is a file that is read as what it was before it was encrypted.
type opened struct {
	fs.File
	plain io.Reader
}

// Read implements io.Reader.
func (o opened) Read(p []byte) (int, error) {
	n, err := o.plain.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: decrypt: %w", ErrDamaged, err)
	}
	return n, err
}
