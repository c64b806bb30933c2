package auth

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/stemedb/stemedb/assertion"
)

// PrincipalKind says what a Principal is.
type PrincipalKind uint8

// The kinds. Their numbers are part of the form in which nodes tell each other.
const (
	AgentKind   PrincipalKind = 1 + iota // an agent that proved to be the sender
	KeyKind                              // an API key
	AddressKind                          // where a request comes from
)

// Principal is who is charged for a request and whose breaker its failures
// move. Principals are compared with ==; the zero value is nobody.
type Principal struct {
	kind PrincipalKind
	id   [32]byte // the agent; the key's id, zeros after it; the address, 16 bytes
}

// addressBits is how much of an IPv6 address names its holder: a network of 64
// bits is what one subscriber gets.
const addressBits = 64

var errPrincipal = errors.New("a principal is agent:HEX, key:ID or address:IP")

// AgentPrincipal is an agent.
func AgentPrincipal(agent assertion.AgentID) Principal { return Principal{AgentKind, agent} }

// KeyPrincipal is an API key. Of an id that is longer than a key's can be,
// only the first 32 bytes count.
func KeyPrincipal(id string) Principal {
	p := Principal{kind: KeyKind}
	copy(p.id[:], id)
	return p
}

// AddressPrincipal is the holder of an IP address: the address itself if it is
// an IPv4 one, also if mapped to IPv6, otherwise its /64 network. All addresses
// that are not valid are one principal, that of ::.
func AddressPrincipal(a netip.Addr) Principal {
	a = a.Unmap().WithZone("")
	if !a.IsValid() {
		a = netip.IPv6Unspecified()
	}
	if a.Is6() {
		network, err := a.Prefix(addressBits)
		if err == nil { // 64 bits are possible in every IPv6 address
			a = network.Addr()
		}
	}
	p := Principal{kind: AddressKind}
	b := a.As16()
	copy(p.id[:], b[:])
	return p
}

// Kind is what the principal is, 0 of nobody.
func (p Principal) Kind() PrincipalKind { return p.kind }

// IsZero reports whether the principal is nobody.
func (p Principal) IsZero() bool { return p == Principal{} }

// Agent is the agent that the principal is, if it is one.
func (p Principal) Agent() (agent assertion.AgentID, ok bool) {
	if p.kind != AgentKind {
		return agent, false
	}
	return p.id, true
}

// String is agent:HEX, key:ID or address:IP, "" of nobody. An IPv6 address is
// the first one of its network.
func (p Principal) String() string {
	switch p.kind {
	case AgentKind:
		return "agent:" + assertion.AgentID(p.id).String()
	case KeyKind:
		return "key:" + string(bytes.TrimRight(p.id[:], "\x00"))
	case AddressKind:
		return "address:" + p.address().String()
	}
	return ""
}

func (p Principal) address() netip.Addr { return netip.AddrFrom16([16]byte(p.id[:16])).Unmap() }

// ParsePrincipal reads what String returns; of an IPv6 address, any one of the
// network.
func ParsePrincipal(s string) (Principal, error) {
	kind, rest, _ := strings.Cut(s, ":")
	switch kind {
	case "agent":
		agent, err := assertion.ParseAgentID(rest)
		if err != nil {
			return Principal{}, fmt.Errorf("%w: %w", errPrincipal, err)
		}
		return AgentPrincipal(agent), nil
	case "key":
		p := KeyPrincipal(rest)
		if len(rest) > len(p.id) || !p.valid() {
			return Principal{}, fmt.Errorf("%w: %q is no key's id", errPrincipal, rest)
		}
		return p, nil
	case "address":
		a, err := netip.ParseAddr(rest)
		if err != nil {
			return Principal{}, fmt.Errorf("%w: %w", errPrincipal, err)
		}
		return AddressPrincipal(a), nil
	}
	return Principal{}, errPrincipal
}

// MarshalText implements encoding.TextMarshaler.
func (p Principal) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Principal) UnmarshalText(text []byte) (err error) {
	*p, err = ParsePrincipal(string(text))
	return err
}

// valid reports whether one of the constructors could have made the principal
// of what names it properly.
func (p Principal) valid() bool {
	switch p.kind {
	case AgentKind:
		return true
	case KeyKind:
		id := bytes.TrimRight(p.id[:], "\x00")
		return len(id) > 0 && len(bytes.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789-")) == 0
	case AddressKind:
		return p == AddressPrincipal(p.address())
	}
	return false
}
