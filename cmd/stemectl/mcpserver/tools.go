package mcpserver

import (
	"context"
	"crypto/ed25519"
	"strings"
	"time"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
)

// tools are the handlers.
type tools struct {
	client *client.Client
	key    ed25519.PrivateKey
}

// defaultLimit keeps answers readable for a model that does not ask for more.
const defaultLimit = 20

// defaultDepth is how many steps of provenance are followed.
const defaultDepth = 10

func (q Question) query() (client.Query, error) {
	out := client.Query{Subject: q.Subject, Predicate: q.Predicate, MinConfidence: q.MinConfidence, Tolerance: q.Tolerance, Limit: q.Limit}
	if out.Limit == 0 {
		out.Limit = defaultLimit
	}
	var err error
	if out.AsOf, err = instant("as_of", q.AsOf); err != nil {
		return out, err
	}
	out.KnownAt, err = instant("known_at", q.KnownAt)
	return out, err
}

// QueryInput is the input of query.
type QueryInput struct {
	Question
	Lens string `json:"lens,omitempty" jsonschema:"how to resolve: consensus (default), authority, recency, confidence, votes, trust, truth, layered, skeptic, or epoch before another as in epoch,consensus"`
}

// QueryOutput is the output of query.
type QueryOutput struct {
	Subject    string   `json:"subject"`
	Predicate  string   `json:"predicate"`
	Lens       string   `json:"lens" jsonschema:"the lens that resolved"`
	Answer     *Value   `json:"answer,omitempty" jsonschema:"absent if nothing is claimed"`
	Confidence float64  `json:"confidence" jsonschema:"the lens's own in its answer, 0 to 1"`
	Because    string   `json:"because" jsonschema:"how the lens decided"`
	RunnersUp  []Value  `json:"runners_up" jsonschema:"the other values in the lens's order"`
	Conflict   Conflict `json:"conflict"`
	Claims     []Claim  `json:"claims" jsonschema:"the claims on the question, newest first"`
	More       bool     `json:"more,omitempty" jsonschema:"there are more claims than limit"`
	Index      uint64   `json:"index" jsonschema:"log index of the state that answered"`
}

func (t tools) query(ctx context.Context, in QueryInput) (out QueryOutput, err error) {
	q, err := in.query()
	if err != nil {
		return out, err
	}
	q.Lens = in.Lens
	if q.Lens == "" {
		q.Lens = "consensus"
	}
	got, err := t.client.Query(ctx, q)
	if err != nil {
		return out, err
	}
	r := got.Resolution
	out = QueryOutput{Subject: in.Subject, Predicate: in.Predicate, Lens: r.Lens, Confidence: r.Confidence, Because: r.Explanation.Decision,
		RunnersUp: []Value{}, Claims: claimsOf(got.Assertions), More: got.NextCursor != "", Index: got.Index,
		Conflict: Conflict{Status: r.Status, Score: r.ConflictScore, Disagreement: r.Disagreement, Values: r.Explanation.Values, Voices: r.Explanation.Voices}}
	if w := r.Winner; w != nil {
		v := valueOf(w.Object, w.Share, w.Voices, w.Tiers, w.Findings)
		out.Answer = &v
	}
	for _, c := range r.RunnersUp {
		out.RunnersUp = append(out.RunnersUp, valueOf(c.Object, c.Share, c.Voices, c.Tiers, c.Findings))
	}
	return out, nil
}

// SkepticOutput is the output of skeptic.
type SkepticOutput struct {
	Subject   string   `json:"subject"`
	Predicate string   `json:"predicate"`
	Lens      string   `json:"lens"`
	Conflict  Conflict `json:"conflict"`
	Values    []Value  `json:"values" jsonschema:"every value by falling share"`
	Claims    []Claim  `json:"claims" jsonschema:"the claims behind them, newest first"`
	Index     uint64   `json:"index"`
}

func (t tools) skeptic(ctx context.Context, in Question) (out SkepticOutput, err error) {
	q, err := in.query()
	if err != nil {
		return out, err
	}
	got, err := t.client.Skeptic(ctx, q)
	if err != nil {
		return out, err
	}
	out = SkepticOutput{Subject: in.Subject, Predicate: in.Predicate, Lens: "skeptic", Values: []Value{}, Index: got.Index, Conflict: conflictOf(got)}
	for _, v := range got.Claims {
		out.Values = append(out.Values, valueOf(v.Object, v.Share, v.Voices, v.Tiers, v.Findings))
	}
	out.Claims, err = t.claims(ctx, q)
	return out, err
}

