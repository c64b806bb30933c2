package api

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/stemedb/stemedb/api/export"
	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

const (
	// exportSlots bounds the exports that run at once: each keeps a state of the
	// index alive until it ends.
	exportSlots = 2
	// exportPiece is how much is written at once.
	exportPiece = 64 << 10
	// exportPage bounds the records that are in memory, exportSources those that
	// may hold a source's text.
	exportPage, exportSources = 256, 16
)

// export is GET /v1/export: everything that is signed, and what else answers
// rest on, at one log index, in the form of package export. It ends without a
// trailer if it cannot end well.
func (s *Server) export(c echo.Context) error {
	q := c.QueryParams()
	demand, err := consistency(q)
	if err != nil {
		return err
	}
	x := &exporting{server: s, echo: c, control: http.NewResponseController(c.Response().Writer), left: map[assertion.Hash]bool{}}
	if err := x.choose(q); err != nil {
		return err
	}
	store, err := s.store()
	if err != nil {
		return err
	}
	select {
	case s.exports <- struct{}{}:
	default:
		return &fault{code: v1.CodeOverloaded, detail: fmt.Sprintf("%d exports are running on this node", exportSlots), fix: "wait for one to end, or ask another node"}
	}
	defer func() { <-s.exports }()
	s.metrics.queries.WithLabelValues("export").Inc()
	ctx, cancel := s.bounded(c)
	defer cancel()
	if x.view, err = store.Read(ctx, demand); err != nil {
		return err
	}
	defer x.view.Close()
	index, at := x.view.Applied()
	if err := s.record(c, index, demand.Level, nil); err != nil {
		return err
	}
	setIndex(c, index)
	header := c.Response().Header()
	header["Content-Type"] = []string{v1.MediaNDJSON}
	header["Cache-Control"] = []string{"no-store"}
	header[v1.HeaderConsistency] = []string{demand.Level.String()}
	c.Response().WriteHeader(http.StatusOK)
	if err := x.run(export.Header{ClusterID: x.view.ClusterID(), Index: index, CommittedAt: at, Software: strings.TrimSpace("stemedb " + s.config.Version), Selection: &x.selection}); err != nil {
		s.config.Logger.WarnContext(c.Request().Context(), "an export ended before its end", "error", err)
	}
	return nil
}

// exporting is one export on its view.
type exporting struct {
	server  *Server
	echo    echo.Context
	control *http.ResponseController
	view    View
	to      *export.Writer
	piece   bytes.Buffer

	selection export.Selection
	filter    assertion.Filter // of every claim that is selected
	// left are the claims that are left out since what they are about is.
	left map[assertion.Hash]bool
}

// choose reads what is exported.
func (x *exporting) choose(q url.Values) (err error) {
	chosen := url.Values{}
	for _, name := range []string{"subject", "predicate"} {
		if q.Has(name) {
			chosen.Set(name, q.Get(name))
		}
	}
	if x.filter, err = selection(chosen); err != nil {
		return err
	}
	x.filter.Lifecycles, x.filter.Superseded, x.filter.Retracted = assertion.Lifecycles(), true, true
	x.selection = export.Selection{Subject: x.filter.Subject, Predicate: x.filter.Predicate}
	if x.filter.SubjectPrefix {
		x.selection.Subject += "*"
	}
	if q.Has("since") {
		if x.selection.Since, err = strconv.ParseUint(q.Get("since"), 10, 64); err != nil {
			return invalid("since", "not a log index", "give the index of an earlier export")
		}
	}
	return nil
}

// narrowed reports whether claims are chosen by what they are about.
func (x *exporting) narrowed() bool {
	return x.filter.Subject != "" || x.filter.SubjectPrefix || x.filter.Predicate != ""
}

// about reports whether claims on a question are selected.
func (x *exporting) about(subject, predicate string) bool {
	return x.filter.Match(&assertion.Claim{Assertion: assertion.Assertion{Subject: subject, Predicate: cmp.Or(predicate, x.filter.Predicate)}})
}

