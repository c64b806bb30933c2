package claimimport

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
)

// Sender is what an import needs of a client.
type Sender interface {
	AssertBatch(ctx context.Context, claims []*assertion.Assertion) (*v1.BatchResponse, error)
}

// Options control a run.
type Options struct {
	Format    Format
	BatchSize int // claims a request, 1 to 1000
	Workers   int // requests in flight
	// StatePath, if set, is where the rows that are done are kept, and from where
	// they are skipped when the same input is imported by the same mapping again.
	// More rows may follow by then; other rows are an error.
	StatePath string
	// Progress, if set, hears of each acknowledged batch.
	Progress func(Summary)
	// Refused, if set, hears of each row or claim that was not taken. Neither
	// function is called while a call of one of them runs.
	Refused func(line int, err error)
}

// Summary counts what an import did.
type Summary struct {
	Rows     int `json:"rows"`
	Skipped  int `json:"skipped_rows"` // done by an earlier run
	Nulls    int `json:"nulls"`        // values that say nothing
	Claims   int `json:"claims"`
	Created  int `json:"created"`
	Exists   int `json:"exists"`
	Cosigned int `json:"cosigned"`
	// Quarantined claims are stored and wait for a review.
	Quarantined int `json:"quarantined"`
	Refused     int `json:"refused"` // rows that could not be read and claims that were not taken
}

// batch is some claims with the lines that they came from.
type batch struct {
	number int
	claims []*assertion.Assertion
	lines  []int
	read   mark
}

// mark is a place in the input.
type mark struct {
	rows   int    // read so far
	digest string // of them
}

