package claimimport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/stemedb/stemedb/api/export"
	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
)

// Taker is what the import of an export needs of a client.
type Taker interface {
	Sender
	RegisterSource(ctx context.Context, s *assertion.Source) (*v1.AssertResponse, error)
	SetSourceStatus(ctx context.Context, s *assertion.SourceStatus) (*v1.AssertResponse, error)
	Epoch(ctx context.Context, e *assertion.Epoch) (*v1.AssertResponse, error)
	SetAlias(ctx context.Context, a *assertion.Alias) (*v1.AssertResponse, error)
	Supersede(ctx context.Context, s *assertion.Supersession) (*v1.AssertResponse, error)
	Vote(ctx context.Context, v *assertion.Vote) (*v1.AssertResponse, error)
	Endorse(ctx context.Context, e *assertion.Endorsement) (*v1.AssertResponse, error)
	SetGold(ctx context.Context, l *assertion.Label) (*v1.AssertResponse, error)
	SetSeeds(ctx context.Context, s *assertion.Seeds) (*v1.AssertResponse, error)
	Get(ctx context.Context, h assertion.Hash, want client.Consistency) (*v1.AssertionDetail, error)
	ApproveClaim(ctx context.Context, claim assertion.Hash, reason string) (*v1.DecisionResponse, error)
}

// SignedOptions control the import of an export. Batch, workers, state, progress
// and refusals are as in Options; a row is a line.
type SignedOptions struct {
	BatchSize, Workers int
	StatePath          string
	Progress           func(SignedSummary)
	Refused            func(line int, err error)
}

// SignedSummary counts what the import of an export did, in records.
type SignedSummary struct {
	// Records are those of the file, Skipped those that an earlier run has done.
	Records  int `json:"records"`
	Skipped  int `json:"skipped_records"`
	Created  int `json:"created"`
	Exists   int `json:"exists"`
	Cosigned int `json:"cosigned"`
	// Quarantined claims are stored and wait for a review here, whatever the cluster
	// of the export thought of them.
	Quarantined int `json:"quarantined"`
	Refused     int `json:"refused"`
	// Digest is the content digest of the file.
	Digest assertion.Hash `json:"content_digest"`
}

// Signed imports an export into a cluster. Nothing is sent before the whole file
// holds; the error then wraps export.ErrInvalid. Claims go in the order of the
// file, which decides ties, the rest side by side where the order does not
// matter.
func Signed(ctx context.Context, in io.ReadSeeker, to Taker, o SignedOptions) (SignedSummary, error) {
	report, err := export.Read(in, export.Options{})
	if err == nil {
		err = report.Err()
	}
	if err != nil {
		return SignedSummary{}, err
	}
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		return SignedSummary{}, fmt.Errorf("read the export again: %w", err)
	}
	whole := report.Trailer.BLAKE3.String()
	state, err := openState(o.StatePath, []string{"export", whole})
	if err != nil {
		return SignedSummary{}, err
	}
	state.Input = whole
	s := &signedRun{options: o, to: to, state: state}
	s.summary.Records, s.summary.Digest = report.Trailer.Lines-1, report.Trailer.Digest
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// One part is sent while the next is read.
	parts, sent := make(chan part), make(chan error, 1)
	go func() { sent <- s.sendAll(ctx, cancel, parts) }()
	_, err = export.Read(in, export.Options{Trusted: true, Each: func(records []export.Record, through int) error {
		select {
		case parts <- part{records, through}:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}})
	close(parts)
	if failed := <-sent; failed != nil {
		err = failed
	}
	return s.summary, err
}

// part is some lines of the file: their records, and the last of the lines.
type part struct {
	records []export.Record
	through int
}

type signedRun struct {
	options SignedOptions
	to      Taker
	state   *state
	claims  []export.Record // that wait to be sent

	mu      sync.Mutex
	summary SignedSummary
}

func (s *signedRun) sendAll(ctx context.Context, cancel context.CancelFunc, parts <-chan part) (err error) {
	for p := range parts {
		if err != nil {
			continue // the reader stops
		}
		if err = s.send(ctx, p); err != nil {
			cancel()
		}
	}
	if err == nil {
		err = s.flush(ctx)
	}
	return err
}

// send sends what is not done yet. Claims may wait for more of them, so that what
// is done is what came before the first of those.
func (s *signedRun) send(ctx context.Context, p part) error {
	if p.through <= s.state.Rows {
		s.count(func(sum *SignedSummary) { sum.Skipped += len(p.records) })
		return nil
	}
	for at := 0; at < len(p.records); {
		r := p.records[at]
		if r.Line <= s.state.Rows {
			s.count(func(sum *SignedSummary) { sum.Skipped++ })
			at++
			continue
		}
		if export.Section(r.Kind) == export.Section(assertion.KindAssertion) {
			s.claims = append(s.claims, r)
			at++
			if len(s.claims) >= s.options.BatchSize {
				if err := s.flush(ctx); err != nil {
					return err
				}
			}
			continue
		}
		if err := s.flush(ctx); err != nil {
			return err
		}
		end := at
		for end < len(p.records) && p.records[end].Kind == r.Kind {
			end++
		}
		if err := s.sideBySide(ctx, p.records[at:end]); err != nil {
			return err
		}
		at = end
	}
	return nil
}

