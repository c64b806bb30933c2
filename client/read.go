package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

// Consistency is how fresh a read must be. The zero value is linearizable.
type Consistency struct {
	// Level is linearizable, bounded or local; empty is linearizable.
	Level string
	// MaxStale bounds the staleness of a bounded read.
	MaxStale time.Duration
	// MinIndex makes the node wait until it has applied that log index.
	MinIndex uint64
}

// Query selects claims and says how they are read. The zero value selects all.
type Query struct {
	// Subject is exact, or a prefix if it ends in *.
	Subject, Predicate string
	Lifecycles         []assertion.Lifecycle // nil: neither Deprecated nor Rejected
	Epoch              *assertion.Hash
	SourceClass        *assertion.SourceClass
	Agent              *assertion.AgentID
	Source             *assertion.Hash
	MinConfidence      float64
	// Lens resolves one question; it needs Subject and Predicate.
	Lens string
	// AsOf and KnownAt choose a past state, unix seconds: claims made by then, and
	// what was committed by then.
	AsOf, KnownAt *uint64
	// IncludeSuperseded and IncludeRetracted show what is left out otherwise.
	IncludeSuperseded, IncludeRetracted bool
	// NoAliases reads a question under the one name only.
	NoAliases bool
	// Tolerance ("0.5", "1%") and Hierarchy count values as one that differ only
	// so far (docs/lenses.md).
	Tolerance string
	Hierarchy bool
	// Explain asks for the voices behind the answer.
	Explain bool
	// Receipt asks for the node's signed statement of the answer.
	Receipt bool
	// Limit is 1 to 1000; 0 is the server's default.
	Limit  int
	Cursor string
	Consistency
}

func (c *Client) values(q Query) url.Values {
	v := url.Values{}
	set := func(name, value string) {
		if value != "" {
			v.Set(name, value)
		}
	}
	set("subject", q.Subject)
	set("predicate", q.Predicate)
	stages := ""
	for _, s := range q.Lifecycles {
		if stages != "" {
			stages += ","
		}
		stages += s.String()
	}
	set("lifecycle", stages)
	if q.Epoch != nil {
		set("epoch", q.Epoch.String())
	}
	if q.SourceClass != nil {
		set("source_class", q.SourceClass.String())
	}
	if q.Agent != nil {
		set("agent_id", q.Agent.String())
	}
	if q.Source != nil {
		set("source_hash", q.Source.String())
	}
	if q.MinConfidence > 0 {
		set("min_confidence", strconv.FormatFloat(q.MinConfidence, 'g', -1, 64))
	}
	set("lens", q.Lens)
	set("tolerance", q.Tolerance)
	for name, at := range map[string]*uint64{"as_of": q.AsOf, "known_at": q.KnownAt} {
		if at != nil {
			set(name, strconv.FormatUint(*at, 10))
		}
	}
	var include []string
	if q.IncludeSuperseded {
		include = append(include, "superseded")
	}
	if q.IncludeRetracted {
		include = append(include, "retracted")
	}
	set("include", strings.Join(include, ","))
	for name, on := range map[string]bool{"hierarchy": q.Hierarchy, "explain": q.Explain, "receipt": q.Receipt} {
		if on {
			set(name, "true")
		}
	}
	if q.NoAliases {
		set("aliases", "false")
	}
	if q.Limit > 0 {
		set("limit", strconv.Itoa(q.Limit))
	}
	set("cursor", q.Cursor)
	c.freshness(v, q.Consistency)
	return v
}

func (c *Client) freshness(v url.Values, want Consistency) {
	if want.Level != "" {
		v.Set("consistency", want.Level)
	}
	if want.MaxStale > 0 {
		v.Set("max_stale", want.MaxStale.String())
	}
	index := want.MinIndex
	if c.readYourWrites {
		index = max(index, c.seen.Load())
	}
	if index > 0 {
		v.Set("min_index", strconv.FormatUint(index, 10))
	}
}

func get[T any](ctx context.Context, c *Client, path string, query url.Values) (*T, error) {
	out := new(T)
	if err := c.do(ctx, call{method: http.MethodGet, path: path, query: query}, out); err != nil {
		return nil, err
	}
	return out, nil
}