// Run imports every row. It returns when all is acknowledged, or with the first
// error that stops the whole: the input, the keyring, the cluster.
func Run(ctx context.Context, in io.Reader, m *Mapper, keys *client.Keyring, to Sender, o Options) (Summary, error) {
	rows, err := newRowReader(in, o.Format)
	if err != nil {
		return Summary{}, err
	}
	if header := rows.columns(); header != nil {
		if err := m.check(header); err != nil {
			return Summary{}, err
		}
	}
	state, err := openState(o.StatePath, m.mapping)
	if err != nil {
		return Summary{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := &run{options: o, mapper: m, keys: keys, to: to, state: state, signers: map[string]ed25519.PrivateKey{}, done: map[int]mark{}}
	batches := make(chan batch)
	var workers sync.WaitGroup
	for range max(o.Workers, 1) {
		workers.Go(func() {
			for b := range batches {
				if err := r.send(ctx, b); err != nil {
					cancel(err)
				}
			}
		})
	}
	err = r.read(ctx, rows, batches)
	close(batches)
	workers.Wait()
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return r.summary, err
}

type run struct {
	options Options
	mapper  *Mapper
	keys    *client.Keyring
	to      Sender
	signers map[string]ed25519.PrivateKey // only the reader uses it

	mu      sync.Mutex
	summary Summary
	state   *state
	next    int          // first batch that is not acknowledged
	done    map[int]mark // acknowledged batches after it
}

// read maps and signs rows and hands them on in batches.
func (r *run) read(ctx context.Context, rows rowReader, out chan<- batch) error {
	var b batch
	r.mu.Lock()
	earlier := mark{r.state.Rows, r.state.Input} // the state moves on meanwhile
	r.mu.Unlock()
	flush := func(row int) error {
		b.read = mark{row, rows.digest()}
		select {
		case out <- b:
			b = batch{number: b.number + 1}
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	var absent []string // columns that rows may leave out, and all have left out
	if rows.columns() == nil {
		absent = r.mapper.valueColumns()
	}
	for row := 1; ; row++ {
		fields, line, err := rows.next()
		if errors.Is(err, io.EOF) {
			if row <= earlier.rows {
				return r.otherInput(earlier)
			}
			if err := flush(row - 1); err != nil {
				return err
			}
			if row > 1 && len(absent) > 0 {
				return fmt.Errorf("no row has a column %q", absent[0])
			}
			return nil
		}
		var own *rowError
		if err != nil && !errors.As(err, &own) {
			return fmt.Errorf("read the input: %w", err)
		}
		absent = slices.DeleteFunc(absent, func(column string) bool { _, there := fields[column]; return there })
		r.count(func(s *Summary) { s.Rows++ })
		if row <= earlier.rows {
			if row == earlier.rows && rows.digest() != earlier.digest {
				return r.otherInput(earlier)
			}
			r.count(func(s *Summary) { s.Skipped++ })
			continue
		}
		if err == nil {
			err = r.add(&b, fields, line)
		}
		var fatal *keyError
		switch {
		case errors.As(err, &fatal):
			return err
		case err != nil:
			r.refuse(line, err)
		}
		if len(b.claims) >= r.options.BatchSize {
			if err := flush(row); err != nil {
				return err
			}
		}
	}
}

func (r *run) otherInput(earlier mark) error {
	return fmt.Errorf("%s belongs to an import of another input: its first %d rows are not those of this one; remove the file to import from the beginning",
		r.options.StatePath, earlier.rows)
}

// keyError is a fault of the keyring: no row can be signed.
type keyError struct{ err error }

func (e *keyError) Error() string { return e.err.Error() }
func (e *keyError) Unwrap() error { return e.err }

// add signs the claims of one row.
func (r *run) add(b *batch, fields map[string]string, line int) error {
	claims, nulls, err := r.mapper.Claims(fields)
	if err != nil {
		return err
	}
	r.count(func(s *Summary) { s.Nulls += nulls })
	for _, u := range claims {
		key := r.signers[u.Source]
		if key == nil {
			if key, err = r.keys.Key(u.Source); err != nil {
				return &keyError{err}
			}
			r.signers[u.Source] = key
		}
		u.Claim.SourceHash = client.SourceHash(u.Source)
		u.Claim.Sign(key, u.Claim.Timestamp)
		b.claims = append(b.claims, u.Claim)
		b.lines = append(b.lines, line)
	}
	return nil
}

func (r *run) count(f func(*Summary)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.summary)
}

func (r *run) refuse(line int, err error) {
	r.count(func(s *Summary) {
		s.Refused++
		if r.options.Refused != nil {
			r.options.Refused(line, err)
		}
	})
}

// send brings one batch to the cluster.
func (r *run) send(ctx context.Context, b batch) error {
	select {
	case <-ctx.Done():
		return nil // another batch has failed, and says why
	default:
	}
	if len(b.claims) > 0 {
		answer, err := r.to.AssertBatch(ctx, b.claims)
		if err != nil {
			return fmt.Errorf("lines %d to %d: %w", b.lines[0], b.lines[len(b.lines)-1], err)
		}
		for i, result := range answer.Results {
			r.tally(b.lines[i], result)
		}
	}
	return r.acknowledge(b)
}

func (r *run) tally(line int, result v1.BatchResult) {
	if result.Status == v1.StatusRefused {
		r.refuse(line, fmt.Errorf("%s: %s", result.Code, result.Detail))
		return
	}
	r.count(func(s *Summary) {
		s.Claims++
		switch result.Status {
		case v1.StatusCreated:
			s.Created++
		case v1.StatusExists:
			s.Exists++
		case v1.StatusCosigned:
			s.Cosigned++
		case v1.StatusQuarantined:
			s.Quarantined++
		}
	})
}

// acknowledge moves the state forward over every batch that is done without a
// gap.
func (r *run) acknowledge(b batch) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done[b.number] = b.read
	for {
		read, done := r.done[r.next]
		if !done {
			break
		}
		delete(r.done, r.next)
		r.next++
		if read.rows >= r.state.Rows {
			r.state.Rows, r.state.Input = read.rows, read.digest
		}
	}
	if r.options.Progress != nil {
		r.options.Progress(r.summary)
	}
	return r.state.save()
}
