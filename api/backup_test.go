package api_test

import (
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stemedb/stemedb/assertion"
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

// restoreBody is the body of a restore: claims as a backup holds them, signed or
// with a signature that is wrong.
func restoreBody(t *testing.T, good bool, claims ...*assertion.Assertion) string {
	t.Helper()
	var body []byte
	for _, a := range claims {
		a = signed(a, "alice")
		if !good {
			a.Signatures[0].Signature[0] ^= 1
		}
		record, err := assertion.AppendEntry(nil, a)
		if err != nil {
			t.Fatal(err)
		}
		body = binary.BigEndian.AppendUint32(body, uint32(len(record)))
		body = append(body, record...)
	}
	return string(body)
}
