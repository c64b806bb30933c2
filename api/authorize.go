package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/text/unicode/norm"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/auth"
	"github.com/stemedb/stemedb/lens/trust"
)

// AuthConfig says who needs an API key.
type AuthConfig struct {
	// Enabled demands a key for every route but the probes.
	Enabled bool
	// OpenDocs and OpenMetrics take the demand back for documentation and
	// metrics.
	OpenDocs, OpenMetrics bool
}

// open reports whether a request needs no key.
func (a AuthConfig) open(demand auth.Access) bool {
	switch demand {
	case auth.Probe:
		return true
	case auth.Docs:
		return !a.Enabled || a.OpenDocs
	case auth.Metrics:
		return !a.Enabled || a.OpenMetrics
	}
	return !a.Enabled
}

const (
	// apiKeyKey is where authorize leaves the request's key in the echo.Context.
	apiKeyKey = "api_key"
	// standingAge is how long a node relies on the keys and the trust that it has
	// read. A change takes effect on a node this long after the node has applied
	// it, at most.
	standingAge = 250 * time.Millisecond
)

// gate is the state of authorization.
type gate struct {
	table       auth.Table
	limiter     auth.Limiter
	held        atomic.Pointer[standing]
	reading     sync.Mutex // one request at a time reads the keys
	established established
	laidOut     laidOut
	watching    watchers
}

// authorize lets a request through, or refuses it before anything of it is
// read.
func (s *Server) authorize(c echo.Context, demand auth.Access) error {
	if s.config.Auth.open(demand) {
		return nil
	}
	secret := presented(c.Request())
	if secret == "" {
		return &fault{code: v1.CodeAPIKeyMissing, field: v1.HeaderAPIKey, detail: "the request has no API key", fix: "send one in " + v1.HeaderAPIKey + ", or as Authorization: Bearer"}
	}
	standing, err := s.standing(c.Request().Context())
	if err != nil {
		return err
	}
	key, err := standing.ring.Identify(secret, s.now())
	if err != nil {
		return keyFault(err)
	}
	c.Set(apiKeyKey, key)
	s.config.LastUsed.Use(key.ID, s.config.Now())
	if wait, ok := s.gate.limiter.Allow(key, s.liveMembers(c.Request().Context(), key), s.config.Now()); !ok {
		s.metrics.refusals.WithLabelValues(refusedByRate).Inc()
		return &fault{code: v1.CodeRateLimited, detail: fmt.Sprintf("the key %s may ask %d times a second over the whole cluster", key.ID, key.RatePerSecond),
			fix: "wait for Retry-After, or ask an administrator for a higher rate", retryAfter: seconds(wait)}
	}
	if !demand.Permits(key.Role) {
		return &fault{code: v1.CodeForbidden, detail: fmt.Sprintf("the key %s has the role %s, this takes %s", key.ID, key.Role, demand.Role()), fix: "use a key with that role"}
	}
	return s.inScope(c, key, demand)
}

// stillAllowed is nil as long as the key that a long request was let through with
// is good.
func (s *Server) stillAllowed(c echo.Context) error {
	if keyOf(c) == nil {
		return nil
	}
	standing, err := s.standing(c.Request().Context())
	if err != nil {
		return err
	}
	if _, err := standing.ring.Identify(presented(c.Request()), s.now()); err != nil {
		return keyFault(err)
	}
	return nil
}

// presented is the secret that a request brings, "" if none.
func presented(r *http.Request) string {
	if secret := r.Header.Get(v1.HeaderAPIKey); secret != "" {
		return secret
	}
	scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(secret)
	}
	return ""
}

func keyFault(err error) error {
	f := &fault{code: v1.CodeAPIKeyUnknown, field: v1.HeaderAPIKey, detail: err.Error(), fix: "check the key; `stemectl keys list` shows those of the cluster"}
	switch {
	case errors.Is(err, auth.ErrRevokedKey):
		f.code, f.fix = v1.CodeAPIKeyRevoked, "ask an administrator for a new key"
	case errors.Is(err, auth.ErrExpiredKey):
		f.code, f.fix = v1.CodeAPIKeyExpired, "use the newer secret, or ask an administrator for a new key"
	}
	return f
}

