package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/stemedb/stemedb/api/v1"
)

// backupWrite bounds how long a client may take to accept one part of a backup.
const backupWrite = time.Minute

// BackupRequest says what to back up.
type BackupRequest struct {
	// Log asks for the log after an entry instead of the state.
	Log bool
	// After and AfterTerm are that entry and its term; 0 is the beginning of what
	// the log still holds, and any term.
	After, AfterTerm uint64
	// Consistency is what the state must satisfy that is backed up.
	Consistency Consistency
}

// Backup is a backup that is ready to be written.
type Backup interface {
	// Index is the log index that it is of, Size how much there is before
	// compression, 0 if that is not known.
	Index() uint64
	Size() int64
	// WriteTo writes it as a stream; one that was not written to its end cannot
	// be taken for a backup.
	WriteTo(ctx context.Context, w io.Writer) error
	Close() error
}

// backup is GET /v1/cluster/backup.
func (s *Server) backup(c echo.Context) error {
	want, err := backupParams(c.QueryParams())
	if err != nil {
		return err
	}
	store, err := s.store()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(c.Request().Context())
	defer cancel()
	defer context.AfterFunc(s.draining, cancel)()
	opening, opened := context.WithTimeout(ctx, s.config.RequestTimeout)
	b, err := store.Backup(opening, want)
	opened()
	if err != nil {
		return err
	}
	began := time.Now()
	err = s.stream(ctx, c, b)
	log := s.config.Logger.With("index", b.Index(), "log_only", want.Log, "by", administrator(c))
	if err = errors.Join(err, b.Close()); err != nil {
		log.Warn("a backup was cut off", "error", err)
		panic(http.ErrAbortHandler) // the client must not take the end for the end
	}
	log.Info("a backup was sent", "bytes", c.Response().Size, "duration", time.Since(began))
	return nil
}

func (s *Server) stream(ctx context.Context, c echo.Context, b Backup) error {
	setIndex(c, b.Index())
	header := c.Response().Header()
	header["Content-Type"] = []string{v1.MediaTar}
	header["Cache-Control"] = []string{"no-store"}
	header[v1.HeaderBackupSize] = []string{strconv.FormatInt(b.Size(), 10)}
	c.Response().WriteHeader(http.StatusOK)
	return b.WriteTo(ctx, patient{c.Response(), http.NewResponseController(c.Response().Writer)})
}

// patient gives each write a time of its own.
type patient struct {
	io.Writer
	control *http.ResponseController
}

// Write implements io.Writer.
func (p patient) Write(b []byte) (int, error) {
	if err := p.control.SetWriteDeadline(time.Now().Add(backupWrite)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	return p.Writer.Write(b)
}

func backupParams(q url.Values) (r BackupRequest, err error) {
	if r.Consistency, err = consistency(q); err != nil {
		return r, err
	}
	switch kind := q.Get("kind"); {
	case kind == v1.BackupLog:
		r.Log = true
	case q.Has("kind") && kind != v1.BackupFull:
		return r, invalid("kind", "no kind of backup", "use "+v1.BackupFull+" or "+v1.BackupLog)
	}
	for name, into := range map[string]*uint64{"after": &r.After, "after_term": &r.AfterTerm} {
		if !q.Has(name) {
			continue
		}
		if *into, err = strconv.ParseUint(q.Get(name), 10, 63); err != nil {
			return r, invalid(name, "not a number of the log", "give index and term of the manifest of the backup before")
		}
		if !r.Log {
			return r, invalid(name, "a full backup has no beginning", "add kind="+v1.BackupLog+", or remove it")
		}
	}
	return r, nil
}

func backupDoc() operation {
	return operation{
		id: "backup", tag: tagCluster, summary: "A backup of this node, as one stream",
		description: "A tar archive of segments with the manifest as the last file; docs/backup.md gives the format. The state is that of exactly one log index, and holds every write that was acknowledged before the request unless `consistency` says otherwise. A stream without the manifest is none: it was cut off. A node sends one backup at a time.",
		params: slices.Concat([]paramDoc{
			{in: inQuery, name: "kind", schema: `{"type":"string","enum":["full","log"],"default":"full"}`, description: "The state, or the log's entries after `after`."},
			{in: inQuery, name: "after", schema: `{"type":"integer","minimum":0,"default":0}`, description: "With kind=log: the index that the backup before ends with. 0: everything that the log still holds."},
			{in: inQuery, name: "after_term", schema: `{"type":"integer","minimum":0,"default":0}`, description: "The term of that entry; refused if it is another one here. 0: not checked."},
		}, consistencyParams()),
		answers: []answerDoc{{http.StatusOK, "The backup. " + v1.HeaderBackupSize + " tells how many bytes there are before compression, 0 if that is not known.", v1.MediaTar, ""}},
		codes:   slices.Concat(readCodes(), []string{v1.CodeLogGap, v1.CodeLogUnchanged, v1.CodeOverloaded}),
	}
}
