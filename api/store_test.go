package api_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/zeebo/blake3"

	"github.com/stemedb/stemedb/api"
	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/index"
	"github.com/stemedb/stemedb/internal/auditlog"
)

// now is the clock of every test.
const now = uint64(1_800_000_000)

// store is a Store over a real index, without a cluster: each call of Write is
// one entry of an imagined log. Its errors can be set.
type store struct {
	mu      sync.Mutex
	db      *index.DB
	entries uint64
	changed chan struct{} // closed at the next write
	clock   uint64        // of commits
	callers []api.Caller

	assertErr, readErr error
	feedErr            error
	inFeed             func() // called by each read of the feed
	membersErr         error
	cut                error // ends the stream of a backup
	demands            []api.Consistency
	unready            []v1.Check
	panics             bool
	scanned            int
}

func newStore(t testing.TB) *store {
	t.Helper()
	db, err := index.Open("index", index.Options{FS: vfs.NewMem(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return &store{db: db, clock: now, changed: make(chan struct{})}
}

func (s *store) Write(_ context.Context, caller api.Caller, entries []assertion.Entry) (api.WriteResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.panics {
		panic("secret of the store")
	}
	if s.assertErr != nil {
		return api.WriteResult{}, s.assertErr
	}
	s.callers = append(s.callers, caller)
	s.entries++
	defer func() {
		close(s.changed)
		s.changed = make(chan struct{})
	}()
	batch, err := s.db.NewBatch()
	if err != nil {
		return api.WriteResult{}, err
	}
	defer batch.Close()
	result := api.WriteResult{Index: s.entries}
	for i, entry := range entries {
		commit := assertion.Commit{Position: assertion.Position{Index: s.entries, Offset: uint16(i)}, At: s.clock}
		outcome, hash, err := put(batch, entry, commit)
		if err != nil {
			return api.WriteResult{}, err
		}
		result.Results = append(result.Results, api.EntryResult{Hash: hash, Outcome: api.Outcome(outcome)})
	}
	batch.SetApplied(index.Applied{Index: s.entries, Term: 1, CommittedAt: s.clock})
	return result, batch.Commit()
}

func put(batch *index.Batch, entry assertion.Entry, c assertion.Commit) (index.Outcome, assertion.Hash, error) {
	var admission assertion.Admission
	if admitted, ok := entry.(*assertion.Admitted); ok {
		entry, admission = admitted.Entry, admitted.Admission
	}
	if claim, ok := entry.(*assertion.Assertion); ok {
		hash := claim.ContentHash()
		outcome, err := batch.Assert(claim, hash, c, admission)
		return outcome, hash, err
	}
	record, err := entry.MarshalBinary()
	if err != nil {
		return 0, assertion.Hash{}, err
	}
	return batch.Put(entry, record, c, admission)
}

// nodeKey signs receipts.
var nodeKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

func (s *store) Sign(message []byte) (assertion.AgentID, assertion.SignatureBytes) {
	return assertion.AgentOf(nodeKey), assertion.SignatureBytes(ed25519.Sign(nodeKey, message))
}

func (s *store) WaitApplied(ctx context.Context, want uint64) error {
	for {
		s.mu.Lock()
		applied, changed := s.entries, s.changed
		s.mu.Unlock()
		if applied >= want {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return api.ErrMinIndexNotReached
		}
	}
}

func (s *store) Read(_ context.Context, c api.Consistency) (api.View, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.demands = append(s.demands, c)
	if s.readErr != nil {
		return nil, s.readErr
	}
	v, err := s.db.View()
	if err != nil {
		return nil, err
	}
	if c.KnownAt != nil {
		if *c.KnownAt >= s.clock {
			return nil, errors.Join(api.ErrFutureState, v.Close())
		}
		v.KnownAt(*c.KnownAt)
	}
	return view{v, s}, nil
}

func (s *store) Signers(h assertion.Hash) ([]assertion.AgentID, error) { return s.db.Signers(h) }

func (s *store) Health(context.Context) v1.Health {
	count, _ := s.state()
	return v1.Health{Status: "ok", AssertionsCount: count, Node: "n1", Leader: "n1", Role: "leader", Index: s.entries}
}

func (s *store) Ready(context.Context) v1.Readiness {
	return v1.Readiness{Ready: len(s.unready) == 0, Checks: append([]v1.Check{{Name: "recovered", OK: true}}, s.unready...)}
}

func (s *store) ChangeMembers(_ context.Context, _ api.Caller, action string, c v1.ClusterChange) (v1.ClusterChanged, error) {
	return v1.ClusterChanged{Action: action, Node: c.Node, Status: v1.ChangeDone, Index: s.entries}, s.membersErr
}

// Backup is a stream of one word; membersErr refuses it, cut ends it early.
func (s *store) Backup(context.Context, api.BackupRequest) (api.Backup, error) {
	return sent{s}, s.membersErr
}

type sent struct{ store *store }

func (b sent) Index() uint64 { return b.store.entries }
func (b sent) Size() int64   { return 4 }
func (b sent) Close() error  { return nil }
func (b sent) WriteTo(_ context.Context, w io.Writer) error {
	_, err := io.WriteString(w, "STEM")
	return errors.Join(err, b.store.cut)
}

func (s *store) Autopilot(context.Context) (v1.Autopilot, error) {
	return v1.Autopilot{Healthy: true, Leader: "n1", Servers: []v1.AutopilotServer{{Node: "n1", Suffrage: "voter", State: "alive", Healthy: true}}, MinQuorum: 3}, s.membersErr
}

func (s *store) Cluster(context.Context) v1.Cluster {
	count, digest := s.state()
	return v1.Cluster{ClusterID: "c1", Node: "n1", Leader: "n1", Term: 1, CommitIndex: s.entries, AppliedIndex: s.entries,
		AssertionsCount: count, Digest: digest, Converged: true, Members: []v1.Member{{Node: "n1", Suffrage: "voter",
			State: "alive", Leader: true, AppliedIndex: s.entries, DigestAgrees: true}}}
}

// state is what must not change when a claim is refused.
func (s *store) state() (uint64, assertion.Hash) {
	v, err := s.db.View()
	if err != nil {
		panic(err)
	}
	defer v.Close()
	return v.Count(), v.Digest()
}

type view struct {
	*index.View
	store *store
}

func (v view) Applied() (uint64, uint64) {
	a := v.View.Applied()
	return a.Index, a.CommittedAt
}

func (v view) Epoch(h assertion.Hash) (assertion.Recorded[*assertion.Epoch], error) {
	e, err := v.View.Epoch(h)
	if errors.Is(err, index.ErrNotFound) {
		err = api.ErrNotFound
	}
	return e, err
}

func (v view) Subjects(begin, cursor string, limit int) ([]string, string, error) {
	subjects, next, err := v.View.Subjects(begin, cursor, limit)
	if errors.Is(err, index.ErrBadCursor) {
		err = api.ErrBadCursor
	}
	return subjects, next, err
}

func (v view) Contested(cursor string, limit int) ([]assertion.Question, string, error) {
	questions, next, err := v.View.Contested(cursor, limit)
	if errors.Is(err, index.ErrBadCursor) {
		err = api.ErrBadCursor
	}
	return questions, next, err
}

func (v view) Feed(after assertion.Position, limit int, kinds ...assertion.Kind) ([]assertion.Event, error) {
	if v.store.feedErr != nil {
		return nil, v.store.feedErr
	}
	if v.store.inFeed != nil {
		v.store.inFeed()
	}
	return v.View.Feed(after, limit, kinds...)
}

func (v view) Get(h assertion.Hash) (*assertion.Claim, error) {
	c, err := v.View.Get(h)
	if errors.Is(err, index.ErrNotFound) {
		return nil, api.ErrNotFound
	}
	return c, err
}

func (v view) Page(f assertion.Filter, cursor string, limit int) ([]*assertion.Claim, string, error) {
	claims, next, err := v.View.Page(f, cursor, limit)
	if errors.Is(err, index.ErrBadCursor) {
		return nil, "", api.ErrBadCursor
	}
	return claims, next, err
}

func (v view) Claims(f assertion.Filter, most int) ([]*assertion.Claim, int, bool, error) {
	it := v.Scan(f)
	defer it.Close()
	var claims []*assertion.Claim
	for it.Next() {
		if len(claims) == most {
			return claims, it.Scanned(), true, it.Err()
		}
		claims = append(claims, it.Claim())
	}
	v.store.scanned += it.Scanned()
	return claims, it.Scanned(), false, it.Err()
}

// fixture is a Server over a store.
type fixture struct {
	t        testing.TB
	store    *store
	server   *api.Server
	log      *bytes.Buffer
	registry *prometheus.Registry
	audit    *auditlog.Log
	now      uint64 // the server's clock
}

func newFixture(t testing.TB, options ...func(*api.Config)) *fixture {
	t.Helper()
	f := unattached(t, options...)
	f.store = newStore(t)
	f.server.Attach("n1", f.store)
	audit, err := auditlog.Open("audit", auditlog.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	f.audit = audit
	t.Cleanup(func() {
		if err := audit.Close(); err != nil {
			t.Error(err)
		}
	})
	f.server.KeepAudit(audit)
	return f
}

// unattached is a Server whose store is not there yet.
func unattached(t testing.TB, options ...func(*api.Config)) *fixture {
	t.Helper()
	f := &fixture{t: t, log: new(bytes.Buffer), registry: prometheus.NewRegistry(), now: now}
	config := api.Config{
		Version: "test", Now: func() time.Time { return time.Unix(int64(f.now), 0) },
		Logger: slog.New(slog.NewJSONHandler(f.log, nil)), Registerer: f.registry,
		Metrics: promhttp.HandlerFor(f.registry, promhttp.HandlerOpts{}),
	}
	for _, o := range options {
		o(&config)
	}
	var err error
	if f.server, err = api.New(config); err != nil {
		t.Fatal(err)
	}
	return f
}

func acceptV1(c *api.Config) { c.AcceptV1 = true }

// do sends a request. A header is given as "Name: value".
func (f *fixture) do(method, target string, body string, headers ...string) *httptest.ResponseRecorder {
	f.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, target, reader)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	f.server.ServeHTTP(w, r)
	return w
}

func (f *fixture) get(target string) *httptest.ResponseRecorder {
	f.t.Helper()
	return f.do(http.MethodGet, target, "")
}

const jsonType, ndjsonType = "Content-Type: application/json", "Content-Type: application/x-ndjson"

func (f *fixture) assert(body string) *httptest.ResponseRecorder {
	f.t.Helper()
	return f.do(http.MethodPost, "/v1/assert", body, jsonType)
}

// read decodes a body of the wanted status.
func read[T any](t testing.TB, w *httptest.ResponseRecorder, status int) T {
	t.Helper()
	var out T
	if w.Code != status {
		t.Fatalf("status %d, want %d: %s", w.Code, status, w.Body)
	}
	decoder := json.NewDecoder(bytes.NewReader(w.Body.Bytes()))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&out); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	return out
}

// refused checks a problem: its status and code, and that it is complete.
func refused(t testing.TB, w *httptest.ResponseRecorder, status int, code string) v1.Problem {
	t.Helper()
	if got := w.Header().Get("Content-Type"); got != v1.MediaProblem {
		t.Fatalf("content type %q with status %d: %s", got, w.Code, w.Body)
	}
	p := read[v1.Problem](t, w, status)
	if p.Code != code {
		t.Fatalf("code %s, want %s: %s", p.Code, code, w.Body)
	}
	if p.Status != status || p.Type != "/docs#"+code || p.Title == "" || p.Detail == "" || p.Instance == "" || p.RequestID == "" {
		t.Errorf("incomplete problem: %s", w.Body)
	}
	return p
}

// key is a signing key by name.
func key(name string) ed25519.PrivateKey {
	seed := blake3.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

// claim makes a claim on Semaglutide's nausea_rate, unsigned.
func claim(change ...func(*assertion.Assertion)) *assertion.Assertion {
	a := &assertion.Assertion{
		Subject: "Semaglutide", Predicate: "nausea_rate", Object: assertion.Number(20.3), Confidence: 0.95,
		SourceClass: assertion.Regulatory, SourceHash: blake3.Sum256([]byte("label")), Timestamp: now - 1000,
	}
	for _, c := range change {
		c(a)
	}
	return a
}

func signed(a *assertion.Assertion, names ...string) *assertion.Assertion {
	for _, name := range names {
		a.Sign(key(name), now)
	}
	return a
}

func text(t testing.TB, a any) string {
	t.Helper()
	b, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// put stores signed claims.
func (f *fixture) put(claims ...*assertion.Assertion) {
	f.t.Helper()
	for _, c := range claims {
		if w := f.assert(text(f.t, c)); w.Code != http.StatusCreated && w.Code != http.StatusOK {
			f.t.Fatalf("status %d: %s", w.Code, w.Body)
		}
	}
}
