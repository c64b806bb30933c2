package main

import (
	"github.com/stemedb/stemedb/api"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/defense"
)

// inspector lets the API ask the content defence.
type inspector struct{ defense *defense.Defense }

// newInspector is nil if the defence is off.
func newInspector(c defense.Config) (api.Inspector, error) {
	if c.Mode == defense.Off {
		return nil, nil //nolint:nilnil // no inspector is what the operator wants
	}
	d, err := defense.New(c)
	return inspector{d}, err
}

// Inspect implements api.Inspector.
func (i inspector) Inspect(claim *assertion.Assertion, s api.Signer, now uint64) (findings []assertion.Finding, quarantine bool) {
	verdict := i.defense.Inspect(claim, defense.Subject{Agent: s.Agent, Trust: s.Trust, Bound: s.Bound}, now)
	for _, r := range verdict.Reasons {
		if len(findings) < assertion.MaxFindings {
			findings = append(findings, assertion.Finding{Code: string(r.Code), Rule: r.Rule})
		}
	}
	return findings, verdict.Action == defense.Quarantine
}
