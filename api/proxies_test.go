package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stemedb/stemedb/api"
	"github.com/stemedb/stemedb/auth"
)

// Whom limits charge, what logs show and what goes to the store with a write is
// the client that trusted proxies name, and nobody else's word.
func TestClientBehindTrustedProxies(t *testing.T) {
	trust := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("fd00::/8")}
	for name, tc := range map[string]struct {
		remote    string
		forwarded []string
		want      string // as logged
	}{
		"no proxy":                              {"192.0.2.1:1000", nil, "192.0.2.1:1000"},
		"a stranger names another":              {"192.0.2.1:1000", []string{"203.0.113.9"}, "192.0.2.1:1000"},
		"a proxy that names nobody":             {"10.0.0.1:1000", nil, "10.0.0.1"},
		"one proxy":                             {"10.0.0.1:1000", []string{"203.0.113.9"}, "203.0.113.9"},
		"an IPv6 proxy and client":              {"[fd00::1]:1000", []string{"2001:db8::9"}, "2001:db8::9"},
		"an IPv4 proxy mapped to IPv6":          {"[::ffff:10.0.0.1]:1000", []string{"203.0.113.9"}, "203.0.113.9"},
		"two proxies":                           {"10.0.0.1:1000", []string{"203.0.113.9, 10.0.0.2"}, "203.0.113.9"},
		"two proxies, two lines":                {"10.0.0.1:1000", []string{"203.0.113.9", "10.0.0.2"}, "203.0.113.9"},
		"the client made up the beginning":      {"10.0.0.1:1000", []string{"198.51.100.7, 203.0.113.9"}, "203.0.113.9"},
		"the client made up a line":             {"10.0.0.1:1000", []string{"198.51.100.7", "203.0.113.9"}, "203.0.113.9"},
		"the client names a proxy as the first": {"10.0.0.1:1000", []string{"10.0.0.9, 203.0.113.9"}, "203.0.113.9"},
		"all are proxies":                       {"10.0.0.1:1000", []string{"10.0.0.3,10.0.0.2"}, "10.0.0.3"},
		"with a port":                           {"10.0.0.1:1000", []string{"203.0.113.9:4711"}, "203.0.113.9"},
		"IPv6 with a port":                      {"10.0.0.1:1000", []string{"[2001:db8::9]:4711"}, "2001:db8::9"},
		"nonsense":                              {"10.0.0.1:1000", []string{"unknown"}, "10.0.0.1"},
		"nonsense before a proxy":               {"10.0.0.1:1000", []string{"unknown, 10.0.0.2"}, "10.0.0.2"},
		"an empty member":                       {"10.0.0.1:1000", []string{"203.0.113.9,, 10.0.0.2"}, "10.0.0.2"},
		"no address at all":                     {"@", []string{"203.0.113.9"}, "@"},
	} {
		t.Run(name, func(t *testing.T) {
			meter := auth.NewMeter()
			f := newFixture(t, func(c *api.Config) { c.TrustedProxies, c.Limits.Meter = trust, meter })
			send := func(method, target, body string) {
				r := httptest.NewRequest(method, target, strings.NewReader(body))
				r.RemoteAddr = tc.remote
				r.Header["X-Forwarded-For"] = tc.forwarded
				r.Header.Set("Content-Type", "application/json")
				w := httptest.NewRecorder()
				f.server.ServeHTTP(w, r)
				if w.Code/100 != 2 {
					t.Fatalf("%s: %d %s", target, w.Code, w.Body)
				}
			}
			f.log.Reset()
			send(http.MethodGet, "/v1/query?subject=x", "")
			var line struct{ Remote string }
			if err := json.Unmarshal(f.log.Bytes(), &line); err != nil || line.Remote != tc.want {
				t.Errorf("logged %q, want %q (%v)", line.Remote, tc.want, err)
			}
			addr, err := netip.ParseAddr(tc.want)
			if err != nil {
				ap, _ := netip.ParseAddrPort(tc.want)
				addr = ap.Addr()
			}
			// A read without a body costs 5; the second charge shows what is left.
			if q, ok := meter.Charge(auth.AddressPrincipal(addr), 1, auth.BaseQuota, time.Unix(int64(f.now), 0)); !ok || q.Remaining != auth.BaseQuota-5-1 {
				t.Errorf("%s has %d left", addr, q.Remaining)
			}
			send(http.MethodPost, "/v1/assert", text(t, numbered(1, "alice")))
			if got := f.store.callers[len(f.store.callers)-1].RemoteAddr; got != tc.want {
				t.Errorf("the store was told %q, want %q", got, tc.want)
			}
		})
	}
}