// claims are those on a question, for the provenance of an answer.
func (t tools) claims(ctx context.Context, q client.Query) ([]Claim, error) {
	q.Tolerance = "" // bears on answers only
	got, err := t.client.Query(ctx, q)
	if err != nil {
		return nil, err
	}
	return claimsOf(got.Assertions), nil
}

// LayeredOutput is the output of layered.
type LayeredOutput struct {
	Subject           string   `json:"subject"`
	Predicate         string   `json:"predicate"`
	Lens              string   `json:"lens"`
	Answer            *Value   `json:"answer,omitempty" jsonschema:"that of the strongest class with claims"`
	CrossTierConflict float64  `json:"cross_tier_conflict" jsonschema:"0 if all classes agree, up to 1"`
	Conflict          Conflict `json:"conflict" jsonschema:"among all claims, whatever their class"`
	Tiers             []Tier   `json:"tiers" jsonschema:"strongest class first"`
	Claims            []Claim  `json:"claims" jsonschema:"the claims behind them, newest first"`
	Index             uint64   `json:"index"`
}

// Tier is the answer of one source class.
type Tier struct {
	SourceClass string  `json:"source_class"`
	Answer      Value   `json:"answer"`
	Conflict    float64 `json:"conflict" jsonschema:"conflict score within the class, 0 to 1"`
	Values      int     `json:"values"`
	Voices      uint64  `json:"voices"`
}

func (t tools) layered(ctx context.Context, in Question) (out LayeredOutput, err error) {
	q, err := in.query()
	if err != nil {
		return out, err
	}
	shown := q.Limit
	q.Limit = 0 // an answer by class is not cut
	got, err := t.client.Layered(ctx, q)
	if err != nil {
		return out, err
	}
	whole, err := t.client.Skeptic(ctx, q)
	if err != nil {
		return out, err
	}
	out = LayeredOutput{Subject: in.Subject, Predicate: in.Predicate, Lens: "layered", CrossTierConflict: got.CrossTierConflict, Tiers: []Tier{}, Index: got.Index,
		Conflict: conflictOf(whole)}
	if w := got.Winner; w != nil {
		v := valueOf(w.Object, w.Share, w.Voices, w.Tiers, w.Findings)
		out.Answer = &v
	}
	for _, tier := range got.Tiers {
		class := []v1.TierSupport{{SourceClass: tier.SourceClass}}
		out.Tiers = append(out.Tiers, Tier{SourceClass: tier.SourceClass.String(), Conflict: tier.ConflictScore, Values: tier.Values, Voices: tier.Voices,
			Answer: valueOf(tier.Winner.Object, tier.Winner.Share, tier.Winner.Voices, class, tier.Winner.Findings)})
	}
	q.Limit = shown
	out.Claims, err = t.claims(ctx, q)
	return out, err
}

// TraceInput is the input of trace.
type TraceInput struct {
	Hash  string `json:"hash" jsonschema:"hash of a claim, 64 hexadecimal digits"`
	Depth int    `json:"depth,omitempty" jsonschema:"how many steps to follow (default 10)"`
}

// TraceOutput is the output of trace.
type TraceOutput struct {
	Nodes     []TraceNode `json:"nodes" jsonschema:"the claim first, then by distance"`
	Edges     []TraceEdge `json:"edges"`
	Truncated bool        `json:"truncated,omitempty"`
	Index     uint64      `json:"index"`
}

// TraceNode is one claim of a chain.
type TraceNode struct {
	Hash  string `json:"hash"`
	Depth int    `json:"depth"`
	// Claim is absent where the cluster does not have it.
	Claim *Claim `json:"claim,omitempty"`
	// Conflict is that of the claim's question, for the claim asked for.
	Conflict      *Conflict `json:"conflict,omitempty" jsonschema:"how contested the claim's question is"`
	Votes         int       `json:"votes"`
	VoteWeight    float64   `json:"vote_weight"`
	Transitions   int       `json:"transitions" jsonschema:"how often its stage was changed"`
	Supersessions []string  `json:"supersessions" jsonschema:"reasons why it was replaced, refined or retracted"`
	Source        string    `json:"source,omitempty" jsonschema:"title and address of the registered source"`
}

