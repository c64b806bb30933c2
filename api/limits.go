package api

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/auth"
	"github.com/stemedb/stemedb/lens/trust"
)

// Limits hold agents, keys and addresses to what they may use. Requests with an
// admin key are not held to them.
//
// What a request costs is charged to its sender: the agent that its API key is
// bound to, else the key, else the address. An agent of whom it brings a valid
// signature pays in the sender's place only for what that signature adds to the
// cluster, since what is stored anybody can send again. So nobody uses up
// another's quota. Failures are the sender's alone.
type Limits struct {
	// Meter counts what each may use in an hour; nil counts nothing.
	Meter *auth.Meter
	// Breakers keep out for a while who keeps failing; nil keeps out nobody.
	Breakers *auth.Breakers
	// Work demands proof of work from agents that are new and not trusted.
	Work bool
}

// account is who a request is charged to.
type account struct {
	// sender is the agent that the API key is bound to, else the key, else the
	// address.
	sender auth.Principal
	// failed is why the request counts as a failure of the sender, 0 if it does
	// not.
	failed auth.Reason
}

// accountKey is where openAccount leaves the account in the echo.Context,
// bodyLenKey where readBody leaves the length of the body, and bodyLinesKey where
// a batch leaves the number of its lines.
const (
	accountKey   = "account"
	bodyLenKey   = "body_len"
	bodyLinesKey = "body_lines"
)

// accountOf is the request's account; nil if it is not held to limits.
func accountOf(c echo.Context) *account {
	a, _ := c.Get(accountKey).(*account)
	return a
}

// openAccount lets a request through whose sender is not kept out, and charges
// a read. What a write costs depends on what it stores.
func (s *Server) openAccount(c echo.Context, demand auth.Access) error {
	key := keyOf(c)
	if demand != auth.Read && demand != auth.Write || key != nil && key.Role == assertion.RoleAdmin {
		return nil
	}
	a := &account{sender: s.sender(c)}
	c.Set(accountKey, a)
	if err := s.passBreaker(a.sender); err != nil {
		return err
	}
	if demand == auth.Write {
		return nil
	}
	body := c.Request().ContentLength
	if body < 0 { // of a length that is not known yet
		body = v1.MaxAssertBytes
	}
	units := auth.QueryCost(1+strings.Count(c.QueryParam("lens"), ",")) + auth.BodyCost(body)
	_, err := s.charge(c.Request().Context(), c, a.sender, units)
	s.overQuota(a.sender, err)
	return err
}

// overQuota tells the sender's breaker if it was refused for its quota.
func (s *Server) overQuota(sender auth.Principal, err error) {
	var f *fault
	if errors.As(err, &f) && f.code == v1.CodeQuotaExceeded {
		s.failed(sender, auth.OverQuota)
	}
}

// failed tells the breaker of a principal of a failure.
func (s *Server) failed(p auth.Principal, reason auth.Reason) {
	s.config.Limits.Breakers.Failure(p, reason, s.config.Now())
}

func (s *Server) sender(c echo.Context) auth.Principal {
	switch key := keyOf(c); {
	case key == nil:
		addr, _ := s.clientAddr(c.Request())
		return auth.AddressPrincipal(addr)
	case key.AgentID != nil:
		return auth.AgentPrincipal(*key.AgentID)
	default:
		return auth.KeyPrincipal(key.ID)
	}
}

// passBreaker refuses who is kept out.
func (s *Server) passBreaker(p auth.Principal) error {
	wait, ok := s.config.Limits.Breakers.Allow(p, s.config.Now())
	if ok {
		return nil
	}
	return s.circuitOpen(p, wait)
}

func (s *Server) circuitOpen(p auth.Principal, wait time.Duration) error {
	s.metrics.refusals.WithLabelValues(refusedByBreaker).Inc()
	return &fault{code: v1.CodeCircuitOpen, detail: fmt.Sprintf("too many requests of %s failed: it is kept out for a while", p),
		fix: "wait for Retry-After, and mend what was refused before", retryAfter: seconds(wait)}
}

// seconds is a Retry-After of at least a time.
func seconds(d time.Duration) int { return int(max((d+time.Second-1)/time.Second, 1)) }

