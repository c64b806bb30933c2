package api

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync/atomic"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/lens"
	"github.com/stemedb/stemedb/lens/trust"
	"github.com/stemedb/stemedb/lens/truth"
)

// ask is a question and how it is to be read.
type ask struct {
	filter assertion.Filter
	// aliases reads the question under every name of its subject.
	aliases bool
	// grouping counts values as one that differ only in a way that the reader
	// does not mind.
	grouping lens.Grouping
	// explain lists the voices behind the answer.
	explain bool
	// receipt wants the node's signed statement of the answer.
	receipt bool
}

// askQuestion reads a question and everything that it may be asked with.
func askQuestion(q url.Values) (ask, error) {
	f, err := question(q)
	if err != nil {
		return ask{}, err
	}
	return askOf(f, q)
}

// askOf reads what may be asked beside the claims that f selects.
func askOf(f assertion.Filter, q url.Values) (a ask, err error) {
	a.filter = f
	if a.aliases, err = flag(q, "aliases", true); err != nil {
		return a, err
	}
	if q.Has("tolerance") {
		if a.grouping.Tolerance, err = lens.ParseTolerance(q.Get("tolerance")); err != nil {
			return a, invalid("tolerance", err.Error(), "give an absolute number as in 0.5, or a relative one as in 1%")
		}
	}
	if a.grouping.Hierarchy, err = flag(q, "hierarchy", false); err != nil {
		return a, err
	}
	a.explain, err = flag(q, "explain", false)
	return a, err
}

// lensParam reads the parameter lens; absent stands for it if it is not given.
func lensParam(q url.Values, absent string) (lens.Lens, error) {
	spec := q.Get("lens")
	if !q.Has("lens") {
		spec = absent
	}
	l, err := lens.Parse(spec)
	if errors.Is(err, lens.ErrUnknownLens) {
		return nil, &fault{code: v1.CodeUnknownLens, field: "lens", detail: err.Error(), fix: "see /v1/lenses"}
	}
	if err != nil {
		return nil, invalid("lens", err.Error(), "name filters first and one resolving lens last, as in epoch,recency")
	}
	return l, nil
}

// input reads what a lens needs of a question: from aggregates where they can
// answer, else by a scan of at most v1.MaxScannedClaims.
func (r reader) input(a ask, needs lens.Needs) (lens.Input, error) {
	names, joins, err := r.entity(a)
	if err != nil {
		return lens.Input{}, err
	}
	var in lens.Input
	aggregated := r.known == nil && len(names) == 1 && !narrowed(a.filter) && !a.grouping.Any() && !a.explain && !a.receipt &&
		needs&^(lens.NeedsTally|lens.NeedsNewest) == 0
	if aggregated {
		in, err = r.aggregates(a.filter, needs)
	} else {
		in, err = r.scan(a, names)
	}
	if err != nil {
		return in, err
	}
	in.Index, in.Parameters, in.Aliases = r.index(), parameters(a, r), aliasNames(names, joins)
	return in, r.provide(&in, needs)
}

// entity is the names that a question is read under.
func (r reader) entity(a ask) (names []string, joins []assertion.Recorded[*assertion.Alias], err error) {
	if !a.aliases {
		return []string{a.filter.Subject}, nil, nil
	}
	return r.view.Aliases(a.filter.Subject)
}

func aliasNames(names []string, joins []assertion.Recorded[*assertion.Alias]) []string {
	if len(joins) == 0 {
		return nil
	}
	return names
}

func (r reader) aggregates(f assertion.Filter, needs lens.Needs) (lens.Input, error) {
	tally, err := r.view.Tally(f.Subject, f.Predicate, r.at)
	if err != nil {
		return lens.Input{}, err
	}
	in := lens.Input{Subject: f.Subject, Predicate: f.Predicate, At: r.at, Tally: tally, Source: lens.FromAggregates}
	if needs&lens.NeedsNewest != 0 {
		in.Claims, err = r.newestClaim(f, tally)
	}
	return in, err
}

// newestClaim reads the newest claim of a tallied question. It begins at the
// newest timestamp that the tally has, since any number of hidden claims may be
// newer; those of that very second it reads past, page by page.
func (r reader) newestClaim(f assertion.Filter, tally *assertion.Tally) (claims []*assertion.Claim, err error) {
	var newest uint64
	for i := range tally.Values {
		for _, tier := range tally.Values[i].Tiers {
			newest = max(newest, tier.Newest)
		}
	}
	f.AsOf = &newest
	for cursor, more := "", len(tally.Values) > 0; more && len(claims) == 0; more = cursor != "" {
		if err := r.ctx.Err(); err != nil {
			return nil, err
		}
		if claims, cursor, err = r.view.Page(f, cursor, 1); err != nil {
			return nil, err
		}
	}
	return claims, nil
}