// TraceEdge joins two claims.
type TraceEdge struct {
	From     string `json:"from"`
	To       string `json:"to"`
	Relation string `json:"relation" jsonschema:"parent, derived_from, superseded_by or refined_by"`
}

func (t tools) trace(ctx context.Context, in TraceInput) (out TraceOutput, err error) {
	h, err := assertion.ParseHash(in.Hash)
	if err != nil {
		return out, badInput("hash: %v", err)
	}
	if in.Depth == 0 {
		in.Depth = defaultDepth
	}
	got, err := t.client.Trace(ctx, h, in.Depth, client.Query{})
	if err != nil {
		return out, err
	}
	out = TraceOutput{Nodes: []TraceNode{}, Edges: []TraceEdge{}, Truncated: got.Truncated, Index: got.Index}
	for i := range got.Nodes {
		out.Nodes = append(out.Nodes, traceNode(&got.Nodes[i]))
	}
	for _, e := range got.Edges {
		out.Edges = append(out.Edges, TraceEdge{From: e.From.String(), To: e.To.String(), Relation: e.Relation})
	}
	if root := got.Nodes[0].Assertion; root != nil {
		conflict, err := t.contest(ctx, root.Subject, root.Predicate)
		if err != nil {
			return out, err
		}
		out.Nodes[0].Conflict = &conflict
	}
	return out, nil
}

func traceNode(n *v1.TraceNode) TraceNode {
	out := TraceNode{Hash: n.Hash.String(), Depth: n.Depth, Votes: len(n.Votes), Transitions: len(n.Transitions), Supersessions: []string{}}
	if n.Assertion != nil {
		c := claimOf(n.Assertion)
		out.Claim = &c
	}
	for _, v := range n.Votes {
		out.VoteWeight += v.Weight
	}
	for _, s := range n.Supersessions {
		out.Supersessions = append(out.Supersessions, s.Type.String()+": "+s.Reason)
	}
	if n.Source != nil {
		out.Source = strings.TrimSpace(n.Source.Title + " " + n.Source.URI)
	}
	return out
}

// contest is how contested a question is now.
func (t tools) contest(ctx context.Context, subject, predicate string) (Conflict, error) {
	got, err := t.client.Skeptic(ctx, client.Query{Subject: subject, Predicate: predicate})
	if err != nil {
		return Conflict{}, err
	}
	return conflictOf(got), nil
}

// ConflictsInput is the input of conflicts.
type ConflictsInput struct {
	Limit  int    `json:"limit,omitempty" jsonschema:"most questions in the answer, 1 to 1000 (default 20)"`
	Cursor string `json:"cursor,omitempty" jsonschema:"next_cursor of the page before"`
}

// ConflictsOutput is the output of conflicts.
type ConflictsOutput struct {
	Questions  []Contested `json:"questions" jsonschema:"about the most contested first"`
	Lens       string      `json:"lens" jsonschema:"the lens that measures the conflict"`
	NextCursor string      `json:"next_cursor,omitempty"`
	Index      uint64      `json:"index"`
}

// Contested is a question of several values.
type Contested struct {
	Subject   string   `json:"subject"`
	Predicate string   `json:"predicate"`
	Leading   any      `json:"leading" jsonschema:"the value with the largest share"`
	Share     float64  `json:"share"`
	Conflict  Conflict `json:"conflict"`
}

func (t tools) conflicts(ctx context.Context, in ConflictsInput) (out ConflictsOutput, err error) {
	q := client.Query{Limit: in.Limit, Cursor: in.Cursor}
	if q.Limit == 0 {
		q.Limit = defaultLimit
	}
	got, err := t.client.Conflicts(ctx, q)
	if err != nil {
		return out, err
	}
	out = ConflictsOutput{Questions: []Contested{}, Lens: "skeptic", NextCursor: got.NextCursor, Index: got.Index}
	for _, c := range got.Questions {
		out.Questions = append(out.Questions, Contested{Subject: c.Subject, Predicate: c.Predicate, Leading: plain(c.Leading), Share: c.Share,
			Conflict: Conflict{Status: c.Status, Score: c.ConflictScore, Disagreement: c.Disagreement, Values: c.Values, Voices: c.Voices}})
	}
	return out, nil
}

