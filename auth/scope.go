package auth

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stemedb/stemedb/assertion"
)

// ErrOutOfScope means that the holder of a key has the role, but may not do
// this with it: the key is bound to an agent or restricted to some subjects.
var ErrOutOfScope = errors.New("outside of what the API key may do")

// CheckEntry refuses an entry that the holder of a key may not store: a bound
// key's must be signed by its agent (the description of a source needs no
// signature), a restricted key's must be a claim on one
// of its subjects. The error wraps ErrOutOfScope.
func CheckEntry(k *assertion.APIKey, e assertion.Entry) error {
	if k.AgentID != nil && e.Kind() != assertion.KindSource && !slices.Contains(Signers(e), *k.AgentID) {
		return fmt.Errorf("%w: the key %s is bound to the agent %s, which did not sign", ErrOutOfScope, k.ID, k.AgentID)
	}
	if k.SubjectPrefix == "" {
		return nil
	}
	claim, ok := e.(*assertion.Assertion)
	if !ok {
		return fmt.Errorf("%w: the key %s stores only claims on subjects that begin with %q, no %s", ErrOutOfScope, k.ID, k.SubjectPrefix, e.Kind())
	}
	return CheckSubject(k, claim.Subject)
}

// CheckSubject refuses a subject, or a prefix of subjects, that is not wholly in
// the scope of a key. The error wraps ErrOutOfScope.
func CheckSubject(k *assertion.APIKey, subject string) error {
	if strings.HasPrefix(subject, k.SubjectPrefix) {
		return nil
	}
	return fmt.Errorf("%w: the key %s is restricted to subjects that begin with %q", ErrOutOfScope, k.ID, k.SubjectPrefix)
}

// Signers are the agents that signed an entry; none of what needs no signature.
func Signers(e assertion.Entry) []assertion.AgentID {
	switch e := e.(type) {
	case *assertion.Assertion:
		agents := make([]assertion.AgentID, len(e.Signatures))
		for i := range e.Signatures {
			agents[i] = e.Signatures[i].AgentID
		}
		return agents
	case *assertion.Vote:
		return []assertion.AgentID{e.AgentID}
	case *assertion.Epoch:
		return []assertion.AgentID{e.AgentID}
	case *assertion.Supersession:
		return []assertion.AgentID{e.AgentID}
	case *assertion.Endorsement:
		return []assertion.AgentID{e.AgentID}
	}
	return nil
}
