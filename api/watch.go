package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/auth"
	"github.com/stemedb/stemedb/lens"
)

// The bounds of watching.
const (
	// maxWatches bounds the watches that a node serves at once.
	maxWatches = 1024
	// maxWatchesOfOne bounds those of one sender: agent, API key or address.
	maxWatchesOfOne = 128
	// watchPage bounds the events that are read from one view.
	watchPage = 256
	// heartbeat is the longest silence of a watch; proxies and clients take a
	// longer one for a dead connection.
	heartbeat = 15 * time.Second
	// watchWrite bounds how long a client may take to accept a piece of what it is
	// sent.
	watchWrite = 20 * time.Second
)

// watch is GET /v1/watch: server-sent events (WHATWG HTML, section 9.2), one for
// each change after a position of the log, as it is applied here. The id of an
// event is its position, so that a client that comes back with Last-Event-ID,
// to whatever node, continues where it stopped.
func (s *Server) watch(c echo.Context) error {
	w, err := s.newWatch(c)
	if err != nil {
		return err
	}
	select {
	case s.watches <- struct{}{}:
	default:
		return &fault{code: v1.CodeOverloaded, detail: fmt.Sprintf("%d watches are open on this node", maxWatches), fix: "watch another node"}
	}
	defer func() { <-s.watches }()
	who := s.sender(c)
	if !s.gate.watching.add(who) {
		return &fault{code: v1.CodeOverloaded, detail: fmt.Sprintf("%s has %d watches open on this node", who, maxWatchesOfOne), fix: "close some, or watch another node"}
	}
	defer s.gate.watching.remove(who)
	s.metrics.queries.WithLabelValues("watch").Inc()
	if err := s.record(c, w.store.Health(w.ctx).Index, Local, nil); err != nil {
		return err
	}
	header := c.Response().Header()
	header["Content-Type"] = []string{v1.MediaEvents}
	header["Cache-Control"] = []string{"no-store"}
	header["X-Accel-Buffering"] = []string{"no"} // a proxy must not hold events back
	c.Response().WriteHeader(http.StatusOK)
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	defer context.AfterFunc(s.draining, cancel)()
	w.ctx = ctx
	err = w.run() // ends with an error only
	if w.ctx.Err() == nil {
		w.problem(err)
	}
	return nil
}

// watch is one client that follows the log.
type watch struct {
	server  *Server
	echo    echo.Context
	control *http.ResponseController
	ctx     context.Context
	store   Store
	after   assertion.Position
	// filter selects the claims of interest, nil all events.
	filter *assertion.Filter
	// lens, if not nil, makes the watch tell of changed answers only: those to
	// ask, the last of which it told, whose subject had these names then.
	lens  lens.Lens
	ask   ask
	last  *v1.Outcome
	names map[string]bool
	buf   bytes.Buffer
}

func (s *Server) newWatch(c echo.Context) (*watch, error) {
	q := c.QueryParams()
	store, err := s.store()
	if err != nil {
		return nil, err
	}
	w := &watch{server: s, echo: c, control: http.NewResponseController(c.Response().Writer), ctx: c.Request().Context(), store: store}
	resume := c.Request().Header.Get("Last-Event-ID")
	if resume != "" { // a browser sends the query of the first connection again
		w.after, err = afterParam(resume, true)
	} else {
		w.after, err = afterParam(q.Get("after"), q.Has("after"))
	}
	if err != nil {
		return nil, err
	}
	if resume == "" && !q.Has("after") { // from now on
		health := store.Health(w.ctx)
		w.after = endOf(health.Index)
	}
	return w, w.choose(q)
}

// endOf is the position behind everything of a log index.
func endOf(index uint64) assertion.Position {
	return assertion.Position{Index: index, Offset: 1<<16 - 1}
}

