package client

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

// put stores one entry that is no claim. Like a claim it may be sent again: what
// is there already answers with the status exists.
func (c *Client) put(ctx context.Context, path string, entry any) (*v1.AssertResponse, error) {
	body, err := json.Marshal(entry)
	if err != nil {
		return nil, fmt.Errorf("encode the entry: %w", err)
	}
	out := new(v1.AssertResponse)
	if err := c.do(ctx, call{method: http.MethodPost, path: path, contentType: v1.MediaJSON, body: body}, out); err != nil {
		return nil, err
	}
	return out, nil
}

// Vote stores a signed vote.
func (c *Client) Vote(ctx context.Context, v *assertion.Vote) (*v1.AssertResponse, error) {
	return c.put(ctx, "/v1/vote", v)
}

// Epoch stores a signed epoch; the hash of the answer is what claims name it by.
func (c *Client) Epoch(ctx context.Context, e *assertion.Epoch) (*v1.AssertResponse, error) {
	return c.put(ctx, "/v1/epoch", e)
}

// Supersede stores a signed supersession or retraction of a claim.
func (c *Client) Supersede(ctx context.Context, s *assertion.Supersession) (*v1.AssertResponse, error) {
	return c.put(ctx, "/v1/supersede", s)
}

// Endorse stores a signed endorsement of an agent.
func (c *Client) Endorse(ctx context.Context, e *assertion.Endorsement) (*v1.AssertResponse, error) {
	return c.put(ctx, "/v1/trust/endorsements", e)
}

// RegisterSource describes a source. A zero hash is left to the server, which
// computes it from the content.
func (c *Client) RegisterSource(ctx context.Context, s *assertion.Source) (*v1.AssertResponse, error) {
	body := map[string]any{"uri": s.URI, "title": s.Title, "source_class": s.SourceClass}
	if !s.Hash.IsZero() {
		body["hash"] = s.Hash
	}
	if s.Content != "" {
		body["content"] = s.Content
	}
	return c.put(ctx, "/v1/sources", body)
}

// SetSourceStatus retracts or reinstates a source, with a reason for people.
func (c *Client) SetSourceStatus(ctx context.Context, s *assertion.SourceStatus) (*v1.AssertResponse, error) {
	change := "reinstate"
	if s.Retracted {
		change = "retract"
	}
	return c.put(ctx, "/v1/sources/"+s.Source.String()+"/"+change, map[string]string{"reason": s.Reason})
}

// SetAlias joins two names of one entity, or parts them.
func (c *Client) SetAlias(ctx context.Context, a *assertion.Alias) (*v1.AssertResponse, error) {
	return c.put(ctx, "/v1/concepts/aliases", a)
}

// SetGold states the right answer to a question, or takes it back.
func (c *Client) SetGold(ctx context.Context, l *assertion.Label) (*v1.AssertResponse, error) {
	return c.put(ctx, "/v1/admin/gold", l)
}

// SetSeeds chooses the agents that trust flows from.
func (c *Client) SetSeeds(ctx context.Context, s *assertion.Seeds) (*v1.AssertResponse, error) {
	return c.put(ctx, "/v1/trust/seeds", s)
}

// ExportQuery selects what an export holds; the zero value is everything.
type ExportQuery struct {
	// Subject is exact, or a prefix if it ends in *.
	Subject, Predicate string
	// Since leaves out what was committed up to and with this log index.
	Since       uint64
	Consistency Consistency
}

// Export opens an export, the lines that docs/export.md describes; the caller
// reads it to its end and closes it. Whether it is whole shows its last line.
func (c *Client) Export(ctx context.Context, q ExportQuery) (io.ReadCloser, error) {
	v := c.values(Query{Subject: q.Subject, Predicate: q.Predicate, Consistency: q.Consistency})
	if q.Since > 0 {
		v.Set("since", strconv.FormatUint(q.Since, 10))
	}
	var answer opened
	if err := c.do(ctx, call{method: http.MethodGet, path: "/v1/export", query: v}, &answer); err != nil {
		return nil, err
	}
	return answer.Body, nil
}

// Constraints returns what a subject must use, must not use and requires.
func (c *Client) Constraints(ctx context.Context, q Query) (*v1.ConstraintsResponse, error) {
	return get[v1.ConstraintsResponse](ctx, c, "/v1/constraints", c.values(q))
}

