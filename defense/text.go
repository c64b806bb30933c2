package defense

import (
	"strings"

	"github.com/stemedb/stemedb/assertion"
)

// claimText is what a claim says in words.
type claimText struct {
	subject, predicate string
	// object is a Text or a Reference; empty for a number or a boolean.
	object string
	// prose says that object is a Text: a Reference is a name.
	prose bool
	// notes are the names and strings of source_metadata, each ended by \n.
	notes string
}

func readText(a *assertion.Assertion) claimText {
	t := claimText{subject: a.Subject, predicate: a.Predicate}
	if text, ok := a.Object.Text(); ok {
		t.object, t.prose = text, true
	} else if entity, ok := a.Object.Reference(); ok {
		t.object = entity
	}
	if len(a.SourceMetadata) > 0 {
		t.notes = jsonStrings(a.SourceMetadata)
	}
	return t
}

// appendLines appends every part on a line of its own, with a line end before
// the first: a rule knows the start of a part by it.
func (t claimText) appendLines(b []byte) []byte {
	for _, part := range []string{t.subject, t.predicate, t.object, t.notes} {
		b = append(append(b, '\n'), part...)
	}
	return b
}

// jsonStrings returns the member names and the strings of a JSON text in RFC
// 8785 form, each followed by \n. Names count: a reading agent sees them too.
// Control characters but the line end become spaces.
func jsonStrings(raw []byte) string {
	var b strings.Builder
	b.Grow(len(raw))
	inside := false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '"':
			if inside {
				b.WriteByte('\n')
			}
			inside = !inside
		case !inside:
		case c == '\\' && i+1 < len(raw):
			i++
			switch raw[i] {
			case '"', '\\', '/':
				b.WriteByte(raw[i])
			case 'n':
				b.WriteByte('\n')
			case 'u': // RFC 8785 writes only control characters this way
				b.WriteByte(' ')
				i += 4
			default:
				b.WriteByte(' ')
			}
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
