package api_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// A backup that breaks off must not look like a whole one: the connection is cut.
func TestABackupThatBreaksOffIsCut(t *testing.T) {
	f := newFixture(t)
	web := httptest.NewServer(f.server)
	defer web.Close()
	get := func() ([]byte, error) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, web.URL+"/v1/cluster/backup", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return nil, err
		}
		defer answer.Body.Close()
		return io.ReadAll(answer.Body)
	}
	if body, err := get(); err != nil || string(body) != "STEM" {
		t.Errorf("a whole backup: %q, %v", body, err)
	}
	f.store.cut = errors.New("the disk is gone")
	if body, err := get(); err == nil {
		t.Errorf("a backup that broke off arrived as %q", body)
	}
}
