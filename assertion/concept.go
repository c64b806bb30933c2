package assertion

import "strings"

// A concept path names an entity by where it stands: scheme://a/b. The scheme
// gives a default source class, and a path contains every path below it.

// SchemeClass returns the default source class of a concept path's or URI's
// scheme: fda, rfc and ietf are Regulatory, peer and pubmed Clinical, code and
// wiki Expert, community is Community, blog and anon are Anecdotal. False means
// that the text is no path or its scheme has no class.
func SchemeClass(path string) (SourceClass, bool) {
	scheme, _, ok := strings.Cut(path, "://")
	if !ok {
		return 0, false
	}
	switch strings.ToLower(scheme) {
	case "fda", "rfc", "ietf":
		return Regulatory, true
	case "peer", "pubmed":
		return Clinical, true
	case "code", "wiki":
		return Expert, true
	case "community":
		return Community, true
	case "blog", "anon":
		return Anecdotal, true
	}
	return 0, false
}

// IsConceptPath reports whether s has the form scheme://a/b: a scheme of
// letters, digits, +, - and . that begins with a letter, and at least one
// segment; no segment is empty.
func IsConceptPath(s string) bool {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || scheme == "" || rest == "" || strings.HasPrefix(rest, "/") || strings.HasSuffix(rest, "/") || strings.Contains(rest, "//") {
		return false
	}
	for i, c := range scheme {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789+-.", c)) {
			return false
		}
	}
	return true
}

// PathContains reports whether the concept path ancestor stands above
// descendant: scheme://a contains scheme://a/b, not itself and not scheme://ab.
func PathContains(ancestor, descendant string) bool {
	return IsConceptPath(ancestor) && IsConceptPath(descendant) &&
		len(descendant) > len(ancestor)+1 && strings.HasPrefix(descendant, ancestor) && descendant[len(ancestor)] == '/'
}

// Alias joins a name to the canonical name of the same entity, or parts them
// again. Subjects under either name are read together.
type Alias struct {
	// Name and Canonical follow the rules of a subject and differ.
	Name      string `json:"alias"`
	Canonical string `json:"canonical"`
	// Removed takes the alias back.
	Removed bool `json:"removed,omitempty"`
}

// DecodeAliasJSON reads the JSON form as strictly as DecodeJSON and normalises
// it. alias and canonical must be there.
func DecodeAliasJSON(b []byte) (*Alias, error) {
	a := new(Alias)
	err := decodeWhole(b, func(r *jsonReader) error {
		return r.fields("an alias", []jsonField{
			{"alias", true, readString(&a.Name)},
			{"canonical", true, readString(&a.Canonical)},
			{"removed", false, readBool(&a.Removed)},
		})
	})
	if err != nil {
		return nil, err
	}
	return a, a.Normalize()
}

// Normalize brings both names to NFC; it fails on what is not UTF-8.
func (a *Alias) Normalize() (err error) {
	if a.Name, err = normalText(a.Name, CodeAliasInvalid, "alias"); err != nil {
		return err
	}
	a.Canonical, err = normalText(a.Canonical, CodeAliasInvalid, "canonical")
	return err
}

// Validate holds a normalised alias to the rules of its fields; the error is an
// *Error with the code alias_invalid.
func (a *Alias) Validate() error {
	if err := checkName(a.Name, CodeAliasInvalid, "alias"); err != nil {
		return err
	}
	if err := checkName(a.Canonical, CodeAliasInvalid, "canonical"); err != nil {
		return err
	}
	if a.Name == a.Canonical {
		return &Error{Code: CodeAliasInvalid, Field: "canonical", Detail: "the same as alias", Fix: "name another one"}
	}
	return nil
}

// MarshalBinary returns the record, [alias, canonical, removed]; the error is
// always nil.
func (a *Alias) MarshalBinary() ([]byte, error) {
	b := appendArray(beginRecord(16+len(a.Name)+len(a.Canonical)), 3)
	b = appendText(b, a.Name)
	b = appendText(b, a.Canonical)
	return appendBool(b, a.Removed), nil
}

// UnmarshalBinary reads a record and accepts only the bytes that MarshalBinary
// writes; the error is an *Error with the code record_invalid.
func (a *Alias) UnmarshalBinary(b []byte) error {
	var decoded Alias
	r, err := openRecord(b)
	if err != nil {
		return err
	}
	r.array(3, 3)
	decoded.Name = r.text()
	decoded.Canonical = r.text()
	decoded.Removed = r.bool()
	if err := r.done(); err != nil {
		return err
	}
	*a = decoded
	return nil
}
