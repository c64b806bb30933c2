package export

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"

	"github.com/zeebo/blake3"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/internal/lthash"
)

// ErrInvalid means that a file is no whole and true export; the error says what
// is wrong with it.
var ErrInvalid = errors.New("the export does not hold")

// Fault is what is wrong with a line.
type Fault struct {
	Line int
	Err  error
}

// Report is what Read found.
type Report struct {
	Header  Header
	Trailer Trailer
	// Legacy counts signatures of version 1, which do not cover the object.
	Legacy int
	// Faults counts what is wrong, First is the first of it.
	Faults int
	First  Fault
}

// Err wraps ErrInvalid if anything is wrong: the first fault and how many there
// are.
func (r *Report) Err() error {
	if r.Faults == 0 {
		return nil
	}
	return fmt.Errorf("%w: line %d: %w (faults in all: %d)", ErrInvalid, r.First.Line, r.First.Err, r.Faults)
}

func (r *Report) fault(line int, err error) {
	if r.Faults++; r.Faults == 1 {
		r.First = Fault{line, err}
	}
}

// Options of Read.
type Options struct {
	// Trusted leaves signatures to who checks them later: a cluster as it stores
	// them, or another Read. Hashes, counts and the trailer are checked.
	Trusted bool
	// Each, if not nil, is called with the good records of the next lines, in the
	// order of the file; through is the last of these lines. Its error ends Read.
	Each func(records []Record, through int) error
}

// The parts that are checked at a time, by a goroutine each.
const (
	chunkLines = 256
	chunkBytes = 1 << 20
)

// chunk is some lines that follow each other.
type chunk struct {
	first   int // number of the first line
	lines   [][]byte
	records []Record
	faults  []Fault
	content *content
	done    chan struct{}
}

// Read checks a whole export: every line, hash and signature, the order and the
// trailer. A wrong line is counted in the report and the rest goes on. An error
// is one of reading, of Each, or that the file is no export of a known version.
func Read(in io.Reader, o Options) (*Report, error) {
	r := &reading{in: bufio.NewReaderSize(in, 1<<16), options: o, report: new(Report), content: newContent(), sum: blake3.New(), section: -1}
	if err := r.header(); err != nil {
		return nil, err
	}
	return r.report, r.body()
}

type reading struct {
	in      *bufio.Reader
	options Options
	report  *Report
	content *content
	sum     *blake3.Hasher // of the lines that were read
	lines   int            // that were read
	trailer []byte         // the line that was read last and may be the trailer
	section int
	place   assertion.Position
}

// next reads a line with its newline; io.EOF after the last. A last line without
// one is a line too.
func (r *reading) next() ([]byte, error) {
	var out []byte
	for {
		part, err := r.in.ReadSlice('\n')
		out = append(out, part...)
		switch {
		case len(out) > maxLine:
			return nil, fmt.Errorf("%w: line %d has more than %d bytes", ErrInvalid, r.lines+1, maxLine)
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(out) > 0:
			return out, nil
		case err != nil:
			return nil, err
		}
		return out, nil
	}
}

func (r *reading) header() error {
	raw, err := r.next()
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: it is empty", ErrInvalid)
	}
	if err != nil {
		return err
	}
	h := &r.report.Header
	if !bytes.HasPrefix(raw, []byte(Magic)) || json.Unmarshal(raw, h) != nil {
		return fmt.Errorf("%w: line 1 is no header: an export begins with %s", ErrInvalid, Magic)
	}
	if h.Version != Version {
		return fmt.Errorf("%w: it has version %d of the format, this program knows %d: use a newer stemectl", ErrInvalid, h.Version, Version)
	}
	if err := strict(raw, h); err != nil {
		r.report.fault(1, err)
	}
	r.lines = 1
	_, _ = r.sum.Write(raw)
	return nil
}