// run writes section after section.
func (x *exporting) run(h export.Header) (err error) {
	if x.to, err = export.NewWriter(x, h); err != nil {
		return err
	}
	for _, section := range []func() error{
		func() error { return x.each(exportSources, x.keepsSource, assertion.KindSource) },
		func() error { return x.each(exportPage, nil, assertion.KindEpoch) },
		x.aliases,
		func() error {
			return x.each(exportPage, x.keepsClaim, assertion.KindAssertion, assertion.KindCosignature)
		},
		func() error { return x.each(exportPage, x.keepsStatus, assertion.KindSourceStatus) },
		func() error { return x.each(exportPage, x.keepsSupersession, assertion.KindSupersession) },
		func() error { return x.each(exportPage, x.keepsVote, assertion.KindVote) },
		x.trust,
		func() error { return x.each(exportPage, x.keepsDecision, assertion.KindDecision) },
	} {
		if err := section(); err != nil {
			return err
		}
	}
	if _, err := x.to.Close(); err != nil {
		return err
	}
	return x.push()
}

// each writes the events of some kinds that are to be kept, in the order of the
// log; all if keep is nil.
func (x *exporting) each(page int, keep func(*assertion.Event) (bool, error), kinds ...assertion.Kind) error {
	after := endOf(x.selection.Since)
	for {
		events, err := x.view.Feed(after, page, kinds...)
		if err != nil {
			return err
		}
		for i := range events {
			e := &events[i]
			after = e.Commit.Position
			kept := true
			if keep != nil {
				if kept, err = keep(e); err != nil {
					return err
				}
			}
			if kept {
				if err := x.to.Add(e); err != nil {
					return err
				}
			}
		}
		if len(events) < page {
			return nil
		}
	}
}

// kept reports whether a claim is exported, now or by an export of what was
// before.
func (x *exporting) kept(h assertion.Hash) (bool, error) {
	c, err := x.view.Get(h)
	if err != nil {
		return false, err
	}
	return x.about(c.Subject, c.Predicate) && !c.Review.Hides() && !x.left[h], nil
}

// keepsClaim leaves out transitions of what is left out: they could not be
// stored.
func (x *exporting) keepsClaim(e *assertion.Event) (bool, error) {
	var claim *assertion.Assertion
	var hash assertion.Hash
	if e.Claim != nil {
		claim, hash = &e.Claim.Assertion, e.Claim.Hash
	} else if cosigned, ok := e.Entry.(*assertion.Cosignature); ok {
		claim, hash = cosigned.Assertion, cosigned.Hash
	}
	if claim == nil || !x.about(claim.Subject, claim.Predicate) {
		return false, nil
	}
	if claim.ParentHash == nil {
		return true, nil
	}
	kept, err := x.kept(*claim.ParentHash)
	if err == nil && !kept {
		x.left[hash] = true
	}
	return kept, err
}

func (x *exporting) keepsVote(e *assertion.Event) (bool, error) {
	v, ok := e.Entry.(*assertion.Vote)
	if !ok {
		return false, nil
	}
	return x.kept(v.AssertionHash)
}

func (x *exporting) keepsSupersession(e *assertion.Event) (bool, error) {
	s, ok := e.Entry.(*assertion.Supersession)
	if !ok {
		return false, nil
	}
	kept, err := x.kept(s.Superseded)
	if err != nil || !kept || s.By == nil {
		return kept, err
	}
	by, err := x.view.Get(*s.By) // may be about anything
	return err == nil && !by.Review.Hides() && !x.left[*s.By], err
}

// keepsDecision keeps the word that counts on a claim that it shows.
func (x *exporting) keepsDecision(e *assertion.Event) (bool, error) {
	d, ok := e.Entry.(*assertion.Decision)
	if !ok || !d.Approved {
		return false, nil
	}
	all, err := x.view.Decisions(d.Claim)
	if err != nil || all[len(all)-1].Commit != e.Commit {
		return false, err
	}
	return x.kept(d.Claim)
}

