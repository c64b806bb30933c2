package containertest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
)

// maxStale is the bound of the bounded reads.
const maxStale = time.Second

// The kinds of reads, in counts of answers.
const (
	linearizable = "linearizable"
	bounded      = "bounded"
	local        = "local"
)

// errStale means that a read showed less than its level of consistency promises.
var errStale = errors.New("STALE")

// load is clients at work: writers and readers through HAProxy, and readers at
// each node.
type load struct {
	s      *stack
	name   string
	h      *history
	next   atomic.Int64 // claim of the run that is stated next
	cancel context.CancelFunc
	all    sync.WaitGroup
}

// start puts clients to work until stop. name makes their subjects their own.
func (s *stack) start(name string) *load {
	ctx, cancel := context.WithCancel(s.t.Context())
	l := &load{s: s, name: name, h: newHistory(), cancel: cancel}
	id := 0
	client := func(perSecond rate.Limit, step func(ctx context.Context, id int)) {
		id++
		own := id
		pace := rate.NewLimiter(perSecond, 1)
		l.all.Go(func() {
			for pace.Wait(ctx) == nil {
				step(ctx, own)
			}
		})
	}
	for range 6 {
		client(25, l.write)
	}
	for range 2 {
		client(25, func(ctx context.Context, id int) { l.read(ctx, id, s.front, "HAProxy") })
	}
	for _, n := range s.nodes {
		client(25, func(ctx context.Context, id int) { l.read(ctx, id, n.direct, n.name) })
		client(10, func(ctx context.Context, _ int) { l.readBounded(ctx, n) })
		client(10, func(ctx context.Context, _ int) { l.readOwn(ctx, n) })
	}
	return l
}

func (l *load) stop() {
	l.cancel()
	l.all.Wait()
}

func (l *load) subject(number int64) string {
	return fmt.Sprintf("Container:%s-%d", l.name, number/perSubject)
}

func (l *load) write(ctx context.Context, id int) {
	number := l.next.Add(1) - 1
	subject, bit := l.subject(number), int(number%perSubject)
	claim, err := client.NewClaim(subject, "holds", assertion.Number(float64(bit))).
		Source(fmt.Sprintf("%s %d", l.name, number), assertion.Observational).Confidence(0.7).Sign(l.s.key)
	if err != nil {
		l.h.fail(err)
		return
	}
	begun := time.Now()
	answer, err := l.s.front.Assert(ctx, claim)
	switch {
	case err == nil:
		l.h.wrote(id, subject, bit, begun, answer.Index)
	default:
		l.h.wrote(id, subject, bit, begun, 0)
		if ctx.Err() == nil {
			l.h.fail(fmt.Errorf("write %d: %w", number, err))
		}
	}
}

// recent is a subject that writers work at, or have just finished.
func (l *load) recent() string {
	return l.subject(max(l.next.Load()-1-rand.Int64N(2*perSubject), 0))
}

// shown asks for the claims of a subject.
func shown(ctx context.Context, db *client.Client, subject string, c client.Consistency) (seen set, err error) {
	answer, err := db.Query(ctx, client.Query{Subject: subject, Predicate: "holds", Limit: 1000, Consistency: c})
	if err != nil {
		return 0, err
	}
	for _, claim := range answer.Assertions {
		number, ok := claim.Object.Number()
		if !ok {
			return 0, fmt.Errorf("a claim on %s states %v", subject, claim.Object)
		}
		seen |= 1 << int(number)
	}
	return seen, nil
}

// read is a linearizable read. A node that is cut off may refuse it, HAProxy may
// not.
func (l *load) read(ctx context.Context, id int, db *client.Client, at string) {
	subject, begun := l.recent(), time.Now()
	seen, err := shown(ctx, db, subject, client.Consistency{})
	switch {
	case err == nil:
		l.h.read(id, subject, begun, seen)
		l.h.answered(linearizable, at)
	case db == l.s.front && ctx.Err() == nil:
		l.h.fail(fmt.Errorf("read through HAProxy: %w", err))
	}
}

func (l *load) readBounded(ctx context.Context, n *node) {
	subject := l.subject(rand.Int64N(max(l.next.Load(), 1)))
	begun := time.Now()
	seen, err := shown(ctx, n.direct, subject, client.Consistency{Level: "bounded", MaxStale: maxStale})
	if err != nil {
		return // a node that is cut off may refuse
	}
	l.h.answered(bounded, n.name)
	if due := l.h.due(subject, begun, maxStale); !seen.holds(due) {
		l.h.fail(fmt.Errorf("%w: a read of %s at %s, bounded by %v, shows %b, and lacks some of %b", errStale, subject, n.name, maxStale, seen, due))
	}
}

// readOwn reads what was just acknowledged, at another node, by its log index.
func (l *load) readOwn(ctx context.Context, n *node) {
	acks := l.h.acks()
	if len(acks) == 0 {
		return
	}
	a := acks[len(acks)-1]
	seen, err := shown(ctx, n.direct, a.subject, client.Consistency{Level: "local", MinIndex: a.index})
	if err != nil {
		return
	}
	l.h.answered(local, n.name)
	if !seen.holds(1 << a.bit) {
		l.h.fail(fmt.Errorf("%w: a local read at %s that waited for index %d lacks claim %d of %s", errStale, n.name, a.index, a.bit, a.subject))
	}
}

// lost reads every acknowledged claim back and tells which are not there.
func (l *load) lost(ctx context.Context) error {
	subjects := map[string]set{}
	for _, a := range l.h.acks() {
		subjects[a.subject] |= 1 << a.bit
	}
	var errs []error
	for subject, due := range subjects {
		seen, err := shown(ctx, l.s.front, subject, client.Consistency{})
		if err != nil {
			return fmt.Errorf("read %s back: %w", subject, err)
		}
		if !seen.holds(due) {
			errs = append(errs, fmt.Errorf("LOST: %s shows %b, acknowledged are %b", subject, seen, due))
		}
	}
	return errors.Join(errs...)
}