// choose reads what the watch tells of.
func (w *watch) choose(q url.Values) (err error) {
	if q.Has("lens") {
		if w.lens, err = lensParam(q, ""); err != nil {
			return err
		}
		w.ask, err = askQuestion(q)
		return err
	}
	for _, p := range askParams() {
		if q.Has(p.name) {
			return invalid(p.name, "without lens there is no answer that it bears on", "add lens, or remove it")
		}
	}
	w.filter, err = watchFilter(q)
	return err
}

// watchFilter reads which claims a watch without a lens tells of; nil if every
// change is wanted. A claim that is hidden otherwise is a change like any other,
// unless the client says what it wants to see.
func watchFilter(q url.Values) (*assertion.Filter, error) {
	f, err := selection(q)
	if err != nil {
		return nil, err
	}
	if !q.Has("subject") && !q.Has("predicate") && !q.Has("min_confidence") && !narrowed(f) {
		return nil, nil
	}
	if f.Quarantined {
		return nil, invalid("include", "a hidden claim is no event", "watch without quarantined; its approval is an event")
	}
	if f.Lifecycles == nil {
		f.Lifecycles = assertion.Lifecycles()
	}
	if !q.Has("include") {
		f.Superseded, f.Retracted = true, true
	}
	return &f, nil
}

// run follows the log until the client goes away or the node stops.
func (w *watch) run() error {
	if err := w.flush(); err != nil { // the headers
		return err
	}
	if w.lens != nil {
		if err := w.begin(); err != nil {
			return err
		}
	}
	for {
		if err := w.server.stillAllowed(w.echo); err != nil {
			return err
		}
		more, touched, err := w.page()
		if err != nil {
			return err
		}
		if touched && w.lens != nil {
			if err := w.resolve(false); err != nil {
				return err
			}
		}
		if err := w.flush(); err != nil {
			return err
		}
		if more {
			continue
		}
		quiet, err := w.wait(w.after.Index + 1)
		if err != nil {
			return err
		}
		if quiet && w.lens != nil { // confidences decay, so that an answer may change by itself
			if err := w.resolve(false); err != nil {
				return err
			}
		}
	}
}

// begin tells the answer of now. A client that comes from another node may have
// seen more than this one has applied; it is not told an older answer.
func (w *watch) begin() error {
	for {
		late, err := w.wait(w.after.Index)
		if err != nil {
			return err
		}
		if !late {
			return w.resolve(true)
		}
		if err := w.flush(); err != nil {
			return err
		}
	}
}

// wait returns when a log index is applied, or, quiet, when it was not for long,
// with a comment to send.
func (w *watch) wait(index uint64) (quiet bool, err error) {
	ctx, cancel := context.WithTimeout(w.ctx, heartbeat)
	defer cancel()
	err = w.store.WaitApplied(ctx, index)
	switch {
	case err == nil:
		return false, nil
	case w.ctx.Err() != nil:
		return false, w.ctx.Err()
	case errors.Is(err, ErrMinIndexNotReached):
		w.buf.WriteString(": nothing new\n\n")
		return true, nil
	}
	return false, err
}

// page reads the next events. More says that there are further ones, touched
// that one of them may bear on an answer.
func (w *watch) page() (more, touched bool, err error) {
	view, err := w.store.Read(w.ctx, Consistency{Level: Local})
	if err != nil {
		return false, false, err
	}
	defer func() { err = errors.Join(err, view.Close()) }()
	events, err := view.Feed(w.after, watchPage)
	if err != nil {
		return false, false, err
	}
	applied, _ := view.Applied()
	for i := range events {
		e := &events[i]
		w.after = e.Commit.Position
		if w.lens != nil {
			touched = touched || w.bears(e)
			continue
		}
		if w.filter != nil && !w.matches(e) {
			continue
		}
		event, err := fromEvent(e)
		if err != nil {
			return false, false, err
		}
		if err := w.send(v1.WatchEvent, event.Position, event); err != nil {
			return false, false, err
		}
	}
	if more = len(events) == watchPage; !more && applied > w.after.Index {
		w.after = endOf(applied) // entries without an event
	}
	return more, touched, nil
}