// charge takes units from what a principal may use, and tells what is left.
func (s *Server) charge(ctx context.Context, c echo.Context, p auth.Principal, units uint64) (at time.Time, err error) {
	at = s.config.Now()
	if s.config.Limits.Meter == nil {
		return at, nil
	}
	limit, err := s.quotaOf(ctx, c, p)
	if err != nil {
		return at, err
	}
	quota, ok := s.config.Limits.Meter.Charge(p, units, limit, at)
	header := c.Response().Header()
	header[v1.HeaderQuotaLimit] = []string{strconv.FormatUint(quota.Limit, 10)}
	header[v1.HeaderQuotaRemaining] = []string{strconv.FormatUint(quota.Remaining, 10)}
	header[v1.HeaderQuotaReset] = []string{strconv.FormatUint(quota.Reset, 10)}
	if ok {
		return at, nil
	}
	s.metrics.refusals.WithLabelValues(refusedByQuota).Inc()
	return at, &fault{code: v1.CodeQuotaExceeded,
		detail: fmt.Sprintf("this costs %d units; %s has %d of %d left in this hour", units, p, quota.Remaining, quota.Limit),
		fix:    "wait for Retry-After; a higher trust has a higher quota", retryAfter: int(max(quota.Reset, s.now()+1) - s.now())}
}

// quotaOf is how many units a principal may use in an hour.
func (s *Server) quotaOf(ctx context.Context, c echo.Context, p auth.Principal) (uint64, error) {
	agent, is := p.Agent()
	if !is {
		if key := keyOf(c); key != nil && key.QuotaPerHour != 0 {
			return key.QuotaPerHour, nil
		}
		return auth.BaseQuota, nil
	}
	standing, err := s.standing(ctx)
	if err != nil {
		return 0, err
	}
	return agentQuota(standing.scores, agent), nil
}

// agentQuota is how many units an agent may use in an hour.
func agentQuota(scores *trust.Scores, agent assertion.AgentID) uint64 {
	return auth.TierOf(overallTrust(scores, agent)).Quota()
}

// overallTrust is the trust in an agent whatever the predicate.
func overallTrust(scores *trust.Scores, agent assertion.AgentID) float64 {
	return scores.Value(agent, "")
}

// settle tells the sender's breaker how the request went.
func (s *Server) settle(c echo.Context, demand auth.Access, err error) {
	a := accountOf(c)
	if a == nil {
		return
	}
	reason := a.failed
	var status int
	if err != nil {
		f := faultOf(err)
		status = s.kinds[f.code].status
		if demand == auth.Write && reason == 0 {
			reason = failureOf(f.code, status)
		}
	}
	switch {
	case reason != 0:
		s.failed(a.sender, reason)
	case status == http.StatusTooManyRequests: // told already, or never let through
	case status < http.StatusInternalServerError:
		s.config.Limits.Breakers.Success(a.sender, s.config.Now())
	default:
		s.config.Limits.Breakers.Release(a.sender)
	}
}

// failureOf is the reason for which the refusal of a write counts as a failure
// of its sender, 0 if it does not: that depends on the state, or on what others
// did.
func failureOf(code string, status int) auth.Reason {
	switch code {
	case assertion.CodeUnsigned, assertion.CodeSignatureInvalid, assertion.CodeDuplicateSigner, assertion.CodeSignatureVersionUnsupported,
		assertion.CodeSignatureV1Disabled, assertion.CodeSignatureVersionsMixed:
		return auth.InvalidSignature
	case v1.CodeWorkInvalid, v1.CodeWorkReused, v1.CodeWorkStale:
		return auth.BadWork
	}
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType:
		return auth.InvalidInput
	}
	return 0
}

// taken is one entry of a write as it was let in.
type taken struct {
	// payer is charged, with so many units at a time.
	payer auth.Principal
	units uint64
	at    time.Time
	// agent, if not nobody, is charged in the payer's place once the entry is
	// stored. Reserved says that the units are laid out for it.
	agent    auth.Principal
	reserved bool
	// fresh says that the payer is the agent, since this node does not have its
	// signature on the claim. If the cluster has it, the sender pays after all.
	fresh bool
	// trial says that the payer's breaker is half-open and tries this one.
	trial bool
	// work says that the entry rests on the request's proof of work.
	work bool
	// admission is what the log entry must say beside it.
	admission assertion.Admission
	// refused is why it was not let in.
	refused error
}

