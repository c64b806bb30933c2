package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stemedb/stemedb/api"
	"github.com/stemedb/stemedb/api/v1"
)

const page = "https://app.example.com"

func origins(list ...string) func(*api.Config) {
	return func(c *api.Config) { c.AllowedOrigins = list }
}

func TestPagesOfAllowedOriginsMayRead(t *testing.T) {
	for name, tc := range map[string]struct {
		allowed []string
		origin  string
		want    string
	}{
		"nothing is allowed":        {nil, page, ""},
		"allowed":                   {[]string{"https://other.example", page}, page, page},
		"another":                   {[]string{page}, "https://evil.example", ""},
		"a part of an allowed one":  {[]string{page}, "https://app.example.co", ""},
		"a continuation of one":     {[]string{page}, page + ".evil.example", ""},
		"another scheme":            {[]string{page}, "http://app.example.com", ""},
		"null":                      {[]string{page}, "null", ""},
		"every origin":              {[]string{"*"}, page, "*"},
		"no origin":                 {[]string{page}, "", ""},
		"no origin, every one may":  {[]string{"*"}, "", ""},
		"a pattern is no wild card": {[]string{"https://*.example.com"}, page, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := guarded(t, origins(tc.allowed...))
			headers := []string{"X-API-Key: " + rootSecret}
			if tc.origin != "" {
				headers = append(headers, "Origin: "+tc.origin)
			}
			// A success, a refusal for want of a key, and what is not served.
			for target, h := range map[string][]string{"/v1/lenses": headers, "/v1/query": headers[1:], "/nothing": headers} {
				w := f.do(http.MethodGet, target, "", h...)
				got := w.Header()
				if got.Get("Access-Control-Allow-Origin") != tc.want {
					t.Errorf("%s (%d): allows %q, want %q", target, w.Code, got.Get("Access-Control-Allow-Origin"), tc.want)
				}
				if exposed := got.Get("Access-Control-Expose-Headers"); (tc.want != "") != strings.Contains(exposed, v1.HeaderIndex) {
					t.Errorf("%s: exposes %q", target, exposed)
				}
				if varies := slices.Contains(got.Values("Vary"), "Origin"); varies != (tc.allowed != nil && tc.allowed[0] != "*") {
					t.Errorf("%s: varies by origin: %t", target, varies)
				}
				if got.Get("Access-Control-Allow-Credentials") != "" {
					t.Errorf("%s: credentials are allowed", target)
				}
			}
			if w := f.get("/v1/query"); w.Code != http.StatusUnauthorized {
				t.Errorf("an origin stands for a key: %d", w.Code)
			}
		})
	}
}

func TestPreflightNeedsNoKey(t *testing.T) {
	for origin, want := range map[string]int{page: http.StatusNoContent, "https://evil.example": 0} {
		f := guarded(t, origins(page))
		for _, target := range []string{"/v1/assert", "/v1/keys/abc"} {
			w := f.do(http.MethodOptions, target, "", "Origin: "+origin, "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: x-api-key, content-type")
			got := w.Header()
			if want == 0 {
				if got.Get("Access-Control-Allow-Origin") != "" || got.Get("Access-Control-Allow-Headers") != "" {
					t.Errorf("%s to %s: %v", target, origin, got)
				}
				continue
			}
			if w.Code != want || w.Body.Len() > 0 || got.Get("Access-Control-Allow-Origin") != origin || got.Get("Access-Control-Max-Age") == "" {
				t.Errorf("%s: %d %v", target, w.Code, got)
			}
			for _, method := range []string{"GET", "POST", "PATCH", "DELETE"} {
				if !strings.Contains(got.Get("Access-Control-Allow-Methods"), method) {
					t.Errorf("%s is not allowed", method)
				}
			}
			for _, header := range []string{"Content-Type", "X-API-Key", "Authorization", "X-Agent-Id", "X-PoW-Nonce", "X-PoW-Timestamp", "Last-Event-ID"} {
				if !strings.Contains(got.Get("Access-Control-Allow-Headers"), header) {
					t.Errorf("%s is not allowed", header)
				}
			}
		}
	}
	// What is no preflight is answered as without the setting.
	with, without := guarded(t, origins(page)), guarded(t)
	for _, headers := range [][]string{nil, {"Origin: " + page}, {"Access-Control-Request-Method: POST"}} {
		a, b := with.do(http.MethodOptions, "/v1/assert", "", headers...), without.do(http.MethodOptions, "/v1/assert", "", headers...)
		if a.Code != b.Code || a.Header().Get("Access-Control-Allow-Headers") != "" {
			t.Errorf("%v: %d, without the setting %d", headers, a.Code, b.Code)
		}
	}
}

// Every method that a route takes is among those that a preflight allows.
func TestEveryMethodIsAllowedToPages(t *testing.T) {
	f := newFixture(t, origins(page))
	w := f.do(http.MethodOptions, "/v1/assert", "", "Origin: "+page, "Access-Control-Request-Method: POST")
	for _, r := range f.server.Routes() {
		if !strings.Contains(w.Header().Get("Access-Control-Allow-Methods"), r.Method) {
			t.Errorf("%s %s cannot be used by a page", r.Method, r.Path)
		}
	}
}
