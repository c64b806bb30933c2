package client

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stemedb/stemedb/assertion"
)

func TestKeyringMakesEachKeyOnce(t *testing.T) {
	dir := t.TempDir()
	k, err := OpenKeyring(dir)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	keys := make([]assertion.AgentID, 8)
	for i := range keys {
		wg.Go(func() {
			key, err := k.Key("Ärzte / Zürich")
			if err != nil {
				t.Error(err)
				return
			}
			keys[i] = assertion.AgentOf(key)
		})
	}
	wg.Wait()
	for _, id := range keys {
		if id != keys[0] {
			t.Fatal("one name has two keys")
		}
	}
	other, err := k.Key("Ärzte - Zürich")
	if err != nil || assertion.AgentOf(other) == keys[0] {
		t.Errorf("two names share a key (%v)", err)
	}
	info, err := os.Stat(k.Path("Ärzte / Zürich"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v, %v, want mode 0600", info, err)
	}
	if err := SaveKey(k.Path("Ärzte / Zürich"), other); err == nil {
		t.Error("an existing key was overwritten")
	}
}

func TestTheKeyringListsNames(t *testing.T) {
	k, err := OpenKeyring(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"", "-----BEGIN PRIVATE KEY-----\n", "a", "Zürich \"quoted\"", "\xff"}
	for _, name := range want[1:] {
		if _, err := k.Key(name); err != nil {
			t.Fatal(err)
		}
	}
	own, err := GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	if err := SaveKey(filepath.Join(k.dir, "own.pem"), own); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(k.dir, "README"), []byte("keys"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := k.List()
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("%d entries, want %d: %+v", len(got), len(want), got)
	}
	for _, name := range want {
		found := false
		for _, e := range got {
			if e.Name != name {
				continue
			}
			found = true
			key, err := k.Key(name)
			if name == "" {
				key, err = own, nil
			}
			if err != nil || assertion.AgentOf(key) != e.AgentID {
				t.Errorf("the key of %q is listed as %s (%v)", name, e.AgentID, err)
			}
		}
		if !found {
			t.Errorf("no entry for %q", name)
		}
	}
}

func TestADamagedKeyFileIsAnErrorAndStays(t *testing.T) {
	k, err := OpenKeyring(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	path := k.Path("x")
	for _, text := range []string{"", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := k.Key("x"); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("got %v, want an error that names the file", err)
		}
		if raw, err := os.ReadFile(path); err != nil || string(raw) != text {
			t.Errorf("the file was changed to %q (%v)", raw, err)
		}
	}
}
