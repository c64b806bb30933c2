package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/auth"
)

// strictBody reads a JSON body and refuses fields that it does not know.
func strictBody(c echo.Context, into any) error {
	if _, err := mediaType(c.Request(), v1.MediaJSON); err != nil {
		return err
	}
	body, err := readBody(c, v1.MaxAssertBytes)
	if err != nil {
		return err
	}
	if err := assertion.CheckPlainJSON(body); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err = d.Decode(into)
	var refused *assertion.Error
	if err == nil || errors.As(err, &refused) {
		return err
	}
	return &fault{code: assertion.CodeInvalidJSON, detail: err.Error(), fix: "send a JSON object with the fields that /docs lists"}
}

// listKeys is GET /v1/keys.
func (s *Server) listKeys(c echo.Context) error {
	ctx, cancel := s.bounded(c)
	defer cancel()
	keys, index, err := s.readKeys(ctx, Consistency{})
	if err != nil {
		return err
	}
	out := v1.KeysResponse{Keys: make([]v1.Key, len(keys)), Index: index}
	for i, k := range keys {
		out.Keys[i] = s.shown(k)
	}
	setIndex(c, index)
	return s.ok(c, out)
}

func (s *Server) shown(k *assertion.APIKey) v1.Key {
	return v1.Key{APIKey: *k, LastUsedAt: s.config.LastUsed.At(k.ID)}
}

// createKey is POST /v1/keys.
func (s *Server) createKey(c echo.Context) error {
	var want v1.KeyRequest
	if err := strictBody(c, &want); err != nil {
		return err
	}
	id, err := auth.NewID()
	if err != nil {
		return err
	}
	secret, err := auth.NewSecret(id)
	if err != nil {
		return err
	}
	key := &assertion.APIKey{ID: id, Revision: 1, Name: want.Name, Role: want.Role, Secret: auth.HashSecret(secret), CreatedAt: s.now(),
		ExpiresAt: want.ExpiresAt, AgentID: want.AgentID, SubjectPrefix: want.SubjectPrefix, RatePerSecond: want.RatePerSecond, QuotaPerHour: want.QuotaPerHour}
	index, err := s.storeKey(c, key)
	if err != nil {
		return err
	}
	return s.answer(c, http.StatusCreated, v1.MediaJSON, v1.KeySecret{Key: s.shown(key), Secret: secret, Index: index})
}

// updateKey is PATCH /v1/keys/:id.
func (s *Server) updateKey(c echo.Context) error {
	var want v1.KeyUpdate
	if err := strictBody(c, &want); err != nil {
		return err
	}
	return s.changeKey(c, func(key *assertion.APIKey) {
		set(&key.Name, want.Name)
		set(&key.Role, want.Role)
		set(&key.ExpiresAt, want.ExpiresAt)
		set(&key.RatePerSecond, want.RatePerSecond)
		set(&key.QuotaPerHour, want.QuotaPerHour)
	})
}

func set[T any](into, value *T) {
	if value != nil {
		*into = *value
	}
}

// revokeKey is DELETE /v1/keys/:id. A key that is revoked stays so.
func (s *Server) revokeKey(c echo.Context) error {
	return s.changeKey(c, func(key *assertion.APIKey) { key.Revoked = true })
}

// changeKey stores a changed state of a key and answers it.
func (s *Server) changeKey(c echo.Context, change func(*assertion.APIKey)) error {
	key, err := s.currentKey(c)
	if err != nil {
		return err
	}
	change(key)
	if err := s.keepAnAdmin(c, key); err != nil {
		return err
	}
	index, err := s.storeKey(c, key)
	if err != nil {
		return err
	}
	return s.ok(c, v1.KeyResponse{Key: s.shown(key), Index: index})
}