// AssertInput is the input of assert.
type AssertInput struct {
	Subject     string         `json:"subject" jsonschema:"what the claim is about"`
	Predicate   string         `json:"predicate" jsonschema:"which property of it"`
	Value       any            `json:"value" jsonschema:"the value: a text, a number, or true or false"`
	Reference   bool           `json:"reference,omitempty" jsonschema:"the value is the name of an entity or a concept path"`
	Confidence  float64        `json:"confidence" jsonschema:"how sure you are, 0 to 1"`
	Source      string         `json:"source" jsonschema:"name or address of where you know it from; claims on the same source name are one voice"`
	SourceClass string         `json:"source_class" jsonschema:"Regulatory, Clinical, Observational, Expert, Community or Anecdotal"`
	Metadata    map[string]any `json:"metadata,omitempty" jsonschema:"describes the source: title, quotation, page"`
	DerivedFrom []string       `json:"derived_from,omitempty" jsonschema:"hashes of the claims that this one was concluded from"`
	Time        string         `json:"time,omitempty" jsonschema:"when it was true or observed: unix seconds or RFC 3339 (default now); confidence decays from then on"`
}

// AssertOutput is the output of assert.
type AssertOutput struct {
	Hash     string   `json:"hash" jsonschema:"identity of the claim"`
	Status   string   `json:"status" jsonschema:"created, exists, cosigned, or quarantined: stored, and left out of answers until it is reviewed"`
	Index    uint64   `json:"index" jsonschema:"log index at which it was committed"`
	Signer   string   `json:"signer" jsonschema:"public key that signed it"`
	Lens     string   `json:"lens" jsonschema:"the lens that the answer comes from"`
	Answer   *Value   `json:"answer,omitempty" jsonschema:"what the question's answer is now"`
	Conflict Conflict `json:"conflict" jsonschema:"how contested the question is now"`
	Unread   string   `json:"unread,omitempty" jsonschema:"why answer and conflict of now could not be read; the claim is stored all the same"`
}

func (t tools) assert(ctx context.Context, in AssertInput) (out AssertOutput, err error) {
	claim, err := in.claim()
	if err != nil {
		return out, err
	}
	claim.Sign(t.key, uint64(time.Now().Unix()))
	got, err := t.client.Assert(ctx, claim)
	if err != nil {
		return out, err
	}
	out = AssertOutput{Hash: got.Hash.String(), Status: string(got.Status), Index: got.Index, Signer: assertion.AgentOf(t.key).String()}
	now, err := t.query(ctx, QueryInput{Question: Question{Subject: claim.Subject, Predicate: claim.Predicate, Limit: 1}})
	if err != nil {
		out.Unread = err.Error()
		return out, nil //nolint:nilerr // the claim is stored, which an error of the tool would deny
	}
	out.Lens, out.Answer, out.Conflict = now.Lens, now.Answer, now.Conflict
	return out, nil
}

// claim makes the claim that the input describes.
func (in AssertInput) claim() (*assertion.Assertion, error) {
	var object assertion.ObjectValue
	switch v := in.Value.(type) {
	case string:
		object = assertion.Text(v)
		if in.Reference {
			object = assertion.Reference(v)
		}
	case float64:
		object = assertion.Number(v)
	case bool:
		object = assertion.Boolean(v)
	default:
		return nil, badInput("value: give a text, a number, or true or false")
	}
	if in.Reference && object.Kind() != assertion.KindReference {
		return nil, badInput("reference: only a text can name an entity")
	}
	class, err := assertion.ParseSourceClass(in.SourceClass)
	if err != nil {
		return nil, badInput("source_class: %v", err)
	}
	if strings.TrimSpace(in.Source) == "" {
		return nil, badInput("source: say where you know it from")
	}
	b := client.NewClaim(in.Subject, in.Predicate, object).Source(in.Source, class).Confidence(in.Confidence)
	metadata := map[string]any{"source": in.Source}
	for k, v := range in.Metadata {
		metadata[k] = v
	}
	b.Metadata(metadata)
	for _, text := range in.DerivedFrom {
		h, err := assertion.ParseHash(text)
		if err != nil {
			return nil, badInput("derived_from: %v", err)
		}
		b.DerivedFrom(h)
	}
	at, err := instant("time", in.Time)
	if err != nil {
		return nil, err
	}
	if at != nil {
		b.At(*at)
	}
	claim, err := b.Build()
	if err != nil {
		return nil, badInput("%v", err)
	}
	return claim, nil
}
