package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
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
// A request is charged to an agent only if it proves to be the agent's: by an
// API key that is bound to the agent, or by its valid signature on something
// that is not stored yet, since what is stored anybody can send again. All else
// is charged to the API key, or to the address of a request without one. So
// nobody uses up another's quota or opens another's breaker.
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

// accountKey is where openAccount leaves the account in the echo.Context, and
// bodyLenKey where readBody leaves the length of the body.
const (
	accountKey = "account"
	bodyLenKey = "body_len"
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
	units := auth.QueryCost(1+strings.Count(c.QueryParam("lens"), ",")) + auth.BodyCost(max(c.Request().ContentLength, 0))
	if _, err := s.charge(c.Request().Context(), c, a.sender, units); err != nil {
		s.failed(a.sender, auth.OverQuota)
		return err
	}
	return nil
}

// failed tells the breaker of a principal of a failure.
func (s *Server) failed(p auth.Principal, reason auth.Reason) {
	if s.config.Limits.Breakers != nil {
		s.config.Limits.Breakers.Failure(p, reason, s.config.Now())
	}
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
	if s.config.Limits.Breakers == nil {
		return nil
	}
	wait, ok := s.config.Limits.Breakers.Allow(p, s.config.Now())
	if ok {
		return nil
	}
	s.metrics.refusals.WithLabelValues(refusedByBreaker).Inc()
	return &fault{code: v1.CodeCircuitOpen, detail: fmt.Sprintf("too many requests of %s failed: it is kept out for a while", p),
		fix: "wait for Retry-After, and mend what was refused before", retryAfter: seconds(wait)}
}

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
	return auth.TierOf(overallTrust(standing.scores, agent)).Quota(), nil
}

// overallTrust is the trust in an agent whatever the predicate.
func overallTrust(scores *trust.Scores, agent assertion.AgentID) float64 {
	return scores.Trust(agent, "").Value
}

// settle tells the sender's breaker how the request went.
func (s *Server) settle(c echo.Context, demand auth.Access, err error) {
	a := accountOf(c)
	if a == nil || s.config.Limits.Breakers == nil {
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
		s.config.Limits.Breakers.Failure(a.sender, reason, s.config.Now())
	case status < http.StatusInternalServerError && status != http.StatusTooManyRequests:
		s.config.Limits.Breakers.Success(a.sender, s.config.Now())
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
	payer auth.Principal
	// proved says that the payer is the agent whose entry it is for sure.
	proved bool
	units  uint64
	at     time.Time
	// work says that the entry rests on the request's proof of work.
	work bool
	// admission is what the log entry must say beside it.
	admission assertion.Admission
	// refused is why it was not let in.
	refused error
}

// takeIn decides which entries of a write are let in, and charges them. An error
// refuses the whole request; the sender then has not been charged.
func (s *Server) takeIn(ctx context.Context, c echo.Context, entries []assertion.Entry) ([]taken, error) {
	a := accountOf(c)
	out := make([]taken, len(entries))
	if a == nil || s.config.Limits == (Limits{}) {
		return out, nil
	}
	demand, err := s.demandWork(ctx, a, entries, out)
	if err != nil {
		return nil, err
	}
	work, err := s.provedWork(c, demand)
	if err != nil {
		return nil, err
	}
	size, _ := c.Get(bodyLenKey).(int64)
	body := auth.BodyCost(size / int64(len(entries)))
	passed := map[auth.Principal]error{a.sender: nil}
	part := uint16(0)
	for i := range out {
		t := &out[i]
		if _, asked := passed[t.payer]; !asked {
			passed[t.payer] = s.passBreaker(t.payer)
		}
		if t.refused = passed[t.payer]; t.refused != nil {
			continue
		}
		t.units = cost(entries[i]) + body
		if t.at, t.refused = s.charge(ctx, c, t.payer, t.units); t.refused != nil {
			if t.proved || t.payer == a.sender {
				s.failed(t.payer, auth.OverQuota)
			}
			continue
		}
		if t.work {
			t.admission.Work, t.admission.Part = work, part
			part++
		}
	}
	return out, nil
}

// cost is what storing an entry costs, but for its body.
func cost(e assertion.Entry) uint64 {
	if e.Kind() == assertion.KindVote {
		return auth.CostVote
	}
	return auth.CostAssert
}

// refund gives back what was charged for entries of which none was stored.
func (s *Server) refund(entries []taken) {
	for _, t := range entries {
		if s.config.Limits.Meter != nil && t.units > 0 && t.refused == nil {
			s.config.Limits.Meter.Refund(t.payer, t.units, t.at)
		}
	}
}

// paidUp sums up a write whose entries the cluster has decided on: what turned
// out to be a repetition is charged to who sent it.
func (s *Server) paidUp(a *account, entries []taken, results []EntryResult) {
	if a == nil {
		return
	}
	for i, t := range entries {
		if t.payer == a.sender || t.payer.IsZero() {
			continue
		}
		switch results[i].Outcome {
		case Exists:
			if s.config.Limits.Meter != nil {
				s.config.Limits.Meter.Move(t.payer, a.sender, t.units, t.at)
			}
		case Created, Cosigned, Quarantined:
			if s.config.Limits.Breakers != nil {
				s.config.Limits.Breakers.Success(t.payer, s.config.Now())
			}
		}
	}
}
