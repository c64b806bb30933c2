package api_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stemedb/stemedb/api"
	"github.com/stemedb/stemedb/api/v1"
)

// The documented way to sign without a library works against the real routes.
// It may be skipped only where the tools that it shows are missing, which CI's
// machine must not be.
func TestSigningWithCurlAndOpenSSL(t *testing.T) {
	for _, tool := range []string{"bash", "curl", "openssl"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
	f := newFixture(t, func(c *api.Config) { c.Now = time.Now }) // the script stamps the claim with the time of day
	server := httptest.NewServer(f.server)
	defer server.Close()
	out, err := exec.Command("bash", "../docs/examples/sign-with-openssl.sh", server.URL).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	got := read[v1.QueryResponse](t, f.get("/v1/query?"+question), http.StatusOK)
	if len(got.Assertions) != 1 || got.Assertions[0].SignatureVersion != 2 {
		t.Errorf("stored: %+v", got.Assertions)
	}
}