// bears reports whether an event may change the watched answer: a claim on the
// question or new signatures of one, a transition, which may be of any claim,
// and everything that is no claim.
func (w *watch) bears(e *assertion.Event) bool {
	var claim *assertion.Assertion
	if e.Claim != nil {
		claim = &e.Claim.Assertion
	} else if cosigned, ok := e.Entry.(*assertion.Cosignature); ok {
		claim = cosigned.Assertion
	}
	if claim == nil || claim.ParentHash != nil {
		return true
	}
	return claim.Predicate == w.ask.filter.Predicate && w.names[claim.Subject]
}

// matches reports whether an event is a claim, or new signatures of one, that
// the filter selects.
func (w *watch) matches(e *assertion.Event) bool {
	var claim assertion.Claim
	if e.Claim != nil {
		claim = *e.Claim
	} else {
		cosigned, ok := e.Entry.(*assertion.Cosignature)
		if !ok {
			return false
		}
		claim = assertion.Claim{Assertion: *cosigned.Assertion, Hash: cosigned.Hash, Stage: cosigned.Assertion.Lifecycle}
	}
	claim.ParentHash = nil // a transition is an event of what it is about
	return w.filter.Match(&claim)
}

// resolve answers the watched question and sends the answer if it changed. What
// the answer rests on need not be read again.
func (w *watch) resolve(first bool) (err error) {
	view, err := w.store.Read(w.ctx, Consistency{Level: Local})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, view.Close()) }()
	r := reader{ctx: w.ctx, server: w.server, view: view, at: w.server.now()}
	names, _, err := r.entity(w.ask)
	if err != nil {
		return err
	}
	w.names = make(map[string]bool, len(names))
	for _, name := range names {
		w.names[name] = true
	}
	outcome, err := r.outcome(w.ask, w.lens)
	if err != nil {
		return err
	}
	w.after = endOf(r.index())
	if !first && w.last != nil && w.last.SameAnswer(outcome) {
		return nil
	}
	change := v1.ResolutionChange{Position: v1.FormatPosition(w.after), Subject: w.ask.filter.Subject, Predicate: w.ask.filter.Predicate,
		First: first, Lens: w.lens.Name(), Before: w.last, After: *outcome}
	w.last = outcome
	return w.send(v1.WatchResolution, change.Position, change)
}

// send queues one event.
func (w *watch) send(name, id string, data any) error {
	body, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("encode an event: %w", err)
	}
	fmt.Fprintf(&w.buf, "id: %s\nevent: %s\ndata: %s\n\n", id, name, body)
	return nil
}

// flush sends what is queued.
func (w *watch) flush() error { return push(w.echo, w.control, &w.buf) }

// push sends a piece of a long answer and empties it. The server's time-out for
// whole answers does not fit one that may take longer, so each piece has its own.
func push(c echo.Context, control *http.ResponseController, piece *bytes.Buffer) error {
	if err := control.SetWriteDeadline(time.Now().Add(watchWrite)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if piece.Len() > 0 {
		if _, err := c.Response().Write(piece.Bytes()); err != nil {
			return err
		}
		piece.Reset()
	}
	if err := control.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// problem ends a watch with the reason, as the last event.
func (w *watch) problem(err error) {
	problem := w.server.problem(w.echo, faultOf(err))
	if w.send(v1.WatchProblem, v1.FormatPosition(w.after), problem) == nil {
		_ = w.flush() // the client may be gone
	}
}

// watchers counts the watches of each sender.
type watchers struct {
	mu   sync.Mutex
	open map[auth.Principal]int
}

// add counts one more, unless there are as many as there may be.
func (w *watchers) add(who auth.Principal) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open[who] >= maxWatchesOfOne {
		return false
	}
	if w.open == nil {
		w.open = map[auth.Principal]int{}
	}
	w.open[who]++
	return true
}

func (w *watchers) remove(who auth.Principal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open[who]--; w.open[who] == 0 {
		delete(w.open, who)
	}
}