// Trace returns where a claim comes from, to a distance of depth claims.
func (c *Client) Trace(ctx context.Context, h assertion.Hash, depth int, q Query) (*v1.TraceResponse, error) {
	v := c.values(q)
	v.Set("depth", strconv.Itoa(depth))
	return get[v1.TraceResponse](ctx, c, "/v1/trace/"+h.String(), v)
}

// Diff returns what changed on q's subject between two times, unix seconds,
// along the axis known_at or, if asOf, as_of.
func (c *Client) Diff(ctx context.Context, q Query, from, to uint64, asOf bool) (*v1.DiffResponse, error) {
	v := c.values(q)
	v.Set("from", strconv.FormatUint(from, 10))
	v.Set("to", strconv.FormatUint(to, 10))
	if asOf {
		v.Set("axis", "as_of")
	}
	return get[v1.DiffResponse](ctx, c, "/v1/diff", v)
}

// Conflicts returns one page of the most contested questions.
func (c *Client) Conflicts(ctx context.Context, q Query) (*v1.ConflictsResponse, error) {
	return get[v1.ConflictsResponse](ctx, c, "/v1/conflicts", c.values(q))
}

// Subjects returns one page of the subjects that begin with a prefix.
func (c *Client) Subjects(ctx context.Context, prefix string, q Query) (*v1.SubjectsResponse, error) {
	v := c.values(q)
	if prefix != "" {
		v.Set("prefix", prefix)
	}
	return get[v1.SubjectsResponse](ctx, c, "/v1/subjects", v)
}

// Lenses returns every lens with its rule and formula.
func (c *Client) Lenses(ctx context.Context) (*v1.LensesResponse, error) {
	return get[v1.LensesResponse](ctx, c, "/v1/lenses", nil)
}

// Source returns one source with its content.
func (c *Client) Source(ctx context.Context, h assertion.Hash, q Query) (*v1.SourceResponse, error) {
	return get[v1.SourceResponse](ctx, c, "/v1/sources/"+h.String(), c.values(q))
}

// Sources returns one page of the registered sources.
func (c *Client) Sources(ctx context.Context, q Query) (*v1.SourcesResponse, error) {
	return get[v1.SourcesResponse](ctx, c, "/v1/sources", c.values(q))
}

// Impact returns what rests on a source, under q's lens.
func (c *Client) Impact(ctx context.Context, h assertion.Hash, q Query) (*v1.ImpactResponse, error) {
	return get[v1.ImpactResponse](ctx, c, "/v1/sources/"+h.String()+"/impact", c.values(q))
}

// Concept returns one entity by a name of it.
func (c *Client) Concept(ctx context.Context, name string, q Query) (*v1.ConceptResponse, error) {
	return get[v1.ConceptResponse](ctx, c, "/v1/concepts/"+url.PathEscape(name), c.values(q))
}

// Aliases returns one page of the aliases that hold.
func (c *Client) Aliases(ctx context.Context, q Query) (*v1.AliasesResponse, error) {
	return get[v1.AliasesResponse](ctx, c, "/v1/concepts/aliases", c.values(q))
}

// Trust returns how far an agent is trusted, on q's predicate if it names one.
func (c *Client) Trust(ctx context.Context, agent assertion.AgentID, q Query) (*v1.TrustResponse, error) {
	return get[v1.TrustResponse](ctx, c, "/v1/trust/"+agent.String(), c.values(q))
}

// Gold returns the gold labels and the seeds.
func (c *Client) Gold(ctx context.Context, q Query) (*v1.GoldResponse, error) {
	return get[v1.GoldResponse](ctx, c, "/v1/admin/gold", c.values(q))
}

// NodeKeys returns the keys that nodes sign with.
func (c *Client) NodeKeys(ctx context.Context, want Consistency) (*v1.NodeKeysResponse, error) {
	v := url.Values{}
	c.freshness(v, want)
	return get[v1.NodeKeysResponse](ctx, c, "/v1/cluster/keys", v)
}

// Feed returns one page of changes after a position of the log, "" for its
// beginning.
func (c *Client) Feed(ctx context.Context, after string, limit int, want Consistency) (*v1.FeedResponse, error) {
	v := c.values(Query{Limit: limit, Consistency: want})
	if after != "" {
		v.Set("after", after)
	}
	return get[v1.FeedResponse](ctx, c, "/v1/feed", v)
}

// Change is one event of a watch; Event or Resolution is set.
type Change struct {
	// Position is the place in the log to resume after.
	Position   string
	Event      *v1.Event
	Resolution *v1.ResolutionChange
}