// keepsSource keeps the description that counts.
func (x *exporting) keepsSource(e *assertion.Event) (bool, error) {
	s, ok := e.Entry.(*assertion.Source)
	if !ok {
		return false, nil
	}
	record, err := x.view.Source(s.Hash)
	if err != nil || record.Source == nil || record.Source.Commit != e.Commit {
		return false, err
	}
	return x.rests(s.Hash, true)
}

// keepsStatus keeps the status that counts if it retracts: a source stands
// otherwise.
func (x *exporting) keepsStatus(e *assertion.Event) (bool, error) {
	s, ok := e.Entry.(*assertion.SourceStatus)
	if !ok || !s.Retracted {
		return false, nil
	}
	record, err := x.view.Source(s.Source)
	if err != nil || record.Statuses[len(record.Statuses)-1].Commit != e.Commit {
		return false, err
	}
	return x.rests(s.Source, record.Source != nil)
}

// rests reports whether a source belongs to the export: a registered one to one
// of everything, else if an exported claim rests on it.
func (x *exporting) rests(h assertion.Hash, registered bool) (bool, error) {
	if registered && !x.narrowed() {
		return true, nil
	}
	on := x.filter
	on.Source = &h
	for cursor := ""; ; {
		claims, next, err := x.view.Page(on, cursor, 1)
		if err != nil || len(claims) > 0 || next == "" {
			return len(claims) > 0, err
		}
		cursor = next
	}
}

// aliases writes those that hold, and lead to or from a selected subject.
func (x *exporting) aliases() error {
	all, err := x.view.AliasPage(nil, math.MaxInt)
	if err != nil {
		return err
	}
	return addSorted(x, all, func(a *assertion.Alias) bool { return x.about(a.Name, "") || x.about(a.Canonical, "") })
}

// trust writes what trust rests on: endorsements, gold labels and seeds. All but
// the labels are about agents, and left out if claims are chosen.
func (x *exporting) trust() error {
	if !x.narrowed() {
		if err := x.each(exportPage, nil, assertion.KindEndorsement); err != nil {
			return err
		}
	}
	labels, err := x.view.Labels()
	if err != nil {
		return err
	}
	if err := addSorted(x, labels, func(l *assertion.Label) bool { return x.about(l.Subject, l.Predicate) }); err != nil || x.narrowed() {
		return err
	}
	var newest *assertion.Event
	err = x.each(exportPage, func(e *assertion.Event) (bool, error) { newest = e; return false, nil }, assertion.KindSeeds)
	if err != nil || newest == nil {
		return err
	}
	return x.to.Add(newest)
}

// addSorted writes entries in the order of the log.
func addSorted[E assertion.Entry](x *exporting, all []assertion.Recorded[E], keep func(E) bool) error {
	slices.SortFunc(all, func(a, b assertion.Recorded[E]) int { return a.Commit.Compare(b.Commit.Position) })
	for _, r := range all {
		if r.Commit.Index <= x.selection.Since || !keep(r.Entry) {
			continue
		}
		if err := x.to.Add(&assertion.Event{Commit: r.Commit, Kind: r.Entry.Kind(), Entry: r.Entry, Authority: r.Authority}); err != nil {
			return err
		}
	}
	return nil
}

// Write implements io.Writer for the Writer of the format: it collects a piece
// and sends it.
func (x *exporting) Write(b []byte) (int, error) {
	x.piece.Write(b)
	if x.piece.Len() < exportPiece {
		return len(b), nil
	}
	return len(b), x.push()
}

// push sends what is collected, as long as the client takes it, its key is good
// and the node is not stopping.
func (x *exporting) push() error {
	if err := x.server.draining.Err(); err != nil {
		return fmt.Errorf("the node is stopping: %w", err)
	}
	if err := x.server.stillAllowed(x.echo); err != nil {
		return err
	}
	return push(x.echo, x.control, &x.piece)
}