// flush sends the claims that wait.
func (s *signedRun) flush(ctx context.Context) error {
	if len(s.claims) == 0 {
		return nil
	}
	claims := make([]*assertion.Assertion, 0, len(s.claims))
	for _, r := range s.claims {
		if a, ok := r.Entry.(*assertion.Assertion); ok {
			claims = append(claims, a)
		}
	}
	first, last := s.claims[0].Line, s.claims[len(s.claims)-1].Line
	answer, err := s.to.AssertBatch(ctx, claims)
	if err != nil {
		return fmt.Errorf("lines %d to %d: %w", first, last, err)
	}
	for i, result := range answer.Results {
		if result.Status == v1.StatusRefused {
			s.refuse(s.claims[i].Line, fmt.Errorf("%s: %s", result.Code, result.Detail))
			continue
		}
		s.stored(result.Status)
	}
	s.claims = s.claims[:0]
	return s.acknowledge(last)
}

// sideBySide sends records of one kind. Those about the same thing follow each
// other.
func (s *signedRun) sideBySide(ctx context.Context, records []export.Record) error {
	lanes := max(s.options.Workers, 1)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var running sync.WaitGroup
	for lane := range lanes {
		running.Go(func() {
			for i := range records {
				if laneOf(records[i].Entry, lanes) != lane || ctx.Err() != nil {
					continue
				}
				if err := s.put(ctx, &records[i]); err != nil {
					cancel(fmt.Errorf("line %d: %w", records[i].Line, err))
				}
			}
		})
	}
	running.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return s.acknowledge(records[len(records)-1].Line)
}

// laneOf is which of several goroutines sends an entry: the same one for what is
// about the same thing. Epochs name earlier ones, so that they share a lane, as
// does what is rare.
func laneOf(e assertion.Entry, lanes int) int {
	switch e := e.(type) {
	case *assertion.Vote:
		return int(e.AssertionHash[0]) % lanes
	case *assertion.Supersession:
		return int(e.Superseded[0]) % lanes
	case *assertion.Endorsement:
		return int(e.AgentID[0]) % lanes
	case *assertion.Source:
		return int(e.Hash[0]) % lanes
	}
	return 0
}

// put sends one record that is no claim. What the cluster refuses is counted; an
// error is one that stops the import.
func (s *signedRun) put(ctx context.Context, r *export.Record) error {
	answer := new(v1.AssertResponse)
	var err error
	switch e := r.Entry.(type) {
	case *assertion.Source:
		answer, err = s.to.RegisterSource(ctx, e)
	case *assertion.SourceStatus:
		answer, err = s.to.SetSourceStatus(ctx, e)
	case *assertion.Epoch:
		answer, err = s.to.Epoch(ctx, e)
	case *assertion.Alias:
		answer, err = s.to.SetAlias(ctx, e)
	case *assertion.Supersession:
		answer, err = s.to.Supersede(ctx, e)
	case *assertion.Vote:
		answer, err = s.to.Vote(ctx, e)
	case *assertion.Endorsement:
		answer, err = s.to.Endorse(ctx, e)
	case *assertion.Label:
		answer, err = s.to.SetGold(ctx, e)
	case *assertion.Seeds:
		answer, err = s.to.SetSeeds(ctx, e)
	case *assertion.Decision:
		return s.approve(ctx, r.Line, e)
	default:
		return fmt.Errorf("an import has no way to store a %s", r.Kind)
	}
	return s.outcome(r.Line, err, func() { s.stored(answer.Status) })
}

// approve approves a claim again if this cluster has quarantined it too and
// nobody here has decided on it.
func (s *signedRun) approve(ctx context.Context, line int, d *assertion.Decision) error {
	claim, err := s.to.Get(ctx, d.Claim, client.Consistency{})
	if err != nil {
		return s.outcome(line, err, nil)
	}
	if claim.Review == assertion.ReviewRejected.String() {
		s.refuse(line, errors.New("a reviewer of this cluster has rejected the claim: only a reviewer approves it"))
		return nil
	}
	if claim.Review != assertion.ReviewPending.String() {
		s.stored(v1.StatusExists)
		return nil
	}
	answer, err := s.to.ApproveClaim(ctx, d.Claim, d.Reason)
	return s.outcome(line, err, func() { s.stored(answer.Status) })
}

// outcome counts a refusal, and passes on what is none.
func (s *signedRun) outcome(line int, err error, stored func()) error {
	var refusal *client.Error
	switch {
	case err == nil:
		stored()
		return nil
	case errors.As(err, &refusal) && refusal.Status/100 == 4 && refusal.Status != http.StatusUnauthorized && refusal.Status != http.StatusTooManyRequests && refusal.Status != http.StatusPreconditionRequired:
		s.refuse(line, err)
		return nil
	}
	return err
}

func (s *signedRun) count(f func(*SignedSummary)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.summary)
}

func (s *signedRun) stored(status v1.Status) {
	s.count(func(sum *SignedSummary) {
		switch status {
		case v1.StatusCreated:
			sum.Created++
		case v1.StatusExists:
			sum.Exists++
		case v1.StatusCosigned:
			sum.Cosigned++
		case v1.StatusQuarantined:
			sum.Quarantined++
		}
	})
}

func (s *signedRun) refuse(line int, err error) {
	s.count(func(sum *SignedSummary) {
		sum.Refused++
		if s.options.Refused != nil {
			s.options.Refused(line, err)
		}
	})
}

// acknowledge notes that everything through a line is done.
func (s *signedRun) acknowledge(line int) error {
	s.state.Rows = line
	if s.options.Progress != nil {
		s.options.Progress(s.summary)
	}
	return s.state.save()
}
