package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
	"github.com/stemedb/stemedb/cmd/pharma-ingest/corpus"
	"github.com/stemedb/stemedb/internal/exitcode"
)

// ingest signs the corpus and sends it. The report is nil if nothing was
// answered; beside an error it holds what was answered before.
func ingest(ctx context.Context, o options) (*report, error) {
	entries, err := corpus.Load(o.withConflicts)
	if err != nil {
		return nil, fmt.Errorf("load the corpus: %w", err)
	}
	if o.dryRun {
		return planned(entries), nil
	}
	claims, err := sign(entries, o.keyring)
	if err != nil {
		return nil, err
	}
	db, err := client.New(o.urls, client.WithAPIKey(o.apiKey))
	if err != nil {
		return nil, err
	}
	defer db.Close()
	answer, err := db.AssertBatch(ctx, claims)
	if answer == nil || err != nil && len(answer.Results) == 0 {
		return nil, err
	}
	r := answered(entries, answer)
	if err == nil && r.Summary.Refused > 0 {
		err = &exitcode.Error{Code: exitRefused, Err: fmt.Errorf("%d of %d claims were refused", r.Summary.Refused, len(entries))}
	}
	return r, err
}

// sign signs every claim with the key of its organisation.
func sign(entries []corpus.Entry, keyring string) ([]*assertion.Assertion, error) {
	keys, err := client.OpenKeyring(keyring)
	if err != nil {
		return nil, err
	}
	now := uint64(time.Now().Unix())
	claims := make([]*assertion.Assertion, len(entries))
	for i, e := range entries {
		key, err := keys.Key(e.Organisation)
		if err != nil {
			return nil, fmt.Errorf("the key of %q: %w", e.Organisation, err)
		}
		e.Claim.Sign(key, now)
		claims[i] = e.Claim
	}
	return claims, nil
}

// asCoded gives an error its exit code, if it has none yet.
func asCoded(err error) error {
	var coded *exitcode.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &coded):
		return &exitcode.Error{Code: coded.Code, Err: err}
	case unavailable(err):
		return &exitcode.Error{Code: exitUnavailable, Err: err}
	}
	return &exitcode.Error{Code: exitError, Err: err}
}

// unavailable tells whether the same run may succeed later: nobody answered, or
// the cluster could take no write.
func unavailable(err error) bool {
	var refusal *client.Error
	if errors.As(err, &refusal) {
		switch refusal.Status {
		case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return true
		}
		return false
	}
	return errors.Is(err, client.ErrUnreachable) && !errors.Is(err, context.Canceled)
}

// answered reports what the cluster said, claim by claim.
func answered(entries []corpus.Entry, answer *v1.BatchResponse) *report {
	r := &report{}
	for i, result := range answer.Results {
		line := lineOf(entries[i], string(result.Status))
		line.Code, line.Field, line.Detail, line.Fix = result.Code, result.Field, result.Detail, result.Fix
		r.add(line)
	}
	return r
}

// planned reports what a run would send.
func planned(entries []corpus.Entry) *report {
	r := &report{}
	for _, e := range entries {
		r.add(lineOf(e, statusPlanned))
	}
	return r
}
