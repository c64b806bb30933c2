package backup

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// Entry is one entry of the replicated log. Type and Data are the log's own.
type Entry struct {
	Index, Term uint64
	Type        uint8
	Data        []byte
}

// entryHead is index, term, type and length of the data.
const entryHead = 8 + 8 + 1 + 4

// maxEntryBytes bounds the data of an entry; the log's own bound is far below.
const maxEntryBytes = 64 << 20

// AppendEntry appends an entry as the content of a log backup holds it: index
// and term as u64, type as u8, the length of the data as u32, all big-endian, and
// the data.
func AppendEntry(b []byte, e Entry) []byte {
	b = binary.BigEndian.AppendUint64(b, e.Index)
	b = binary.BigEndian.AppendUint64(b, e.Term)
	b = append(b, e.Type)
	b = binary.BigEndian.AppendUint32(b, uint32(len(e.Data)))
	return append(b, e.Data...)
}

// Entries calls each for every entry of a log backup, in order; an entry is the
// callee's to keep. The error is that of each, or one of Verify.
func Entries(backup fs.FS, m *Metadata, each func(Entry) error) error {
	r := bufio.NewReader(NewReader(backup, m))
	head := make([]byte, entryHead)
	next, term := m.FirstIndex, m.PreviousTerm
	for {
		if _, err := io.ReadFull(r, head); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return cut(err)
		}
		e := Entry{Index: binary.BigEndian.Uint64(head), Term: binary.BigEndian.Uint64(head[8:]), Type: head[16]}
		size := binary.BigEndian.Uint32(head[17:])
		if e.Index != next || e.Term < term || size > maxEntryBytes {
			return fmt.Errorf("%w: entry %d of term %d follows %d of term %d", ErrDamaged, e.Index, e.Term, next-1, term)
		}
		e.Data = make([]byte, size)
		if _, err := io.ReadFull(r, e.Data); err != nil {
			return cut(err)
		}
		if err := each(e); err != nil {
			return err
		}
		next, term = next+1, e.Term
	}
	if next != m.Index+1 || term != m.Term {
		return fmt.Errorf("%w: the log ends with entry %d of term %d, %s says %d of term %d", ErrDamaged, next-1, term, MetadataName, m.Index, m.Term)
	}
	return nil
}

// cut is the error of a content that ends within an entry.
func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: the log ends within an entry", ErrDamaged)
	}
	return err
}