// body reads chunks, has them checked side by side, and takes the results in
// order.
func (r *reading) body() error {
	workers := runtime.GOMAXPROCS(0)
	todo, inOrder := make(chan *chunk), make(chan *chunk, workers)
	stop := make(chan struct{})
	var readErr error
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			hasher := lthash.NewExpander(digestContext)
			for c := range todo {
				c.check(hasher, r.options.Trusted)
				close(c.done)
			}
		})
	}
	running.Go(func() {
		defer close(inOrder)
		defer close(todo)
		readErr = r.chunks(func(c *chunk) bool {
			select {
			case inOrder <- c:
			case <-stop:
				return false
			}
			todo <- c
			return true
		})
	})
	var err error
	for c := range inOrder {
		<-c.done
		if err != nil {
			continue // the reader stops
		}
		if err = r.take(c); err != nil {
			close(stop)
		}
	}
	running.Wait()
	if err = errors.Join(err, readErr); err != nil {
		return err
	}
	return r.finish()
}

// chunks reads to the end. The last line is kept back as the trailer.
func (r *reading) chunks(hand func(*chunk) bool) error {
	c := &chunk{first: r.lines + 1, content: newContent(), done: make(chan struct{})}
	size := 0
	flush := func() bool {
		if len(c.lines) == 0 {
			return true
		}
		ok := hand(c)
		c = &chunk{first: r.lines + 1, content: newContent(), done: make(chan struct{})}
		size = 0
		return ok
	}
	for {
		raw, err := r.next()
		if errors.Is(err, io.EOF) {
			flush()
			return nil
		}
		if err != nil {
			return err
		}
		if r.trailer != nil {
			r.lines++
			_, _ = r.sum.Write(r.trailer)
			c.lines = append(c.lines, r.trailer)
			size += len(r.trailer)
		}
		r.trailer = raw
		if (len(c.lines) == chunkLines || size >= chunkBytes) && !flush() {
			return nil
		}
	}
}

// take counts a chunk that was checked, and hands it on.
func (r *reading) take(c *chunk) error {
	faults := c.faults
	for i := range c.records {
		record := &c.records[i]
		section := Section(record.Kind)
		for len(faults) > 0 && faults[0].Line < record.Line {
			r.report.fault(faults[0].Line, faults[0].Err)
			faults = faults[1:]
		}
		if section < r.section || section == r.section && record.Commit.Compare(r.place) <= 0 {
			r.report.fault(record.Line, errors.New("out of order, or a second time: lines follow the order of kinds and of the log"))
		}
		r.section, r.place = section, record.Commit.Position
	}
	for _, f := range faults {
		r.report.fault(f.Line, f.Err)
	}
	r.content.join(c.content)
	if r.options.Each == nil {
		return nil
	}
	return r.options.Each(c.records, c.first+len(c.lines)-1)
}

// finish holds the trailer to what was read: its bytes follow from that.
func (r *reading) finish() error {
	report, number := r.report, r.lines+1
	report.Legacy = r.content.legacy
	want, t, err := r.content.trailer(r.lines, assertion.Hash(r.sum.Sum(nil)))
	if err != nil {
		return err
	}
	report.Trailer = *t
	if bytes.Equal(r.trailer, want) {
		return nil
	}
	var told Trailer
	switch err := strict(r.trailer, &told); {
	case err != nil || !told.End:
		report.fault(number, errors.New("the file ends without a trailer: it is not whole"))
	case told.Lines != t.Lines:
		report.fault(number, fmt.Errorf("the trailer counts %d lines before it, there are %d", told.Lines, t.Lines))
	case told.BLAKE3 != t.BLAKE3:
		report.fault(number, errors.New("the BLAKE3 hash of the lines is not that of the trailer: a line was changed, moved or replaced"))
	case told.Digest != t.Digest:
		report.fault(number, fmt.Errorf("the content digest is %s, the trailer says %s", t.Digest, told.Digest))
	default:
		report.fault(number, fmt.Errorf("the trailer is not the one that follows from the lines: %s", bytes.TrimSpace(want)))
	}
	return nil
}

// strict decodes one JSON object with known fields only.
func strict(raw []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if string(raw[d.InputOffset():]) != "\n" {
		return errors.New("more than one JSON object, or no newline at its end")
	}
	return nil
}

