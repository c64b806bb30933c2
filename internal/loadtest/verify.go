package loadtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/client"
)

// verifiers is how many claims are read back at the same time.
const verifiers = 32

// verify reads every acknowledged claim back, from one node each, or from every
// node, and compares it with what was sent. index is what the nodes must have
// applied to be asked.
func (n *nodes) verify(ctx context.Context, c *corpus, l *ledger, index uint64, everyNode bool, p *progress) Verification {
	v := &verifier{nodes: n, corpus: c, want: client.Consistency{Level: "local", MinIndex: index}}
	v.result.Acknowledged, v.result.EveryNode = l.acknowledged(), everyNode
	start := time.Now()
	type look struct {
		claim uint64
		node  int
	}
	looks := make(chan look, verifiers)
	var workers sync.WaitGroup
	for range verifiers {
		workers.Go(func() {
			for k := range looks {
				v.check(ctx, k.claim, k.node)
			}
		})
	}
	stop := p.show(v.glance)
	l.each(func(i uint64) bool {
		first, last := int(i%uint64(len(n.each))), int(i%uint64(len(n.each)))
		if everyNode {
			first, last = 0, len(n.each)-1
		}
		for node := first; node <= last; node++ {
			looks <- look{i, node}
		}
		return ctx.Err() == nil
	})
	close(looks)
	workers.Wait()
	stop()
	v.result.Seconds = time.Since(start).Seconds()
	return v.result
}

type verifier struct {
	nodes  *nodes
	corpus *corpus
	want   client.Consistency

	mu     sync.Mutex
	result Verification
}

func (v *verifier) check(ctx context.Context, i uint64, node int) {
	lost, err := v.look(ctx, i, node)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.result.Reads++
	switch {
	case err == nil:
		return
	case lost:
		v.result.Lost++
	default:
		v.result.Unread++
	}
	if v.result.FirstFault == "" {
		v.result.FirstFault = err.Error()
	}
}

// look reads claim i from a node. An error is that it is lost, or that it could
// not be read.
func (v *verifier) look(ctx context.Context, i uint64, node int) (lost bool, err error) {
	sent, err := v.corpus.claim(i)
	if err != nil {
		return false, err
	}
	hash := sent.ContentHash()
	found, err := v.nodes.each[node].Get(ctx, hash, v.want)
	switch {
	case errors.Is(err, client.Code(v1.CodeAssertionNotFound)):
		return true, fmt.Errorf("LOST: %s does not have the acknowledged claim %s", v.nodes.urls[node], hash)
	case err != nil:
		return false, fmt.Errorf("read claim %s: %w", hash, err)
	case found.Hash != hash || found.Subject != sent.Subject || found.Object.String() != sent.Object.String():
		return true, fmt.Errorf("LOST: %s has something else under the hash %s", v.nodes.urls[node], hash)
	}
	return false, nil
}

func (v *verifier) glance() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return fmt.Sprintf("reading back: %d of %d acknowledged claims, %d lost", v.result.Reads, v.result.Acknowledged, v.result.Lost)
}
