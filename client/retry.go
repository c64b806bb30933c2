package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	v1 "github.com/stemedb/stemedb/api/v1"
)

const (
	attemptsPerEndpoint = 12
	firstPause          = 25 * time.Millisecond
	longestPause        = 2 * time.Second
	// longestRetryAfter is how long the client waits at most because a server
	// asks it to; one that asks for more is given up on.
	longestRetryAfter = 30 * time.Second
)

// do sends a request until a node answers it, and decodes the answer into out;
// a *[]byte takes it as it is, an *opened as it comes. After a fault that may pass
// it goes round the other endpoints, then pauses.
func (c *Client) do(ctx context.Context, k call, out any) error {
	at := int(c.preferred.Load())
	var asked time.Duration // longest Retry-After since the last pause
	pauses, proofs := 0, 0
	for attempt := 1; ; attempt++ {
		err := c.try(ctx, c.endpoints[at], k, out)
		if err == nil {
			c.preferred.Store(uint32(at))
			return nil
		}
		if wanted := workWanted(err); wanted && proofs < maxProofs {
			if k.work, err = c.prove(ctx, err); err != nil {
				return err
			}
			proofs++
			attempt-- // nothing was wrong with the node
			continue
		}
		next := outlook(err)
		if k.once && !untouched(err) {
			return err
		}
		if !next.again || c.attempts == 1 || ctx.Err() != nil {
			return err
		}
		if attempt >= c.attempts {
			return fmt.Errorf("gave up after %d attempts: %w", attempt, err)
		}
		asked = max(asked, next.after)
		if !next.limited {
			at = (at + 1) % len(c.endpoints)
		}
		if next.limited || attempt%len(c.endpoints) == 0 {
			pauses++
			if stop := c.pause(ctx, max(backoff(pauses), spread(asked))); stop != nil {
				return fmt.Errorf("%w; stopped waiting to try again: %w", err, stop)
			}
			asked = 0
		}
	}
}

// prospect is what a fault means for the next attempt.
type prospect struct {
	again   bool          // it may pass
	limited bool          // the caller is over its limit, at every node alike
	after   time.Duration // how long the server asks to wait
}

func outlook(err error) prospect {
	var refusal *Error
	if !errors.As(err, &refusal) {
		return prospect{again: errors.Is(err, ErrUnreachable)}
	}
	p := prospect{after: refusal.RetryAfter}
	switch refusal.Status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		p.again = true
	case http.StatusTooManyRequests:
		p.again, p.limited = p.after > 0, true
	}
	p.again = p.again && p.after <= longestRetryAfter
	return p
}

// untouched reports whether a node has said that it did not even try what was
// asked of it.
func untouched(err error) bool {
	var refusal *Error
	return errors.As(err, &refusal) && refusal.Status == http.StatusServiceUnavailable && refusal.Code != v1.CodeOutcomeUnknown
}

// backoff doubles with each pause, with up to half of it taken off at random,
// so that many clients do not come back at the same instant.
func backoff(pause int) time.Duration {
	d := min(firstPause<<min(pause-1, 10), longestPause)
	return d - rand.N(d/2+1)
}

// spread adds up to a quarter to what a server asks for: never less, and not
// everybody at once.
func spread(asked time.Duration) time.Duration { return asked + rand.N(asked/4+1) }

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
