package fsm

import (
	"context"
	"fmt"
	"sync"

	"github.com/stemedb/stemedb/assertion"
)

// digestRing is for how many entries back a digest is remembered, so that
// nodes that are not at the same index can still be compared.
const digestRing = 4096

// positions is what the world may know of the applied entries.
type positions struct {
	mu      sync.Mutex
	now     state
	first   uint64            // the index that the ring begins with
	ring    [digestRing]state // by index modulo its length
	changed chan struct{}     // closed at the next publish; nil if nobody waits
}

// reset begins anew at a state that was not reached by applying. What was
// remembered of another history is forgotten.
func (p *positions) reset(s state) {
	p.mu.Lock()
	p.first, p.ring = s.index, [digestRing]state{}
	p.mu.Unlock()
	p.publishAll([]state{s})
}

// publishAll records the states after some entries, in order.
func (p *positions) publishAll(states []state) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range states {
		p.ring[s.index%digestRing] = s
	}
	p.now = states[len(states)-1]
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

func (p *positions) applied() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now.index
}

func (p *positions) current() (uint64, assertion.Hash, uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now.index, p.now.digest, p.now.count
}

func (p *positions) digestAt(index uint64) (assertion.Hash, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if index == 0 || index > p.now.index || p.now.index-index >= digestRing {
		return assertion.Hash{}, false
	}
	// Raft keeps some entries to itself: at such an index the state is that of
	// the entry before. The slots down to first hold no older lap than this.
	for i := index; i >= p.first && p.now.index-i < digestRing; i-- {
		if s := p.ring[i%digestRing]; s.index == i {
			return s.digest, true
		}
	}
	return assertion.Hash{}, false
}

func (p *positions) wait(ctx context.Context, index uint64, failed <-chan struct{}, failure func() error) error {
	for {
		p.mu.Lock()
		now := p.now.index
		if p.changed == nil {
			p.changed = make(chan struct{})
		}
		changed := p.changed
		p.mu.Unlock()
		if now >= index {
			return nil
		}
		select {
		case <-changed:
		case <-failed:
			return failure()
		case <-ctx.Done():
			return fmt.Errorf("wait for log index %d, applied is %d: %w", index, now, context.Cause(ctx))
		}
	}
}