// inScope holds a read of a restricted key to its subjects. Writes are held to
// them when what they store is known (mayStore).
func (s *Server) inScope(c echo.Context, key *assertion.APIKey, demand auth.Access) error {
	if key.SubjectPrefix == "" || demand == auth.Write || demand == auth.Docs || demand == auth.Metrics {
		return nil
	}
	var subject string
	switch c.Path() {
	case "/v1/query", "/v1/skeptic", "/v1/layered", "/v1/constraints", "/v1/diff", "/v1/watch":
		if c.QueryParam("aliases") != "false" && c.QueryParam("lens") != "" || c.QueryParam("aliases") == "true" || c.Path() != "/v1/query" && c.QueryParam("aliases") != "false" {
			return outOfScope("aliases", fmt.Sprintf("%v: the key %s is restricted to subjects that begin with %q, and aliases may lead to others", auth.ErrOutOfScope, key.ID, key.SubjectPrefix), "ask with aliases=false")
		}
		subject = norm.NFC.String(strings.TrimSuffix(c.QueryParam("subject"), "*"))
	case "/v1/subjects":
		subject = norm.NFC.String(strings.TrimSuffix(c.QueryParam("prefix"), "*"))
	case "/v1/lenses", "/v1/assert/prepare", "/v1/admission/status":
		return nil
	default:
		return outOfScope("", fmt.Sprintf("%v: the key %s is restricted to subjects that begin with %q, and this answers for others too", auth.ErrOutOfScope, key.ID, key.SubjectPrefix), "ask by subject, or use a key without a scope")
	}
	if err := auth.CheckSubject(key, subject); err != nil {
		return outOfScope("subject", err.Error(), "name a subject, or a prefix of subjects, in the scope of the key")
	}
	return nil
}

func outOfScope(field, detail, fix string) error {
	return &fault{code: v1.CodeOutOfScope, field: field, detail: detail, fix: fix}
}

// mayStore holds an entry to the binding and the scope of the request's key.
func mayStore(c echo.Context, e assertion.Entry) error {
	key := keyOf(c)
	if key == nil {
		return nil
	}
	if err := auth.CheckEntry(key, e); err != nil {
		return outOfScope("", err.Error(), "sign as the agent that the key is bound to, on a subject in its scope, or use another key")
	}
	return nil
}

// keyOf is the key that a request was let through with, nil without one.
func keyOf(c echo.Context) *assertion.APIKey {
	key, _ := c.Get(apiKeyKey).(*assertion.APIKey)
	return key
}

// standing is the cluster's keys and the trust in agents as this node knows them.
type standing struct {
	ring   *auth.Keyring
	scores *trust.Scores
	at     time.Time
}

// standing is at most standingAge old.
func (s *Server) standing(ctx context.Context) (*standing, error) {
	fresh := func() *standing {
		if held := s.gate.held.Load(); held != nil && time.Since(held.at) < standingAge {
			return held
		}
		return nil
	}
	if held := fresh(); held != nil {
		return held, nil
	}
	s.gate.reading.Lock()
	defer s.gate.reading.Unlock()
	if held := fresh(); held != nil {
		return held, nil
	}
	now := &standing{at: time.Now()} // before the view, which may be older than the time after it
	err := s.viewing(ctx, Consistency{Level: Local}, func(v View) error {
		keys, err := v.APIKeys()
		if err != nil {
			return err
		}
		now.ring = auth.NewKeyring(keys)
		now.scores, err = newest(v, nil, assertion.KindTrust, &s.scores, trust.Decode)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.gate.held.Store(now)
	return now, nil
}

// readKeys reads the newest state of every key.
func (s *Server) readKeys(ctx context.Context, want Consistency) (keys []*assertion.APIKey, index uint64, err error) {
	err = s.viewing(ctx, want, func(v View) (err error) {
		keys, err = v.APIKeys()
		index, _ = v.Applied()
		return err
	})
	return keys, index, err
}

// viewing opens a view for as long as look takes.
func (s *Server) viewing(ctx context.Context, want Consistency, look func(View) error) error {
	store, err := s.store()
	if err != nil {
		return err
	}
	view, err := store.Read(ctx, want)
	if err != nil {
		return err
	}
	return errors.Join(look(view), view.Close())
}

// liveMembers is how many nodes share the rate of a key, if it has one.
func (s *Server) liveMembers(ctx context.Context, key *assertion.APIKey) (n int) {
	store, err := s.store()
	if err != nil || key.RatePerSecond == 0 {
		return 1
	}
	for _, m := range store.Cluster(ctx).Members {
		if m.State == "alive" {
			n++
		}
	}
	return max(n, 1)
}

// administrator is who does an administrator's act, in the records of it: the API
// key, or "operator" on a cluster that demands none.
func administrator(c echo.Context) string {
	if key := keyOf(c); key != nil {
		return key.ID
	}
	return "operator"
}
