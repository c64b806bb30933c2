package api

import (
	"errors"
	"net/url"

	"github.com/stemedb/stemedb/api/receipt"
	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/lens"
)

// askForReceipt reads a question to whose answer a receipt may be asked.
func askForReceipt(q url.Values) (ask, error) {
	a, err := askQuestion(q)
	if err != nil {
		return a, err
	}
	a.receipt, err = flag(q, "receipt", false)
	return a, err
}

// whole reads the input of a question whose full answer says more than a
// winner, and the receipt of what the lens of that name makes of it, if wanted.
func (r reader) whole(a ask, name string) (in lens.Input, signed *v1.Receipt, err error) {
	l, err := lens.Parse(name)
	if err != nil {
		return in, nil, err
	}
	if in, err = r.input(a, l.Needs()); err != nil || !a.receipt {
		return in, nil, err
	}
	resolution, err := l.Resolve(in)
	if err != nil {
		return in, nil, err
	}
	signed, err = r.receipt(a, l, in, resolution)
	return in, signed, err
}

// receipt is the node's signed statement of an answer; nil if none is wanted.
func (r reader) receipt(a ask, l lens.Lens, in lens.Input, resolution *lens.Resolution) (*v1.Receipt, error) {
	if !a.receipt {
		return nil, nil
	}
	index, committedAt := r.view.Applied()
	state := receipt.State{ClusterID: r.view.ClusterID(), Index: index, CommittedAt: committedAt, Digest: r.view.Digest()}
	store, err := r.server.store()
	if err != nil {
		return nil, err
	}
	signed, err := receipt.Make(in, l, resolution, state, r.counted, store.Sign)
	if errors.Is(err, receipt.ErrTooManyClaims) {
		return nil, invalid("receipt", err.Error(), "narrow the question by a filter, or ask without a receipt")
	}
	return signed, err
}

// counted are the votes on a claim that count at the time of the answer.
func (r reader) counted(claim assertion.Hash) ([]assertion.Vote, error) {
	votes, err := r.view.Votes(claim, r.at)
	var out []assertion.Vote
	for _, v := range votes {
		out = append(out, *v.Entry)
	}
	return out, err
}
