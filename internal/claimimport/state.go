package claimimport

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/zeebo/blake3"
)

// state is what a later run may skip.
type state struct {
	Mapping string `json:"mapping"` // fingerprint of what is imported how
	Rows    int    `json:"rows"`    // answered from the first on, without a gap
	Input   string `json:"input"`   // fingerprint of those rows, or of the whole
	path    string
}

// openState reads the state of an earlier run of the same import, which how tells
// from others; there need not be one. Without a path the state is not kept.
func openState(path string, how any) (*state, error) {
	raw, err := json.Marshal(how)
	if err != nil {
		return nil, fmt.Errorf("fingerprint the mapping: %w", err)
	}
	sum := blake3.Sum256(raw)
	fresh := &state{Mapping: fmt.Sprintf("%x", sum[:16]), path: path}
	if path == "" {
		return fresh, nil
	}
	old, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return fresh, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	known := &state{path: path}
	if err := json.Unmarshal(old, known); err != nil {
		return nil, fmt.Errorf("%s is no import state: %w", path, err)
	}
	if known.Mapping != fresh.Mapping {
		return nil, fmt.Errorf("%s belongs to an import with another mapping, or of another export: remove it to import from the beginning", path)
	}
	return known, nil
}

// save replaces the file as a whole.
func (s *state) save() error {
	if s.path == "" {
		return nil
	}
	raw, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("keep the state: %w", err)
	}
	tmp := s.path + ".tmp"
	if err := writeSynced(tmp, raw); err != nil {
		return fmt.Errorf("keep the state: %w", err)
	}
	if err := os.Rename(tmp, s.path); err != nil {
		return fmt.Errorf("keep the state: %w", err)
	}
	return nil
}

// writeSynced leaves no empty file behind a rename when the machine stops.
func writeSynced(path string, raw []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