// Get returns the claim of a hash with everything that bears on it.
func (c *Client) Get(ctx context.Context, h assertion.Hash, want Consistency) (*v1.AssertionDetail, error) {
	v := url.Values{}
	c.freshness(v, want)
	return get[v1.AssertionDetail](ctx, c, "/v1/assertions/"+h.String(), v)
}

// Query returns one page of claims, newest first, and with a lens what it makes
// of them.
func (c *Client) Query(ctx context.Context, q Query) (*v1.QueryResponse, error) {
	return get[v1.QueryResponse](ctx, c, "/v1/query", c.values(q))
}

// All walks every claim that q selects, page by page, until the end or the
// first error.
func (c *Client) All(ctx context.Context, q Query) iter.Seq2[*v1.Assertion, error] {
	return func(yield func(*v1.Assertion, error) bool) {
		for {
			page, err := c.Query(ctx, q)
			if err != nil {
				yield(nil, err)
				return
			}
			for i := range page.Assertions {
				if !yield(&page.Assertions[i], nil) {
					return
				}
			}
			if page.NextCursor == "" {
				return
			}
			q.Cursor = page.NextCursor
		}
	}
}

// Resolve asks a lens for the answer to one question.
func (c *Client) Resolve(ctx context.Context, lens string, q Query) (*v1.Resolution, error) {
	q.Lens = lens
	answer, err := c.Query(ctx, q)
	if err != nil {
		return nil, err
	}
	if answer.Resolution == nil {
		return nil, fmt.Errorf("the answer holds no resolution for the lens %q", lens)
	}
	return answer.Resolution, nil
}

// Skeptic returns every value of one question with its share, and how contested
// the question is.
func (c *Client) Skeptic(ctx context.Context, q Query) (*v1.SkepticResponse, error) {
	return get[v1.SkepticResponse](ctx, c, "/v1/skeptic", c.values(q))
}

// Layered returns the answer of each source class to one question.
func (c *Client) Layered(ctx context.Context, q Query) (*v1.LayeredResponse, error) {
	return get[v1.LayeredResponse](ctx, c, "/v1/layered", c.values(q))
}

// Health asks one particular node, by its place among the endpoints, for its
// state.
func (c *Client) Health(ctx context.Context, endpoint int) (*v1.Health, error) {
	return ask[v1.Health](ctx, c, endpoint, "/v1/health", nil)
}

// Ready asks one particular node whether it should receive requests. A node
// that should not answers with an *Error whose Checks say why.
func (c *Client) Ready(ctx context.Context, endpoint int) (*v1.Readiness, error) {
	return ask[v1.Readiness](ctx, c, endpoint, "/readyz", url.Values{"verbose": {"true"}})
}

// Live asks one particular node whether its process answers.
func (c *Client) Live(ctx context.Context, endpoint int) (*v1.Liveness, error) {
	return ask[v1.Liveness](ctx, c, endpoint, "/livez", nil)
}

// Cluster asks one particular node for the cluster as it sees it.
func (c *Client) Cluster(ctx context.Context, endpoint int) (*v1.Cluster, error) {
	return ask[v1.Cluster](ctx, c, endpoint, "/v1/cluster", nil)
}

// ask sends a request to one node, once.
func ask[T any](ctx context.Context, c *Client, endpoint int, path string, query url.Values) (*T, error) {
	if endpoint < 0 || endpoint >= len(c.endpoints) {
		return nil, c.noEndpoint(endpoint)
	}
	out := new(T)
	if err := c.try(ctx, c.endpoints[endpoint], call{method: http.MethodGet, path: path, query: query}, out); err != nil {
		return nil, err
	}
	return out, nil
}

// Document returns the body of one node's answer as it came: /metrics,
// /openapi.json or /docs.
func (c *Client) Document(ctx context.Context, endpoint int, path string) ([]byte, error) {
	if endpoint < 0 || endpoint >= len(c.endpoints) {
		return nil, c.noEndpoint(endpoint)
	}
	var body []byte
	err := c.try(ctx, c.endpoints[endpoint], call{method: http.MethodGet, path: path}, &body)
	return body, err
}

func (c *Client) noEndpoint(endpoint int) error {
	return fmt.Errorf("there is no endpoint %d: the client has %d", endpoint, len(c.endpoints))
}
