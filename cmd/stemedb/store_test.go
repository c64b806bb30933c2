package main

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stemedb/stemedb/api"
	"github.com/stemedb/stemedb/index"
	"github.com/stemedb/stemedb/node"
)

func TestErrorsKeepTheirMeaning(t *testing.T) {
	for own, want := range map[error]error{
		node.ErrNoLeader:       api.ErrNoLeader,
		node.ErrOutcomeUnknown: api.ErrOutcomeUnknown,
		node.ErrOverloaded:     api.ErrOverloaded,
		node.ErrStopping:       api.ErrStopping,
		node.ErrTooStale:       api.ErrTooStale,
		node.ErrMinIndex:       api.ErrMinIndexNotReached,
		node.ErrFailed:         api.ErrFailed,
		node.ErrFutureState:    api.ErrFutureState,
		index.ErrNotFound:      api.ErrNotFound,
		index.ErrBadCursor:     api.ErrBadCursor,
		index.ErrCorrupt:       api.ErrFailed,
	} {
		got := translate(fmt.Errorf("context: %w", own))
		if !errors.Is(got, want) || !errors.Is(got, own) {
			t.Errorf("%v becomes %v, want %v", own, got, want)
		}
	}
	// A write of which a part may be stored must never look as if nothing was.
	mixed := fmt.Errorf("%w: a part was stored (%w)", node.ErrOutcomeUnknown, node.ErrNoLeader)
	if got := translate(mixed); !errors.Is(got, api.ErrOutcomeUnknown) || errors.Is(got, api.ErrNoLeader) {
		t.Errorf("%v becomes %v", mixed, got)
	}
	// What both say in the same words is said once.
	for text, own := range map[string]error{
		"that state lies in the future: 9, and it is 8":          fmt.Errorf("%w: 9, and it is 8", node.ErrFutureState),
		"not found: no such claim: claim 1":                      fmt.Errorf("%w: claim 1", index.ErrNotFound),
		"the node has failed: disk: " + index.ErrCorrupt.Error(): fmt.Errorf("disk: %w", index.ErrCorrupt),
	} {
		if got := translate(own).Error(); got != text {
			t.Errorf("%q, want %q", got, text)
		}
	}
	if translate(nil) != nil {
		t.Error("no error becomes one")
	}
}

func TestEveryOutcomeHasItsCounterpart(t *testing.T) {
	seen := map[api.Outcome]index.Outcome{}
	for o := index.Created; o <= index.WorkStale; o++ {
		got, err := outcomeOf(o)
		if err != nil {
			t.Errorf("%v: %v", o, err)
		}
		if other, twice := seen[got]; twice {
			t.Errorf("%v and %v become the same", o, other)
		}
		seen[got] = o
	}
	if _, err := outcomeOf(index.WorkStale + 1); !errors.Is(err, api.ErrOutcomeUnknown) {
		t.Errorf("an outcome of a newer leader: %v, want outcome unknown", err)
	}
}