// check reads and verifies the lines of a chunk.
func (c *chunk) check(x *lthash.Expander, trusted bool) {
	c.records = make([]Record, 0, len(c.lines))
	raws := make([]json.RawMessage, 0, len(c.lines))
	verdicts := make([]error, 0, len(c.lines))
	var claims []*assertion.Assertion
	var places []int
	for i, raw := range c.lines {
		r, record, err := readLine(raw)
		r.Line = c.first + i
		if claim, ok := r.Entry.(*assertion.Assertion); ok && err == nil {
			claims, places = append(claims, claim), append(places, i)
		} else if e, ok := r.Entry.(interface{ Verify() error }); ok && err == nil && !trusted {
			err = e.Verify()
		}
		c.records, raws, verdicts = append(c.records, r), append(raws, record), append(verdicts, err)
	}
	if !trusted {
		for i, err := range assertion.VerifyBatch(claims, assertion.VerifyOptions{AcceptV1: true}) {
			verdicts[places[i]] = err
		}
	}
	good := c.records[:0]
	for i := range c.records {
		r := c.records[i]
		if verdicts[i] == nil {
			verdicts[i] = c.content.add(x, &r, raws[i])
		}
		if verdicts[i] != nil {
			c.faults = append(c.faults, Fault{r.Line, verdicts[i]})
			continue
		}
		good = append(good, r)
	}
	c.records = good
}

// readLine reads a record and holds it to its rules and its hash.
func readLine(raw []byte) (r Record, record json.RawMessage, err error) {
	var l line
	if err := strict(raw, &l); err != nil {
		return r, nil, err
	}
	if r.Kind, err = assertion.ParseKind(l.Kind); err != nil || Section(r.Kind) < 0 {
		return r, nil, fmt.Errorf("%.40q is no kind of record", l.Kind)
	}
	if r.Commit.Position, err = l.position(); err != nil {
		return r, nil, err
	}
	r.Commit.At, r.Authority = l.CommittedAt, l.Authority
	if r.Entry, err = decodeRecord(r.Kind, l.Record); err != nil {
		return r, nil, err
	}
	if e, ok := r.Entry.(interface{ Validate() error }); ok {
		if err := e.Validate(); err != nil {
			return r, nil, err
		}
	}
	hash, signed := hashed(r.Entry)
	if told := hash.String(); signed && told != l.Hash {
		return r, nil, fmt.Errorf("the hash of the content is %s, the line says %.80q", told, l.Hash)
	}
	if !signed && l.Hash != "" {
		return r, nil, fmt.Errorf("a %s has no hash of its own", r.Kind)
	}
	r.Hash = hash
	return r, l.Record, nil
}

func decodeRecord(k assertion.Kind, raw []byte) (assertion.Entry, error) {
	switch k {
	case assertion.KindAssertion, assertion.KindCosignature:
		return decoded(assertion.DecodeJSON(raw))
	case assertion.KindSource:
		return decoded(assertion.DecodeSourceJSON(raw))
	case assertion.KindEpoch:
		return decoded(assertion.DecodeEpochJSON(raw))
	case assertion.KindAlias:
		return decoded(assertion.DecodeAliasJSON(raw))
	case assertion.KindSupersession:
		return decoded(assertion.DecodeSupersessionJSON(raw))
	case assertion.KindVote:
		return decoded(assertion.DecodeVoteJSON(raw))
	case assertion.KindEndorsement:
		return decoded(assertion.DecodeEndorsementJSON(raw))
	case assertion.KindLabel:
		return decoded(assertion.DecodeLabelJSON(raw))
	case assertion.KindSeeds:
		return decoded(assertion.DecodeSeedsJSON(raw))
	case assertion.KindDecision:
		d := new(assertion.Decision)
		return decoded(d, strict(append(bytes.Clone(raw), '\n'), d))
	default:
		s := new(assertion.SourceStatus)
		return decoded(s, strict(append(bytes.Clone(raw), '\n'), s))
	}
}

// decoded is nil beside an error, whatever the type.
func decoded[E assertion.Entry](e E, err error) (assertion.Entry, error) {
	if err != nil {
		return nil, err
	}
	return e, nil
}
