package node

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/auth"
	"github.com/stemedb/stemedb/sync/gossip"
)

// frozen is something shared at one time, so that no hour ends during a test.
type frozen struct {
	gossip.Shared
	now time.Time
}

func (f frozen) Changes(_ time.Time, limit int) []byte { return f.Shared.Changes(f.now, limit) }
func (f frozen) State(_ time.Time, limit int) []byte   { return f.Shared.State(f.now, limit) }
func (f frozen) Merge(_ time.Time, message []byte) error {
	return f.Shared.Merge(f.now, message)
}

func TestUsageAndBreakersAreSharedByAllNodes(t *testing.T) {
	// memberlist does not wait for a probe that is under way; it ends by itself.
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent(), goleak.IgnoreTopFunction("github.com/hashicorp/memberlist.(*Memberlist).probeNode"))
	now := time.Unix(500_000*3600, 0)
	meters, breakers := make([]*auth.Meter, 4), make([]*auth.Breakers, 4)
	share := func(i int, cfg *Config) {
		meters[i], breakers[i] = auth.NewMeter(), auth.NewBreakers()
		cfg.Shared = map[byte]gossip.Shared{1: frozen{meters[i], now}, 2: frozen{breakers[i], now}}
	}
	c := startCluster(t, 3, share)
	defer c.stop()
	p, q := auth.AgentPrincipal(assertion.AgentID{1}), auth.KeyPrincipal("q")

	meters[0].Charge(p, 100, 1000, now)
	meters[1].Charge(p, 30, 1000, now)
	waitFor(t, func() bool {
		for _, m := range meters[:3] {
			if m.Quota(p, 1000, now).Remaining != 870 {
				return false
			}
		}
		return true
	})

	state := func(i int, p auth.Principal) auth.BreakerState {
		for _, b := range breakers[i].List(now) {
			if b.Principal == p {
				return b.State
			}
		}
		return auth.Closed
	}
	for _, who := range []auth.Principal{p, q} {
		for range 3 {
			breakers[0].Failure(who, auth.InvalidSignature, now)
		}
		for range 2 {
			breakers[1].Failure(who, auth.BadWork, now)
		}
	}
	everywhere := func(nodes int, who auth.Principal, want auth.BreakerState) {
		t.Helper()
		waitFor(t, func() bool {
			for i := range nodes {
				if state(i, who) != want {
					return false
				}
			}
			return true
		})
	}
	everywhere(3, p, auth.Open)
	everywhere(3, q, auth.Open)
	if !breakers[2].Reset(p, now) {
		t.Error("there was nothing to reset")
	}
	everywhere(3, p, auth.Closed)

	// Who joins later learns what was told before.
	c.add(func(cfg *Config) {
		cfg.BootstrapExpect = 3
		share(3, cfg)
	})
	c.waitReady()
	everywhere(4, q, auth.Open)
	everywhere(4, p, auth.Closed)
	waitFor(t, func() bool { return meters[3].Quota(p, 1000, now).Remaining == 870 })
}
