package loadtest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	mathrand "math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
)

const (
	// subjects is over how many subjects the claims are spread.
	subjects = 1000
	// onQuestion is how many claims a question gets, one after another, before the
	// next predicate of its subject has its turn; each has a source of its own.
	onQuestion = 20
	// textsOnQuestion is how many different texts they state.
	textsOnQuestion = 5
	// hotValues is how many different values the one question of a hotspot has.
	hotValues = 16
)

// corpus makes the claims of one scenario. A claim's content follows from its
// number, so that it can be made again to be compared.
type corpus struct {
	name       string // in every subject, so that two runs share no claim
	keys       []ed25519.PrivateKey
	valueBytes int
	hot        bool // every claim on one (subject, predicate)
	timestamp  uint64
}

// newCorpus makes keys for the given number of agents.
func newCorpus(agents, valueBytes int, hot bool) (*corpus, error) {
	var name [8]byte
	_, _ = rand.Read(name[:]) // never fails, by its contract
	c := &corpus{name: "load:" + hex.EncodeToString(name[:]), valueBytes: valueBytes, hot: hot, timestamp: uint64(time.Now().Unix())}
	for range agents {
		key, err := client.GenerateKey()
		if err != nil {
			return nil, err
		}
		c.keys = append(c.keys, key)
	}
	return c, nil
}

// question is what claim number i is about.
func (c *corpus) question(i uint64) (subject, predicate string) {
	if c.hot {
		return c.name, "value"
	}
	return fmt.Sprintf("%s:%d", c.name, i%subjects), fmt.Sprintf("value_%d", i/subjects/onQuestion)
}

// claim is claim number i, without a signature. In a hotspot each is a number from
// a source of its own.
func (c *corpus) claim(i uint64) (*assertion.Assertion, error) {
	subject, predicate := c.question(i)
	turn := i / subjects % onQuestion
	first := i - turn*subjects // claim on the question
	value, source := assertion.Text(Prose(first+turn%textsOnQuestion*subjects, c.valueBytes)), fmt.Sprintf("%s source %d", c.name, turn)
	if c.hot {
		value, source = assertion.Number(float64(i%hotValues)), fmt.Sprintf("%s source %d", c.name, i)
	}
	return client.NewClaim(subject, predicate, value).
		Source(source, assertion.Observational).At(c.timestamp).Build()
}

// key signs claim number i: another one for each claim on a question, as far as they
// go.
func (c *corpus) key(i uint64) ed25519.PrivateKey {
	return c.keys[(i+i/subjects)%uint64(len(c.keys))]
}

// request is a signed part of the corpus, ready to be sent.
type request struct {
	first  uint64 // number of the first claim
	hashes []assertion.Hash
	body   []byte // one JSON document, or NDJSON for more than one claim
}

// sign makes request number k of n claims.
func (c *corpus) sign(k uint64, n int) (request, error) {
	r := request{first: k * uint64(n)}
	for i := r.first; i < r.first+uint64(n); i++ {
		a, err := c.claim(i)
		if err != nil {
			return r, fmt.Errorf("make claim %d: %w", i, err)
		}
		a.Sign(c.key(i), c.timestamp)
		line, err := json.Marshal(a)
		if err != nil {
			return r, fmt.Errorf("encode claim %d: %w", i, err)
		}
		r.hashes = append(r.hashes, a.ContentHash())
		if r.body = append(r.body, line...); n > 1 {
			r.body = append(r.body, '\n')
		}
	}
	return r, nil
}

const (
	signedBefore = "before the clock starts"
	signedAhead  = "on the fly, by goroutines ahead of the senders, while the clock runs"
	// mostSignedBefore bounds the claims that are kept in memory before the clock
	// starts: about 100 MB.
	mostSignedBefore = 100_000
	// aheadRequests is how many signed requests wait for the senders at most.
	aheadRequests = 512
)

// supply signs requests ahead of those who send them.
type supply struct {
	ready   chan request
	stop    context.CancelFunc
	stopped <-chan struct{}
	done    sync.WaitGroup
	fault   atomic.Pointer[error]
	method  string
}

// newSupply starts signing requests of n claims each. With a known number of
// requests that is small enough it returns when all are signed. close ends it.
func newSupply(ctx context.Context, c *corpus, n int, requests uint64) *supply {
	s := &supply{method: signedAhead}
	room := uint64(aheadRequests)
	before := requests > 0 && requests*uint64(n) <= mostSignedBefore
	if before {
		s.method, room = signedBefore, requests
	}
	s.ready = make(chan request, room)
	ctx, s.stop = context.WithCancel(ctx)
	s.stopped = ctx.Done()
	var next atomic.Uint64
	for range runtime.NumCPU() {
		s.done.Go(func() {
			for {
				k := next.Add(1) - 1
				if requests > 0 && k >= requests {
					return
				}
				r, err := c.sign(k, n)
				if err != nil {
					s.fault.Store(&err)
					s.stop()
					return
				}
				select {
				case s.ready <- r:
				case <-ctx.Done():
					return
				}
			}
		})
	}
	if before {
		s.done.Wait()
	}
	return s
}

// take is the next request that was never taken. It waits for the signers.
func (s *supply) take(ctx context.Context) (request, error) {
	select {
	case r := <-s.ready:
		return r, nil
	case <-s.stopped:
		return request{}, errors.New("no more claims are signed")
	case <-ctx.Done():
		return request{}, context.Cause(ctx)
	}
}

// close ends the signers and returns their fault, if any.
func (s *supply) close() error {
	s.stop()
	s.done.Wait()
	if err := s.fault.Load(); err != nil {
		return *err
	}
	return nil
}

// ledger remembers which claims were acknowledged: one bit each. It is safe for
// concurrent use.
type ledger struct {
	mu    sync.RWMutex
	words []uint64
	count uint64
}

func (l *ledger) acknowledge(i uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for word := i / 64; uint64(len(l.words)) <= word; {
		l.words = append(l.words, 0)
	}
	if bit := uint64(1) << (i % 64); l.words[i/64]&bit == 0 {
		l.words[i/64] |= bit
		l.count++
	}
}

// acknowledged is how many claims were.
func (l *ledger) acknowledged() uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.count
}

// any is some acknowledged claim, false if there is none.
func (l *ledger) any() (i uint64, ok bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.count == 0 {
		return 0, false
	}
	from := mathrand.IntN(len(l.words))
	for n := range len(l.words) {
		at := (from + n) % len(l.words)
		if w := l.words[at]; w != 0 {
			return uint64(at*64 + bits.TrailingZeros64(w)), true
		}
	}
	return 0, false
}

// each calls f with every acknowledged claim, in order, until f says false.
func (l *ledger) each(f func(i uint64) bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for at, w := range l.words {
		for ; w != 0; w &= w - 1 {
			if !f(uint64(at*64 + bits.TrailingZeros64(w))) {
				return
			}
		}
	}
}