// Watch follows the log after a position, "" for now, until ctx ends or the
// caller stops. It goes on at another node when one is lost and misses and
// repeats nothing. With q.Lens it yields the answer to the question and then
// its changes only; else the claims that q selects, or without a selection every
// change. An error that another try would not mend ends it.
func (c *Client) Watch(ctx context.Context, after string, q Query) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		if after == "" { // a node that is asked after a failure must not begin later
			health, err := get[v1.Health](ctx, c, "/v1/health", nil)
			if err != nil {
				yield(Change{}, err)
				return
			}
			after = strconv.FormatUint(health.Index, 10)
		}
		v := c.values(q)
		for _, name := range []string{"consistency", "max_stale", "min_index", "limit", "cursor", "explain", "receipt", "as_of", "known_at"} {
			v.Del(name) // a watch has no use for them
		}
		if q.Lens == "" { // claims are told under the name that they state
			v.Del("aliases")
		}
		w := &watch{client: c, query: v, after: after, yield: yield}
		for at := int(c.preferred.Load()); ctx.Err() == nil && !w.stopped; at++ {
			err := w.stream(ctx, c.endpoints[at%len(c.endpoints)])
			if w.stopped || ctx.Err() != nil {
				return
			}
			if err != nil && !outlook(err).again {
				yield(Change{}, err)
				return
			}
			_ = c.pause(ctx, firstPause) // ends early with ctx, which the loop asks next
		}
	}
}

// watch is a watch over as many connections as it takes.
type watch struct {
	client  *Client
	query   url.Values
	after   string
	last    *v1.Outcome
	yield   func(Change, error) bool
	stopped bool
}

// silence is how long a connection may say nothing, not even a comment, which a
// node sends every 15 seconds, before another one is tried.
const silence = 45 * time.Second

// stream reads one connection until it ends.
func (w *watch) stream(ctx context.Context, endpoint string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w.query.Set("after", w.after)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint+"/v1/watch?"+w.query.Encode(), nil)
	if err != nil {
		return err
	}
	r.Header.Set("Accept", v1.MediaEvents)
	if w.client.apiKey != "" {
		r.Header.Set("X-API-Key", w.client.apiKey)
	}
	passTrace(r)
	resp, err := w.client.http.Do(r)
	if err != nil {
		return noAnswer(endpoint, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, err := readAnswer(resp)
		if err != nil {
			return noAnswer(endpoint, err)
		}
		return problemOf(endpoint, resp, body)
	}
	idle := time.AfterFunc(silence, cancel)
	defer idle.Stop()
	return readEvents(resp.Body, func() { idle.Reset(silence) }, w.take)
}

// take hands on a change. The answer that a new connection begins with is one
// only if it differs from the last.
func (w *watch) take(change Change) bool {
	w.after = change.Position
	if r := change.Resolution; r != nil {
		if r.First && w.last != nil {
			if w.last.SameAnswer(&r.After) {
				return true
			}
			r.First, r.Before = false, w.last
		}
		w.last = &r.After
	}
	w.stopped = !w.yield(change, nil)
	return !w.stopped
}

// maxEventBytes bounds one event: a claim of 64 KiB, as JSON, fits.
const maxEventBytes = 1 << 20

// readEvents reads server-sent events until the stream ends, which is no error:
// the reader connects again.
func readEvents(r io.Reader, alive func(), take func(Change) bool) error {
	var id, name, data string
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxEventBytes)
	for lines.Scan() {
		alive()
		line := lines.Text()
		field, value, _ := strings.Cut(line, ": ")
		switch field {
		case "id":
			id = value
		case "event":
			name = value
		case "data":
			data = value
		}
		if line != "" || name == "" {
			continue
		}
		change, err := readChange(id, name, data)
		if err != nil {
			return err
		}
		if !take(change) {
			return nil
		}
		name, data = "", ""
	}
	return nil
}

func readChange(id, name, data string) (change Change, err error) {
	change.Position = id
	switch name {
	case v1.WatchEvent:
		change.Event = new(v1.Event)
		err = json.Unmarshal([]byte(data), change.Event)
	case v1.WatchResolution:
		change.Resolution = new(v1.ResolutionChange)
		err = json.Unmarshal([]byte(data), change.Resolution)
	case v1.WatchProblem:
		var problem v1.Problem
		if err = json.Unmarshal([]byte(data), &problem); err == nil {
			return change, &Error{Problem: problem}
		}
	}
	if err != nil {
		err = fmt.Errorf("event %s of a watch: %w", name, err)
	}
	return change, err
}
