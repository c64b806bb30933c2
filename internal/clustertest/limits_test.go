package clustertest

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
)

func signer(b byte) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = b
	return ed25519.NewKeyFromSeed(seed)
}

// claimOf is the i-th claim of an agent.
func claimOf(t *testing.T, key ed25519.PrivateKey, i int) *assertion.Assertion {
	t.Helper()
	a := Claim(t, i)
	a.SourceHash, a.Signatures = assertion.Hash(assertion.AgentOf(key)), nil
	a.Sign(key, a.Timestamp)
	return a
}

// gauged adds up a metric over the nodes.
func (c *Cluster) gauged(name string) (sum float64) {
	c.t.Helper()
	for _, n := range c.Nodes {
		sum += ScrapeMetrics(c.t, n).Values[name]
	}
	return sum
}

// waitForHour waits until the hour does not end within the next minute: quotas are by
// the hour of the clock.
func (c *Cluster) waitForHour() {
	c.t.Helper()
	c.WaitFor("the hour does not end soon", func() bool { return time.Now().Unix()%3600 < 3600-60 })
}

// An agent that the cluster does not trust floods it, beside one that behaves:
// first without proofs of work, then with made-up ones, then with sound ones
// beyond its quota. It is held off by all nodes together, what they count is
// what it was refused, and the other one is served.
func TestAFloodIsHeldOff(t *testing.T) {
	c := Start(t, Options{Settings: map[string]string{"auth-enabled": "true", "auth-open-metrics": "true", "root-api-key": rootSecret, "trust-interval": "200ms"}})
	root := as(t, rootSecret, c.Nodes[0])
	c.WaitFor("the root key is there", func() bool { _, err := root.APIKeys(t.Context()); return err == nil })
	bad, good := signer(1), signer(2)
	secrets := map[byte]string{}
	for b, key := range map[byte]ed25519.PrivateKey{1: bad, 2: good} {
		agent := assertion.AgentOf(key)
		secrets[b] = c.newKey(root, v1.KeyRequest{Role: assertion.RoleWrite, AgentID: &agent}).Secret
	}
	// The flooder has been wrong, so that it has a tenth of the quota.
	for i := range 4 {
		a := claimOf(t, bad, i)
		stored, err := root.Assert(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := root.SetGold(t.Context(), &assertion.Label{Subject: a.Subject, Predicate: a.Predicate, Object: assertion.Number(-1)}); err != nil {
			t.Fatal(stored, err)
		}
	}
	status := func(n *Node) *v1.AdmissionStatus {
		s, err := as(t, rootSecret, n).AdmissionStatus(t.Context(), assertion.AgentOf(bad))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for _, n := range c.Nodes {
		c.WaitFor(n.Name+" does not trust the flooder", func() bool { return status(n).Tier == "untrusted" })
	}
	clients := map[byte][]*client.Client{}
	for b, secret := range secrets {
		for _, n := range c.Nodes {
			c.WaitFor(n.Name+" knows the keys", func() bool { _, err := as(t, secret, n).Lenses(t.Context()); return err == nil })
			clients[b] = append(clients[b], as(t, secret, n, client.WithAttempts(1)))
		}
	}
	behave := func(from, count int) (took []time.Duration) {
		for i := range count {
			began := time.Now()
			if _, err := clients[2][i%3].Assert(t.Context(), claimOf(t, good, from+i)); err != nil {
				t.Fatalf("the one that behaves: %v", err)
			}
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		return took
	}
	behave(0, 50) // its proofs of work
	alone := behave(50, 200)
	before := map[string]float64{}
	for _, limit := range []string{"work", "breaker", "quota"} {
		before[limit] = c.gauged(`stemedb_limit_refusals_total{limit="` + limit + `"}`)
	}

	// 50 times its quota of 1,000 units, at 11 a claim, and not in an hour but at
	// some 500 a second.
	const flood, flooders, pause = 4545, 6, 2 * time.Millisecond
	claims := make([]*assertion.Assertion, flood)
	for i := range claims {
		claims[i] = claimOf(t, bad, 1000+i)
	}
	madeUp := func() map[string]string { // a proof of work that is none
		return map[string]string{"X-PoW-Nonce": "1", "X-PoW-Timestamp": strconv.FormatInt(time.Now().Unix(), 10)}
	}
	turns := make(chan int)
	codes := map[string]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	ended, end := context.WithCancel(t.Context())
	defer func() { end(); wg.Wait() }() // also if the one that behaves is refused
	wg.Go(func() {
		ticker := time.NewTicker(pause)
		defer ticker.Stop()
		defer close(turns)
		for i := range flood {
			select {
			case <-ticker.C:
			case <-ended.Done():
				return
			}
			turns <- i
		}
	})
	for range flooders {
		wg.Go(func() {
			for i := range turns {
				headers := map[string]string{}
				if i >= flood/20 {
					headers = madeUp()
				}
				code := post(t, c.Nodes[i%3], secrets[1], claims[i], headers)
				mu.Lock()
				codes[code]++
				mu.Unlock()
			}
		})
	}
	beside := behave(250, 400)
	wg.Wait()
	t.Logf("the flood was answered %v", codes)
	t.Logf("the one that behaves: median %v alone, %v beside the flood: × %.2f", alone[100], beside[200], float64(beside[200])/float64(alone[100]))
	if codes[""] > 0 || codes[v1.CodeWorkRequired] == 0 || codes[v1.CodeWorkInvalid] == 0 || codes[v1.CodeCircuitOpen] == 0 {
		t.Errorf("the flood was answered %v", codes)
	}
	for _, n := range c.Nodes {
		c.WaitFor(n.Name+" keeps the flooder out, and its gauge says so", func() bool {
			switch status(n).Breaker {
			case "open":
				return ScrapeMetrics(t, n).Values["stemedb_circuit_breakers_open"] == 1
			case "half_open": // after its time: one more fault opens it again
				codes[post(t, n, secrets[1], claims[0], madeUp())]++
			}
			return false
		})
	}
	refused := func(limit string) float64 {
		return c.gauged(`stemedb_limit_refusals_total{limit="`+limit+`"}`) - before[limit]
	}
	if got, want := refused("work"), codes[v1.CodeWorkRequired]+codes[v1.CodeWorkInvalid]; int(got) != want {
		t.Errorf("the nodes count %v refusals for want of work, the flooder %d", got, want)
	}
	if got := refused("breaker"); int(got) != codes[v1.CodeCircuitOpen] {
		t.Errorf("the nodes count %v refusals by the breaker, the flooder %d", got, codes[v1.CodeCircuitOpen])
	}

	// Reset on one node, it is closed on all; with sound proofs the quota holds, the
	// same on all nodes.
	if _, err := as(t, rootSecret, c.Nodes[2]).ResetCircuitBreaker(t.Context(), assertion.AgentOf(bad).String()); err != nil {
		t.Fatal(err)
	}
	for _, n := range c.Nodes {
		c.WaitFor(n.Name+" lets the flooder in again", func() bool { return status(n).Breaker == "closed" })
	}
	c.waitForHour()
	stored := 0
	var limit error
	for i := 0; limit == nil && i < 1000; i++ {
		if _, limit = clients[1][i%3].Assert(t.Context(), claimOf(t, bad, 10000+i)); limit == nil {
			stored++
		}
	}
	// Each refusal for want of work has cost the body, one unit. Until the nodes have
	// told each other, each grants what it knows to be left.
	t.Logf("%d claims of 11 units fitted into the quota of 1,000", stored)
	if code(t, limit) != v1.CodeQuotaExceeded || stored < 40 || stored > 3*90 {
		t.Errorf("%d claims of 90 at most fitted into the quota, then %v", stored, limit)
	}
	for _, n := range c.Nodes {
		c.WaitFor(n.Name+" knows that the quota is used up", func() bool { return status(n).Quota.Remaining < 11 })
	}
	c.WaitEqual()
}

// post sends a claim without the SDK, and returns the code of the problem, "" if
// it was stored.
func post(t *testing.T, n *Node, secret string, claim *assertion.Assertion, headers map[string]string) string {
	body, err := json.Marshal(claim)
	if err != nil {
		t.Error(err)
		return "unsent"
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, n.URL+"/v1/assert", strings.NewReader(string(body)))
	if err != nil {
		t.Error(err)
		return "unsent"
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-API-Key", secret)
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Error(err)
		return "unanswered"
	}
	defer answer.Body.Close()
	var problem v1.Problem
	if answer.StatusCode >= 300 {
		if err := json.NewDecoder(answer.Body).Decode(&problem); err != nil {
			t.Error(err)
		}
	}
	return problem.Code
}

// A proof of work that one node has taken is refused by every other, also if
// both are asked at once.
func TestAProofCountsOnceInTheCluster(t *testing.T) {
	c := Start(t, Options{Settings: map[string]string{"admission-enabled": "true"}})
	codes, agent := make([]string, 9), byte(3)
	c.WaitFor("a proof is answered while the cluster has a leader", func() bool {
		key := signer(agent)
		agent++
		work, err := assertion.SolveWork(t.Context(), assertion.AgentOf(key), uint64(time.Now().Unix()), 16)
		if err != nil {
			t.Fatal(err)
		}
		headers := map[string]string{"X-PoW-Nonce": strconv.FormatUint(work.Nonce, 10), "X-PoW-Timestamp": strconv.FormatUint(work.Timestamp, 10)}
		var wg sync.WaitGroup
		for i := range codes {
			wg.Go(func() { codes[i] = post(t, c.Nodes[i%3], "", claimOf(t, key, i), headers) })
		}
		wg.Wait()
		return !slices.Contains(codes, v1.CodeNoLeader) && !slices.Contains(codes, v1.CodeOutcomeUnknown)
	})
	stored, reused := 0, 0
	for _, code := range codes {
		switch code {
		case "":
			stored++
		case v1.CodeWorkReused:
			reused++
		}
	}
	if stored != 1 || reused != len(codes)-1 {
		t.Errorf("one proof sent to three nodes at once: %q", codes)
	}
	c.WaitEqual()
}
