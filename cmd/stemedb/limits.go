package main

import (
	"github.com/stemedb/stemedb/api"
	"github.com/stemedb/stemedb/auth"
	"github.com/stemedb/stemedb/internal/settings"
	"github.com/stemedb/stemedb/sync/gossip"
)

// The numbers under which nodes tell each other of limits. They never change
// their meaning.
const (
	shareMeter    = 1
	shareBreakers = 2
	shareLastUsed = 3
)

// limits are what the API holds requests to, and what it remembers of keys, and
// the part of it that the nodes hold together.
type limits struct {
	api      api.Limits
	lastUsed *auth.LastUsed
	shared   map[byte]gossip.Shared
}

func newLimits(s *settings.Server) limits {
	l := limits{api: api.Limits{Work: s.Admission}, lastUsed: auth.NewLastUsed()}
	l.shared = map[byte]gossip.Shared{shareLastUsed: l.lastUsed}
	if s.Meter {
		l.api.Meter = auth.NewMeter()
		l.shared[shareMeter] = l.api.Meter
	}
	if s.Breakers {
		l.api.Breakers = auth.NewBreakers()
		l.shared[shareBreakers] = l.api.Breakers
	}
	return l
}