// takeIn decides which entries of a write are let in, and charges them. An error
// refuses the whole request, of which the sender pays the body.
func (s *Server) takeIn(ctx context.Context, c echo.Context, entries []assertion.Entry) ([]taken, error) {
	a := accountOf(c)
	out := make([]taken, len(entries))
	if a == nil || s.config.Limits == (Limits{}) {
		return out, nil
	}
	size, _ := c.Get(bodyLenKey).(int64)
	lines, ok := c.Get(bodyLinesKey).(int)
	if !ok {
		lines = 1
	}
	t := taking{server: s, ctx: ctx, echo: c, sender: a.sender, body: auth.BodyCost(size / int64(lines)), asked: map[auth.Principal]error{}}
	var err error
	if t.store, err = s.store(); err != nil {
		return nil, err
	}
	if t.standing, err = s.standing(ctx); err != nil {
		return nil, err
	}
	work, err := t.admit(entries, out)
	if err != nil {
		s.closeAccounts(out)
		_, over := s.charge(ctx, c, a.sender, auth.BodyCost(size))
		s.overQuota(a.sender, over)
		return nil, err
	}
	tag := rand.Uint64()
	for i, e := range entries {
		if out[i].refused = t.charge(e, &out[i]); out[i].refused == nil && out[i].work {
			out[i].admission.Work, out[i].admission.Tag = work, tag
		}
	}
	return out, nil
}

// taking is the taking in of one request.
type taking struct {
	server   *Server
	ctx      context.Context
	echo     echo.Context
	store    Store
	standing *standing
	sender   auth.Principal
	body     uint64 // units of one entry's part of the body
	// asked is what the breakers of agents said, each of which is asked once.
	asked map[auth.Principal]error
}

// admit finds out who pays for each entry, and the proof of work that the request
// brings if it needs one.
func (t *taking) admit(entries []assertion.Entry, out []taken) (*assertion.Work, error) {
	suspects := make([][]assertion.AgentID, len(entries))
	for i, e := range entries {
		o := &out[i]
		o.payer, o.units = t.sender, cost(e)+t.body
		signers := auth.Signers(e)
		if len(signers) == 0 {
			continue
		}
		first := auth.AgentPrincipal(signers[0])
		claim, ok := e.(*assertion.Assertion)
		if !ok { // of newcomers these need no proof of work: their sender pays
			if t.server.knownAgent(t.standing.scores, signers[0]) {
				o.agent = first
			}
			continue
		}
		doubtful := t.server.suspects(t.standing.scores, signers)
		if len(doubtful) == 0 && t.clearly(first, o.units) {
			o.agent, o.reserved = first, t.server.config.Limits.Meter != nil && first != t.sender
			continue
		}
		fresh, err := freshSigners(t.store, signers, claim.ContentHash())
		if err != nil {
			return nil, err
		}
		if len(fresh) > 0 { // else it is stored as it is: whoever sends it again
			o.payer, o.fresh = auth.AgentPrincipal(fresh[0]), true
			suspects[i] = t.server.suspects(t.standing.scores, fresh)
		}
	}
	demand, err := t.server.demandWork(t.ctx, t.standing.scores, suspects, out)
	if err != nil {
		return nil, err
	}
	return t.server.provedWork(t.echo, demand)
}

// clearly reports whether an agent may state a claim for so many units, so that
// nothing depends on whether the claim is stored already.
func (t *taking) clearly(p auth.Principal, units uint64) bool {
	limits := &t.server.config.Limits
	if !limits.Breakers.Closed(p, t.server.config.Now()) {
		return false
	}
	return limits.Meter == nil || p == t.sender || t.server.gate.laidOut.reserve(p, units, t.remaining(p)/laidOutPart)
}

// laidOutPart is what part of the rest of an agent's quota senders may lay out
// before the node looks whether a claim is new: so much a quota can be exceeded
// on one node.
const laidOutPart = 8

// laidOut is what senders have laid out for agents and is not decided yet. It is
// no debt of the agents.
type laidOut struct {
	mu    sync.Mutex
	units map[auth.Principal]uint64
}

// reserve adds units, unless with them more than most is laid out.
func (l *laidOut) reserve(p auth.Principal, units, most uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.units[p]+units > most {
		return false
	}
	if l.units == nil {
		l.units = map[auth.Principal]uint64{}
	}
	l.units[p] += units
	return true
}

func (l *laidOut) release(p auth.Principal, units uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.units[p] -= units; l.units[p] == 0 {
		delete(l.units, p)
	}
}

// remaining is what is left of an agent's quota.
func (t *taking) remaining(p auth.Principal) uint64 {
	agent, _ := p.Agent()
	return t.server.config.Limits.Meter.Quota(p, agentQuota(t.standing.scores, agent), t.server.config.Now()).Remaining
}