// scan reads the claims on a question under its names. Only scanSlots scans run
// at once, for each may hold many claims in memory.
func (r reader) scan(a ask, names []string) (in lens.Input, err error) {
	select {
	case r.server.scans <- struct{}{}:
	case <-r.ctx.Done():
		return in, r.ctx.Err()
	}
	defer func() { <-r.server.scans }()
	var claims []*assertion.Claim
	scanned, truncated := 0, false
	f := a.filter
	for _, name := range names {
		f.Subject = name
		more, read, cut, err := r.view.Claims(f, v1.MaxScannedClaims-len(claims))
		if err != nil {
			return in, err
		}
		claims = append(claims, more...)
		scanned, truncated = scanned+read, truncated || cut
	}
	grouping := a.grouping
	grouping.Path = r.pathOf
	in = lens.FromClaims(a.filter.Subject, a.filter.Predicate, claims, r.at, grouping)
	in.Scanned, in.Truncated = scanned, truncated
	return in, nil
}

// pathOf is the concept path that a name is an alias of, "" if there is none.
func (r reader) pathOf(name string) string {
	names, _, err := r.view.Aliases(name)
	if err != nil { // a value that cannot be placed stays a value of its own
		return ""
	}
	slices.Sort(names)
	for _, n := range names {
		if assertion.IsConceptPath(n) {
			return n
		}
	}
	return ""
}

// provide reads what a lens needs beside the claims.
func (r reader) provide(in *lens.Input, needs lens.Needs) (err error) {
	if needs&lens.NeedsVotes != 0 {
		if in.Votes, err = r.votesOn(in.Stated); err != nil {
			return err
		}
	}
	if needs&lens.NeedsEpochs != 0 {
		if in.SupersededEpochs, err = r.view.SupersededEpochs(); err != nil {
			return err
		}
	}
	if needs&lens.NeedsTrust != 0 {
		if in.Trust, err = r.trust(); err != nil {
			return err
		}
	}
	if needs&lens.NeedsTruth != 0 {
		in.Truth, err = r.truth()
	}
	return err
}

// votesOn are the votes that count on claims, by claim.
func (r reader) votesOn(claims []*assertion.Claim) (map[assertion.Hash][]assertion.Vote, error) {
	on := map[assertion.Hash][]assertion.Vote{}
	for _, claim := range claims {
		votes, err := r.counted(claim.Hash)
		if err != nil {
			return nil, err
		}
		if len(votes) > 0 {
			on[claim.Hash] = votes
		}
	}
	return on, nil
}

// trust is the newest trust in agents; that of nobody if none was computed yet.
func (r reader) trust() (*trust.Scores, error) {
	return newest(r.view, r.known, assertion.KindTrust, &r.server.scores, trust.Decode)
}

// truth is the newest model of the truth lens; nil if none was learnt yet.
func (r reader) truth() (*truth.Model, error) {
	return newest(r.view, r.known, assertion.KindTruth, &r.server.model, truth.Decode)
}

// computed is a result of a background computation, kept because decoding it
// costs more than reading it.
type computed[T any] struct {
	commit assertion.Commit
	result *T
}

// newest is the newest result of a kind that the view, of a time if known is not
// nil, knows; nil if there is none.
func newest[T any](view View, known *uint64, kind assertion.Kind, last *atomic.Pointer[computed[T]], decode func([]byte) (*T, error)) (*T, error) {
	held := last.Load()
	if held != nil && known == nil { // the result itself may be megabytes
		at, ok, err := view.ComputedAt(kind)
		if err != nil {
			return nil, err
		}
		if ok && at == held.commit.Position {
			return held.result, nil
		}
	}
	found, ok, err := view.Computed(kind)
	if err != nil || !ok {
		return nil, err
	}
	if held != nil && held.commit == found.Commit {
		return held.result, nil
	}
	result, err := decode(found.Entry.Data)
	if err != nil {
		return nil, fmt.Errorf("the %v of log index %d: %w", kind, found.Commit.Index, err)
	}
	last.Store(&computed[T]{found.Commit, result})
	return result, nil
}

// outcome resolves a question and says in short how.
func (r reader) outcome(a ask, l lens.Lens) (*v1.Outcome, error) {
	_, resolution, err := r.resolve(a, l)
	if err != nil {
		return nil, err
	}
	return fromOutcome(resolution), nil
}

// parameters are what was asked for beside the question, for the explanation.
func parameters(a ask, r reader) map[string]any {
	f, p := a.filter, map[string]any{}
	set := func(name string, given bool, value any) {
		if given {
			p[name] = value
		}
	}
	set("lifecycle", f.Lifecycles != nil, f.Lifecycles)
	set("epoch", f.Epoch != nil, f.Epoch)
	set("source_class", f.SourceClass != nil, f.SourceClass)
	set("agent_id", f.Agent != nil, f.Agent)
	set("source_hash", f.Source != nil, f.Source)
	set("min_confidence", f.MinConfidence > 0, f.MinConfidence)
	set("as_of", f.AsOf != nil, f.AsOf)
	set("known_at", r.known != nil, r.known)
	set("include_superseded", f.Superseded, true)
	set("include_retracted", f.Retracted, true)
	set("include_quarantined", f.Quarantined, true)
	set("tolerance", a.grouping.Tolerance != lens.Tolerance{}, a.grouping.Tolerance.String())
	set("hierarchy", a.grouping.Hierarchy, true)
	return p
}
