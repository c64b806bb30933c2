package claimimport

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/zeebo/blake3"
)

// Format is the form of an input.
type Format string

// The formats.
const (
	CSV    Format = "csv"
	TSV    Format = "tsv"
	NDJSON Format = "ndjson"
)

// maxLineBytes bounds a line of NDJSON.
const maxLineBytes = 16 << 20

// rowReader gives one row after the other; line is where it began, from 1.
type rowReader interface {
	next() (row map[string]string, line int, err error) // io.EOF at the end
	// columns are those that every row has, in order; nil if each row has its own.
	columns() []string
	// digest identifies what was read so far.
	digest() string
}

func newRowReader(r io.Reader, f Format) (rowReader, error) {
	switch f {
	case CSV, TSV:
		return newCSVRows(r, f)
	case NDJSON:
		s := bufio.NewScanner(r)
		s.Buffer(nil, maxLineBytes)
		return &jsonRows{scanner: s, hasher: blake3.New()}, nil
	}
	return nil, fmt.Errorf("format %q: csv, tsv or ndjson", f)
}

// rowError is a fault of one row; the next can still be read.
type rowError struct{ err error }

func (e *rowError) Error() string { return e.err.Error() }
func (e *rowError) Unwrap() error { return e.err }

type csvRows struct {
	reader *csv.Reader
	header []string
	hasher *blake3.Hasher
}

func newCSVRows(r io.Reader, f Format) (*csvRows, error) {
	c := &csvRows{reader: csv.NewReader(r), hasher: blake3.New()}
	if f == TSV {
		c.reader.Comma, c.reader.LazyQuotes = '\t', true
	}
	header, err := c.reader.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the input is empty: its first line must name the columns")
	}
	if err != nil {
		return nil, fmt.Errorf("read the names of the columns: %w", err)
	}
	c.reader.ReuseRecord = true
	const byteOrderMark = "\ufeff"
	header[0] = string(bytes.TrimPrefix([]byte(header[0]), []byte(byteOrderMark)))
	c.header = header
	c.note(header)
	return c, nil
}

func (c *csvRows) columns() []string { return c.header }
func (c *csvRows) digest() string    { return shortSum(c.hasher) }

// note takes a record into the digest.
func (c *csvRows) note(record []string) {
	var n [8]byte
	for _, field := range record {
		binary.LittleEndian.PutUint64(n[:], uint64(len(field)))
		_, _ = c.hasher.Write(n[:]) // a hash takes everything
		_, _ = c.hasher.WriteString(field)
	}
}

func (c *csvRows) next() (map[string]string, int, error) {
	record, err := c.reader.Read()
	if err != nil && !errors.Is(err, csv.ErrFieldCount) {
		return nil, 0, err
	}
	c.note(record)
	line, _ := c.reader.FieldPos(0)
	if err != nil {
		return nil, line, &rowError{fmt.Errorf("%d fields, where there are %d columns", len(record), len(c.header))}
	}
	row := make(map[string]string, len(record))
	for i, value := range record {
		row[c.header[i]] = value
	}
	return row, line, nil
}

type jsonRows struct {
	scanner *bufio.Scanner
	line    int
	hasher  *blake3.Hasher
}

func (j *jsonRows) columns() []string { return nil }
func (j *jsonRows) digest() string    { return shortSum(j.hasher) }

func (j *jsonRows) next() (map[string]string, int, error) {
	for j.scanner.Scan() {
		j.line++
		text := bytes.TrimSpace(j.scanner.Bytes())
		if len(text) == 0 {
			continue
		}
		_, _ = j.hasher.Write(text) // a hash takes everything
		_, _ = j.hasher.Write([]byte{'\n'})
		row, err := jsonRow(text)
		if err != nil {
			return nil, j.line, &rowError{err}
		}
		return row, j.line, nil
	}
	if err := j.scanner.Err(); err != nil {
		return nil, 0, fmt.Errorf("line %d: %w", j.line+1, err)
	}
	return nil, 0, io.EOF
}

// jsonRow reads one object of plain values; null is an empty one.
func jsonRow(text []byte) (map[string]string, error) {
	var fields map[string]any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&fields); err != nil {
		return nil, fmt.Errorf("not a JSON object: %w", err)
	}
	if fields == nil {
		return nil, errors.New("not a JSON object: null")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("not a JSON object: something follows it")
	}
	row := make(map[string]string, len(fields))
	for name, value := range fields {
		switch v := value.(type) {
		case string:
			row[name] = v
		case json.Number:
			row[name] = v.String()
		case bool:
			row[name] = strconv.FormatBool(v)
		case nil:
			row[name] = ""
		default:
			return nil, fmt.Errorf("column %q holds a list or an object", name)
		}
	}
	return row, nil
}

func shortSum(h *blake3.Hasher) string {
	var sum [32]byte
	return hex.EncodeToString(h.Sum(sum[:0])[:16])
}
