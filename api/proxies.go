package api

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// clientAddr is the address that a request is from, and how logs show it. That
// is the other end of the connection, or, if that is a trusted proxy, whom the
// proxies name in X-Forwarded-For: each appends who it was called by, so the
// list is read from its end, up to the first that is no trusted proxy. What
// stands before that, a client may have made up.
func (s *Server) clientAddr(r *http.Request) (netip.Addr, string) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil { // what is no address is one principal
		return netip.Addr{}, r.RemoteAddr
	}
	client := peer.Addr().Unmap()
	if !s.trusts(client) {
		return client, r.RemoteAddr
	}
	for _, line := range slices.Backward(r.Header["X-Forwarded-For"]) {
		for line != "" {
			cut := strings.LastIndexByte(line, ',')
			named, ok := parseForwarded(line[cut+1:])
			if !ok {
				return client, client.String()
			}
			client = named
			if !s.trusts(client) {
				return client, client.String()
			}
			line = line[:max(cut, 0)]
		}
	}
	return client, client.String()
}

func (s *Server) trusts(addr netip.Addr) bool {
	return slices.ContainsFunc(s.config.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// parseForwarded reads one member of X-Forwarded-For; some proxies add the port.
func parseForwarded(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	addr, err := netip.ParseAddr(text)
	if err != nil {
		withPort, err := netip.ParseAddrPort(text)
		if err != nil {
			return netip.Addr{}, false
		}
		addr = withPort.Addr()
	}
	return addr.WithZone("").Unmap(), true
}