// keepAnAdmin refuses to take the role or the validity from the last admin key
// that does not expire: nothing would bring one back.
func (s *Server) keepAnAdmin(c echo.Context, changed *assertion.APIKey) error {
	keeps := func(k *assertion.APIKey) bool { return k.Role == assertion.RoleAdmin && !k.Revoked && k.ExpiresAt == 0 }
	if keeps(changed) {
		return nil
	}
	ctx, cancel := s.bounded(c)
	defer cancel()
	keys, _, err := s.readKeys(ctx, Consistency{})
	if err != nil {
		return err
	}
	was := false
	for _, k := range keys {
		if k.ID == changed.ID {
			was = keeps(k)
		} else if keeps(k) {
			return nil
		}
	}
	if !was {
		return nil
	}
	return &fault{code: v1.CodeKeyConflict, field: "id", detail: "this is the last admin key that does not expire", fix: "create another one first"}
}

// rotateKey is POST /v1/keys/:id/rotate.
func (s *Server) rotateKey(c echo.Context) error {
	var want v1.KeyRotation
	if err := strictBody(c, &want); err != nil {
		return err
	}
	if want.OverlapSeconds > v1.MaxKeyOverlap {
		return &fault{code: assertion.CodeAPIKeyInvalid, field: "overlap_seconds", detail: fmt.Sprintf("more than %d", v1.MaxKeyOverlap), fix: "let the old secret end within 30 days"}
	}
	key, err := s.currentKey(c)
	if err != nil {
		return err
	}
	secret, err := auth.NewSecret(key.ID)
	if err != nil {
		return err
	}
	previous := key.Secret
	key.Secret, key.Previous, key.PreviousUntil = auth.HashSecret(secret), nil, 0
	if want.OverlapSeconds > 0 {
		key.Previous, key.PreviousUntil = &previous, s.now()+want.OverlapSeconds
	}
	index, err := s.storeKey(c, key)
	if err != nil {
		return err
	}
	return s.ok(c, v1.KeySecret{Key: s.shown(key), Secret: secret, Index: index})
}

// currentKey is the key in the path with the revision of its next state.
func (s *Server) currentKey(c echo.Context) (*assertion.APIKey, error) {
	ctx, cancel := s.bounded(c)
	defer cancel()
	keys, _, err := s.readKeys(ctx, Consistency{})
	if err != nil {
		return nil, err
	}
	id := c.Param("id")
	for _, k := range keys {
		if k.ID != id {
			continue
		}
		if k.Revoked {
			return nil, &fault{code: v1.CodeKeyConflict, field: "id", detail: fmt.Sprintf("the key %s was revoked, for good", id), fix: "create a new key"}
		}
		next := *k
		next.Revision++
		return &next, nil
	}
	return nil, &fault{code: v1.CodeNotFound, field: "id", detail: "there is no API key of this id", fix: "list them with GET /v1/keys"}
}

// storeKey makes a state of a key the cluster's, and this node's.
func (s *Server) storeKey(c echo.Context, key *assertion.APIKey) (index uint64, err error) {
	if err := key.Validate(); err != nil {
		return 0, err
	}
	if key.ExpiresAt != 0 && key.ExpiresAt <= s.now() && !key.Revoked {
		return 0, &fault{code: assertion.CodeAPIKeyInvalid, field: "expires_at", detail: "that time has passed", fix: "give a time ahead, or revoke the key"}
	}
	store, err := s.store()
	if err != nil {
		return 0, err
	}
	result, err := s.write(c, store, []assertion.Entry{key})
	if err != nil {
		return 0, err
	}
	if result.Results[0].Outcome == Outdated {
		return 0, &fault{code: v1.CodeKeyConflict, field: "id", detail: "the key was changed meanwhile", fix: "look at it again, then repeat the change"}
	}
	ctx, cancel := s.bounded(c)
	defer cancel()
	if err := store.WaitApplied(ctx, result.Index); err != nil {
		return 0, err
	}
	s.gate.held.Store(nil) // the next request here meets the change
	setIndex(c, result.Index)
	return result.Index, nil
}
