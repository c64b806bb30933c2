package index

import (
	"context"
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/time/rate"
)

// pacedFS is a file system on which tables can be written slowly for a while: a
// flush takes as much processor time and disk as it gets, and those who
// write claims meanwhile wait for both.
type pacedFS struct {
	vfs.FS
	pace atomic.Pointer[rate.Limiter] // nil: none
}

// paceBurst is how much of a table is written at once while there is a pace.
const paceBurst = 256 << 10

// Create implements vfs.FS.
func (p *pacedFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := p.FS.Create(name, category)
	if err != nil || !strings.HasSuffix(name, ".sst") {
		return f, err
	}
	return &pacedFile{File: f, fs: p}, nil
}

// Unwrap implements vfs.FS.
func (p *pacedFS) Unwrap() vfs.FS { return p.FS }

// slow writes tables at so many bytes a second until fast is called.
func (p *pacedFS) slow(bytesPerSecond int64) (fast func()) {
	p.pace.Store(rate.NewLimiter(rate.Limit(bytesPerSecond), paceBurst))
	return func() { p.pace.Store(nil) }
}

type pacedFile struct {
	vfs.File
	fs *pacedFS
}

// Write implements vfs.File.
func (f *pacedFile) Write(b []byte) (int, error) {
	written := 0
	for {
		part := b[written:min(len(b), written+paceBurst)]
		if pace := f.fs.pace.Load(); pace != nil {
			_ = pace.WaitN(context.Background(), len(part)) // fails only for more than a burst
		}
		n, err := f.File.Write(part)
		if written += n; err != nil || written == len(b) {
			return written, err
		}
	}
}
