package client

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	v1 "github.com/stemedb/stemedb/api/v1"
)

// BackupOptions say what to back up.
type BackupOptions struct {
	// LogOnly asks for the log after an entry instead of the state.
	LogOnly bool
	// After and AfterTerm are index and term that the backup before ends with; 0
	// asks for everything that the log still holds.
	After, AfterTerm uint64
	// Consistency is what the state must satisfy that is backed up.
	Consistency Consistency
}

// Backup is a backup as a node sends it: a tar archive that is whole only if it
// ends with the manifest. Close it.
type Backup struct {
	// Endpoint is the node that sends it.
	Endpoint string
	// Index is the log index that it is of.
	Index uint64
	// Size is how many bytes there are before compression; 0 if that is not known.
	Size int64

	body io.ReadCloser
}

// Backup asks a node for a backup; it needs the role admin. A stream that breaks
// off is not continued elsewhere. An HTTP client with a time-out of its own
// (WithHTTPClient) cuts it off then.
func (c *Client) Backup(ctx context.Context, o BackupOptions) (*Backup, error) {
	query := url.Values{}
	c.freshness(query, o.Consistency)
	if o.LogOnly {
		query.Set("kind", v1.BackupLog)
		query.Set("after", strconv.FormatUint(o.After, 10))
		query.Set("after_term", strconv.FormatUint(o.AfterTerm, 10))
	}
	var answer opened
	if err := c.do(ctx, call{method: http.MethodGet, path: "/v1/cluster/backup", query: query}, &answer); err != nil {
		return nil, err
	}
	b := &Backup{Endpoint: answer.endpoint, body: answer.Body}
	b.Index, _ = strconv.ParseUint(answer.Header.Get(v1.HeaderIndex), 10, 64)
	b.Size, _ = strconv.ParseInt(answer.Header.Get(v1.HeaderBackupSize), 10, 64)
	return b, nil
}

// Restore puts records of a backup into the log of the cluster; it needs the role
// admin. Repeating it is safe.
func (c *Client) Restore(ctx context.Context, records [][]byte) (*v1.RestoreResponse, error) {
	var body []byte
	for _, r := range records {
		body = binary.BigEndian.AppendUint32(body, uint32(len(r)))
		body = append(body, r...)
	}
	out := new(v1.RestoreResponse)
	return out, c.do(ctx, call{method: http.MethodPost, path: "/v1/cluster/restore", contentType: v1.MediaBinary, body: body}, out)
}

// Read implements io.Reader.
func (b *Backup) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // the end of a body is io.EOF itself
		err = fmt.Errorf("the backup from %s broke off: %w", b.Endpoint, err)
	}
	return n, err
}

// Close ends the stream.
func (b *Backup) Close() error { return b.body.Close() }
