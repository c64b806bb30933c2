package api

import (
	"fmt"
	"net/url"

	"github.com/labstack/echo/v4"
	"github.com/zeebo/blake3"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

// fromEvent makes the wire form of a change.
func fromEvent(e *assertion.Event) (v1.Event, error) {
	out := v1.Event{Position: v1.FormatPosition(e.Commit.Position), Kind: e.Kind.String(), CommittedAt: e.Commit.At, Authority: e.Authority}
	if e.Claim != nil {
		claim := v1.FromClaim(e.Claim)
		out.Assertion = &claim
		return out, nil
	}
	switch entry := e.Entry.(type) {
	case *assertion.Cosignature:
		claim := assertion.Claim{Assertion: *entry.Assertion, Hash: entry.Hash, Commit: e.Commit, Stage: entry.Assertion.Lifecycle}
		for range claim.Signatures {
			claim.SignatureCommits = append(claim.SignatureCommits, e.Commit)
		}
		cosigned := v1.FromClaim(&claim)
		out.Assertion = &cosigned
	case *assertion.Vote:
		out.Vote = entry
	case *assertion.Epoch:
		out.Epoch = entry
	case *assertion.Supersession:
		out.Supersession = entry
	case *assertion.Endorsement:
		out.Endorsement = entry
	case *assertion.Source:
		bare := *entry
		bare.Content = ""
		out.Source = &bare
	case *assertion.SourceStatus:
		out.SourceStatus = entry
	case *assertion.Alias:
		out.Alias = entry
	case *assertion.Label:
		out.Label = entry
	case *assertion.Seeds:
		out.Seeds = entry
	case *assertion.NodeKey:
		out.NodeKey = entry
	case *assertion.Decision:
		out.Decision = entry
	case *assertion.Computed:
		out.Computed = &v1.ComputedRef{Hash: blake3.Sum256(entry.Data), Index: entry.Index, Bytes: len(entry.Data)}
	default:
		return out, fmt.Errorf("the feed has an event of the unknown kind %s", e.Kind)
	}
	return out, nil
}

// afterParam reads the position after which a feed continues; the beginning of
// the log if it is absent.
func afterParam(text string, given bool) (assertion.Position, error) {
	if !given {
		return assertion.Position{}, nil
	}
	p, err := v1.ParsePosition(text)
	if err != nil {
		return p, invalid("after", err.Error(), "give next of the page before, or the id of the last event")
	}
	return p, nil
}

// planFeed is GET /v1/feed.
func planFeed(_ echo.Context, q url.Values) (readPlan, error) {
	limit, err := limitParam(q)
	if err != nil {
		return nil, err
	}
	after, err := afterParam(q.Get("after"), q.Has("after"))
	if err != nil {
		return nil, err
	}
	return func(r reader) (any, error) {
		events, err := r.view.Feed(after, limit)
		if err != nil {
			return nil, err
		}
		out := v1.FeedResponse{Events: make([]v1.Event, len(events)), Next: v1.FormatPosition(after), Index: r.index()}
		for i := range events {
			if out.Events[i], err = fromEvent(&events[i]); err != nil {
				return nil, err
			}
			out.Next = out.Events[i].Position
		}
		return out, nil
	}, nil
}
