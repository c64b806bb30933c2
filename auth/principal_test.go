package auth_test

import (
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/auth"
)

func TestAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.7":                    "address:192.0.2.7",
		"::ffff:192.0.2.7":             "address:192.0.2.7",
		"2001:db8:1:2:3:4:5:6":         "address:2001:db8:1:2::",
		"2001:db8:1:2:ffff::":          "address:2001:db8:1:2::",
		"fe80::1%eth0":                 "address:fe80::",
		"2001:db8:1:3::":               "address:2001:db8:1:3::",
		"0.0.0.0":                      "address:0.0.0.0",
		"::1":                          "address:::",
		"not an address, so the zero ": "address:::",
	} {
		a, _ := netip.ParseAddr(address)
		if got := auth.AddressPrincipal(a).String(); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}

func TestPrincipalsAreParsed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := anyPrincipal().Draw(t, "principal")
		text, err := p.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back auth.Principal
		if err := back.UnmarshalText(text); err != nil || back != p || back.IsZero() || back.Kind() == 0 {
			t.Fatalf("%s became %s, %v", p, back, err)
		}
		agent, ok := back.Agent()
		if ok != (back.Kind() == auth.AgentKind) || ok && auth.AgentPrincipal(agent) != p {
			t.Fatalf("the agent of %s is %s, %t", p, agent, ok)
		}
	})
	for _, bad := range []string{
		"", "agent", "agent:", "agent:00", "agent:" + strings.Repeat("g", 64), "key:", "key:UPPER", "key:with space", "key:" + strings.Repeat("a", 33),
		"key:a\x00b", "address:", "address:nowhere", "address:1.2.3.4:5", "user:x",
	} {
		if p, err := auth.ParsePrincipal(bad); err == nil || !p.IsZero() || p.String() != "" {
			t.Errorf("%q: %s, %v", bad, p, err)
		}
	}
}

func anyPrincipal() *rapid.Generator[auth.Principal] {
	return rapid.Custom(func(t *rapid.T) auth.Principal {
		switch rapid.IntRange(1, 3).Draw(t, "kind") {
		case 1:
			return auth.AgentPrincipal(assertion.AgentID(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "agent")))
		case 2:
			return auth.KeyPrincipal(rapid.StringMatching(`[a-z0-9-]{1,32}`).Draw(t, "key"))
		}
		a, _ := netip.AddrFromSlice(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "address"))
		if rapid.Bool().Draw(t, "v4") {
			a = netip.AddrFrom4([4]byte(a.AsSlice()[:4]))
		}
		return auth.AddressPrincipal(a)
	})
}
