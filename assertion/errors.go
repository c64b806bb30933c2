package assertion

import (
	"errors"
	"strings"
)

// The stable codes of Error. A code names one kind of fault and never changes
// its meaning; programs branch on it, people read the rest.
const (
	CodeInvalidJSON                 = "invalid_json"
	CodeUnknownField                = "unknown_field"
	CodeDuplicateField              = "duplicate_field"
	CodeMissingField                = "missing_field"
	CodeInvalidField                = "invalid_field"
	CodeSubjectInvalid              = "subject_invalid"
	CodePredicateInvalid            = "predicate_invalid"
	CodeObjectInvalid               = "object_invalid"
	CodeNumberNotFinite             = "number_not_finite"
	CodeConfidenceOutOfRange        = "confidence_out_of_range"
	CodeSourceClassInvalid          = "source_class_invalid"
	CodeSourceMetadataInvalid       = "source_metadata_invalid"
	CodeLifecycleInvalid            = "lifecycle_invalid"
	CodeVectorInvalid               = "vector_invalid"
	CodeDerivedFromInvalid          = "derived_from_invalid"
	CodeTimestampInFuture           = "timestamp_in_future"
	CodeTooLarge                    = "too_large"
	CodeUnsigned                    = "unsigned"
	CodeTooManySignatures           = "too_many_signatures"
	CodeDuplicateSigner             = "duplicate_signer"
	CodeSignatureInvalid            = "signature_invalid"
	CodeSignatureVersionUnsupported = "signature_version_unsupported"
	CodeSignatureV1Disabled         = "signature_v1_disabled"
	CodeSignatureVersionsMixed      = "signature_versions_mixed"
	CodeHashInvalid                 = "hash_invalid"
	CodeRecordInvalid               = "record_invalid"
	CodeVoteInvalid                 = "vote_invalid"
	CodeEpochInvalid                = "epoch_invalid"
	CodeSupersessionInvalid         = "supersession_invalid"
	CodeEndorsementInvalid          = "endorsement_invalid"
	CodeSourceInvalid               = "source_invalid"
	CodeAliasInvalid                = "alias_invalid"
	CodeAPIKeyInvalid               = "api_key_invalid"
	CodeDecisionInvalid             = "decision_invalid"
)

// Error says why an input was refused: the kind of fault, the field at fault
// as a path in the JSON form ("signatures[2].signature"; empty when the fault
// is in the whole), what was found, and what the caller can do about it.
type Error struct {
	Code   string
	Field  string
	Detail string
	Fix    string
}

// Error returns one sentence: field, finding, remedy.
func (e *Error) Error() string {
	var s strings.Builder
	if e.Field != "" {
		s.WriteString(e.Field)
		s.WriteString(": ")
	}
	s.WriteString(e.Detail)
	if e.Fix != "" {
		s.WriteString("; ")
		s.WriteString(e.Fix)
	}
	return s.String()
}

// under returns the error with its field moved below parent, for faults found
// by code that does not know where its value stands.
func (e *Error) under(parent string) *Error {
	moved := *e
	switch {
	case moved.Field == "":
		moved.Field = parent
	case strings.HasPrefix(moved.Field, "["):
		moved.Field = parent + moved.Field
	default:
		moved.Field = parent + "." + moved.Field
	}
	return &moved
}

// recode gives an error of one code another one.
func recode(err error, from, to string) error {
	var fault *Error
	if errors.As(err, &fault) && fault.Code == from {
		fault.Code = to
	}
	return err
}