// charge lets one entry in, or says why not.
func (t *taking) charge(e assertion.Entry, o *taken) error {
	s := t.server
	if o.agent != t.sender && !o.agent.IsZero() && e.Kind() != assertion.KindAssertion {
		if err := t.mayPay(o.agent, o.units); err != nil {
			return err
		}
	}
	if o.fresh && o.payer != t.sender {
		if err := t.pass(o); err != nil {
			return err
		}
	}
	var err error
	o.at, err = s.charge(t.ctx, t.echo, o.payer, o.units)
	if err == nil || o.fresh || o.agent.IsZero() || o.agent == t.sender {
		if o.payer == t.sender {
			s.overQuota(t.sender, err)
		}
		return err
	}
	// The sender has too little to lay the sum out: the node looks who owes it.
	claim, ok := e.(*assertion.Assertion)
	if !ok {
		s.overQuota(t.sender, err)
		return err
	}
	fresh, looked := freshSigners(t.store, auth.Signers(claim), claim.ContentHash())
	if looked != nil {
		return looked
	}
	if len(fresh) == 0 {
		s.overQuota(t.sender, err)
		return err
	}
	o.payer, o.fresh = auth.AgentPrincipal(fresh[0]), true
	o.at, err = s.charge(t.ctx, t.echo, o.payer, o.units)
	return err
}

// mayPay refuses an agent that is kept out, or has too little left. Nothing is
// charged, and no trial is made of what may be a repetition.
func (t *taking) mayPay(p auth.Principal, units uint64) error {
	limits := &t.server.config.Limits
	if state, wait := limits.Breakers.Of(p, t.server.config.Now()); state == auth.Open {
		return t.server.circuitOpen(p, wait)
	}
	if limits.Meter != nil && t.remaining(p) < units {
		_, err := t.server.charge(t.ctx, t.echo, p, units)
		return err
	}
	return nil
}

// pass asks the payer's breaker, once for all its entries of the request.
func (t *taking) pass(o *taken) error {
	err, known := t.asked[o.payer]
	if !known {
		err = t.server.passBreaker(o.payer)
		t.asked[o.payer] = err
		o.trial = err == nil && !t.server.config.Limits.Breakers.Closed(o.payer, t.server.config.Now())
	} else if err != nil {
		t.server.metrics.refusals.WithLabelValues(refusedByBreaker).Inc()
	}
	return err
}

// cost is what storing an entry costs, but for its body.
func cost(e assertion.Entry) uint64 {
	if e.Kind() == assertion.KindVote {
		return auth.CostVote
	}
	return auth.CostAssert
}

// closeAccounts ends what was laid out for a write.
func (s *Server) closeAccounts(entries []taken) {
	for _, t := range entries {
		if t.reserved {
			s.gate.laidOut.release(t.agent, t.units)
		}
	}
}

// failedWrite ends the taking in of a write that was not decided. What was
// certainly not stored is given back.
func (s *Server) failedWrite(entries []taken, certain bool) {
	s.closeAccounts(entries)
	for _, t := range entries {
		if t.trial {
			s.config.Limits.Breakers.Release(t.payer)
		}
		if certain && s.config.Limits.Meter != nil && t.units > 0 && t.refused == nil {
			s.config.Limits.Meter.Refund(t.payer, t.units, t.at)
		}
	}
}

// paidUp settles a write whose entries the cluster has decided on: an agent pays
// for what its signature has added, the sender for the rest.
func (s *Server) paidUp(a *account, entries []taken, results []EntryResult) {
	if a == nil {
		return
	}
	defer s.closeAccounts(entries)
	for i, t := range entries {
		stored := results[i].Outcome.stored() // what was refused has no outcome
		if t.refused == nil && s.config.Limits.Meter != nil {
			switch {
			case stored && !t.fresh && !t.agent.IsZero() && t.agent != t.payer:
				s.config.Limits.Meter.Move(t.payer, t.agent, t.units, t.at)
			case !stored && t.fresh && t.payer != a.sender:
				s.config.Limits.Meter.Move(t.payer, a.sender, t.units, t.at)
			}
		}
		switch {
		case t.trial && stored:
			s.config.Limits.Breakers.Success(t.payer, s.config.Now())
		case t.trial:
			s.config.Limits.Breakers.Release(t.payer)
		}
	}
}
