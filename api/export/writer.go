package export

import (
	"bytes"
	"fmt"
	"io"

	"github.com/zeebo/blake3"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/internal/lthash"
)

// Writer writes an export, record by record.
type Writer struct {
	to       io.Writer
	sum      *blake3.Hasher
	lines    int
	content  *content
	expander *lthash.Expander
}

// NewWriter writes the header.
func NewWriter(to io.Writer, h Header) (*Writer, error) {
	h.Version = Version
	if h.Selection != nil && *h.Selection == (Selection{}) {
		h.Selection = nil
	}
	w := &Writer{to: to, sum: blake3.New(), content: newContent(), expander: lthash.NewExpander(digestContext)}
	raw, err := encode(h)
	if err != nil {
		return nil, err
	}
	return w, w.write(raw)
}

func (w *Writer) write(raw []byte) error {
	w.lines++
	_, _ = w.sum.Write(raw) // a hash never fails
	_, err := w.to.Write(raw)
	return err
}

// Add writes a record. The caller keeps to the order of Section.
func (w *Writer) Add(e *assertion.Event) error {
	r := Record{Kind: e.Kind, Commit: e.Commit, Authority: e.Authority, Entry: e.Entry}
	if e.Claim != nil {
		r.Entry, r.Authority = &e.Claim.Assertion, e.Claim.Authority
	} else if cosigned, ok := e.Entry.(*assertion.Cosignature); ok {
		r.Entry = cosigned.Assertion
	}
	if Section(r.Kind) < 0 {
		return fmt.Errorf("an export has no place for a %s", r.Kind)
	}
	record, err := encode(r.Entry)
	if err != nil {
		return err
	}
	l := line{Kind: r.Kind.String(), Position: v1.FormatPosition(r.Commit.Position), CommittedAt: r.Commit.At, Authority: r.Authority, Record: record}
	var signed bool
	if r.Hash, signed = hashed(r.Entry); signed {
		l.Hash = r.Hash.String()
	}
	raw, err := encode(l)
	if err != nil {
		return err
	}
	if err := w.content.add(w.expander, &r, bytes.TrimSpace(record)); err != nil {
		return err
	}
	return w.write(raw)
}

// Close writes the trailer. Without it the file is not whole.
func (w *Writer) Close() (*Trailer, error) {
	raw, t, err := w.content.trailer(w.lines, assertion.Hash(w.sum.Sum(nil)))
	if err != nil {
		return nil, err
	}
	_, err = w.to.Write(raw)
	return t, err
}
