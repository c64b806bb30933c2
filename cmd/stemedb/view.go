package main

import (
	"errors"

	"github.com/stemedb/stemedb/api"
	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/index"
)

// view lets the API read from an index view: it translates the errors.
type view struct{ *index.View }

var _ api.View = view{}

// Applied implements api.View.
func (v view) Applied() (applied, committedAt uint64) {
	a := v.View.Applied()
	return a.Index, a.CommittedAt
}

// Claims implements api.View.
func (v view) Claims(f assertion.Filter, most int) (claims []*assertion.Claim, scanned int, truncated bool, err error) {
	it := v.Scan(f)
	it.StopAfter(v1.MaxScannedClaims)
	defer func() { err = translate(errors.Join(err, it.Close())) }()
	for it.Next() {
		if len(claims) == most {
			return claims, it.Scanned(), true, nil
		}
		claims = append(claims, it.Claim())
	}
	return claims, it.Scanned(), it.Stopped(), it.Err()
}

// translated passes on a result with the API's error of the same meaning.
func translated[T any](result T, err error) (T, error) { return result, translate(err) }

func translated2[T, U any](a T, b U, err error) (T, U, error) { return a, b, translate(err) }

// AliasPage implements api.View.
func (v view) AliasPage(after *assertion.Alias, limit int) ([]assertion.Recorded[*assertion.Alias], error) {
	return translated(v.View.AliasPage(after, limit))
}

// Derived implements api.View.
func (v view) Derived(claim assertion.Hash, limit int) ([]*assertion.Claim, error) {
	return translated(v.View.Derived(claim, limit))
}

// Endorsements implements api.View.
func (v view) Endorsements(by *assertion.AgentID) ([]assertion.Recorded[*assertion.Endorsement], error) {
	return translated(v.View.Endorsements(by))
}

// Epoch implements api.View.
func (v view) Epoch(h assertion.Hash) (assertion.Recorded[*assertion.Epoch], error) {
	return translated(v.View.Epoch(h))
}

// Feed implements api.View.
func (v view) Feed(after assertion.Position, limit int, kinds ...assertion.Kind) ([]assertion.Event, error) {
	return translated(v.View.Feed(after, limit, kinds...))
}

// Get implements api.View.
func (v view) Get(h assertion.Hash) (*assertion.Claim, error) {
	return translated(v.View.Get(h))
}

// Labels implements api.View.
func (v view) Labels() ([]assertion.Recorded[*assertion.Label], error) {
	return translated(v.View.Labels())
}

// APIKeys implements api.View.
func (v view) APIKeys() ([]*assertion.APIKey, error) { return translated(v.View.APIKeys()) }

// Decisions implements api.View.
func (v view) Decisions(claim assertion.Hash) ([]assertion.Recorded[*assertion.Decision], error) {
	return translated(v.View.Decisions(claim))
}

// Found implements api.View.
func (v view) Found(subject, predicate string) ([]*assertion.Claim, error) {
	return translated(v.View.Found(subject, predicate))
}

// Reviews implements api.View.
func (v view) Reviews(state assertion.Review, after assertion.Position, limit int) ([]*assertion.Claim, error) {
	return translated(v.View.Reviews(state, after, limit))
}

// NodeKeys implements api.View.
func (v view) NodeKeys() ([]assertion.Recorded[*assertion.NodeKey], error) {
	return translated(v.View.NodeKeys())
}

// Predicates implements api.View.
func (v view) Predicates(subject string, limit int) ([]string, error) {
	return translated(v.View.Predicates(subject, limit))
}

// Source implements api.View.
func (v view) Source(h assertion.Hash) (assertion.SourceRecord, error) {
	return translated(v.View.Source(h))
}

// Sources implements api.View.
func (v view) Sources(after *assertion.Hash, limit int) ([]assertion.Hash, error) {
	return translated(v.View.Sources(after, limit))
}

// SupersededEpochs implements api.View.
func (v view) SupersededEpochs() (map[assertion.Hash]assertion.Hash, error) {
	return translated(v.View.SupersededEpochs())
}

// Supersessions implements api.View.
func (v view) Supersessions(claim assertion.Hash) ([]assertion.Recorded[*assertion.Supersession], error) {
	return translated(v.View.Supersessions(claim))
}

// Tally implements api.View.
func (v view) Tally(subject, predicate string, at uint64) (*assertion.Tally, error) {
	return translated(v.View.Tally(subject, predicate, at))
}

// Transitions implements api.View.
func (v view) Transitions(claim assertion.Hash) ([]*assertion.Claim, error) {
	return translated(v.View.Transitions(claim))
}

// Votes implements api.View.
func (v view) Votes(claim assertion.Hash, until uint64) ([]assertion.Recorded[*assertion.Vote], error) {
	return translated(v.View.Votes(claim, until))
}

// Aliases implements api.View.
func (v view) Aliases(name string) ([]string, []assertion.Recorded[*assertion.Alias], error) {
	return translated2(v.View.Aliases(name))
}

// Computed implements api.View.
func (v view) Computed(k assertion.Kind) (assertion.Recorded[*assertion.Computed], bool, error) {
	return translated2(v.View.Computed(k))
}

// ComputedAt implements api.View.
func (v view) ComputedAt(k assertion.Kind) (assertion.Position, bool, error) {
	return translated2(v.View.ComputedAt(k))
}

// Contested implements api.View.
func (v view) Contested(cursor string, limit int) ([]assertion.Question, string, error) {
	return translated2(v.View.Contested(cursor, limit))
}

// Page implements api.View.
func (v view) Page(f assertion.Filter, cursor string, limit int) ([]*assertion.Claim, string, error) {
	return translated2(v.View.Page(f, cursor, limit))
}

// Seeds implements api.View.
func (v view) Seeds() (*assertion.Seeds, bool, error) {
	return translated2(v.View.Seeds())
}

// Subjects implements api.View.
func (v view) Subjects(begin, cursor string, limit int) ([]string, string, error) {
	return translated2(v.View.Subjects(begin, cursor, limit))
}
