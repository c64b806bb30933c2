package claimimport

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/internal/unixtime"
)

// Mapping says which column becomes what. A part that does not vary is given
// itself instead of a column.
type Mapping struct {
	// SubjectColumn holds the subject.
	SubjectColumn string `yaml:"subject_column"`
	// ValueColumns become one claim each: the predicate is the column's name,
	// the object its value.
	ValueColumns []string `yaml:"value_columns"`
	// PredicateColumn or Predicate with ObjectColumn make one claim a row
	// instead.
	PredicateColumn string `yaml:"predicate_column"`
	Predicate       string `yaml:"predicate"`
	ObjectColumn    string `yaml:"object_column"`
	// SourceColumn or Source names the source, which signs and whose BLAKE3
	// hash is the source_hash.
	SourceColumn string `yaml:"source_column"`
	Source       string `yaml:"source"`
	// SourceClassColumn or SourceClass.
	SourceClassColumn string `yaml:"source_class_column"`
	SourceClass       string `yaml:"source_class"`
	// ConfidenceColumn or Confidence, 0 to 1.
	ConfidenceColumn string  `yaml:"confidence_column"`
	Confidence       float64 `yaml:"confidence"`
	// TimestampColumn or Timestamp: unix seconds or RFC 3339.
	TimestampColumn string `yaml:"timestamp_column"`
	Timestamp       string `yaml:"timestamp"`
	// ObjectType is text, number, boolean, reference, or auto: a number if it is
	// written as JSON writes one (so that 007 and NaN stay texts), then true or
	// false, else text.
	ObjectType string `yaml:"object_type"`
	// NullPattern matches values that say nothing; empty ones never do.
	NullPattern string `yaml:"null_pattern"`
	// Normalize rewrites values: PATTERN or PATTERN=TEMPLATE. The first match of
	// the pattern in a value is expanded by the template, which replaces the whole
	// value; without a template the match itself does. A value without a match
	// stays.
	Normalize []string `yaml:"normalize"`
}

// LoadMapping reads a mapping from a YAML file. Unknown keys are errors.
func LoadMapping(path string) (Mapping, error) {
	var m Mapping
	f, err := os.Open(path)
	if err != nil {
		return m, fmt.Errorf("read the mapping: %w", err)
	}
	defer f.Close()
	d := yaml.NewDecoder(f)
	d.KnownFields(true)
	if err := d.Decode(&m); err != nil {
		return m, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// statement is one claim that every row makes.
type statement struct {
	predicate string // if there is no predicateColumn
	predicateColumn,
	column string
}

// rule is a compiled normalisation.
type rule struct {
	pattern  *regexp.Regexp
	template string
}

// Mapper applies a mapping.
type Mapper struct {
	mapping    Mapping
	statements []statement
	null       *regexp.Regexp
	rules      []rule
	class      assertion.SourceClass
	timestamp  uint64
	object     func(string) (assertion.ObjectValue, error)
}

// NewMapper checks a mapping. The error says which part is missing or wrong.
func NewMapper(m Mapping) (*Mapper, error) {
	c := &Mapper{mapping: m, class: assertion.Anecdotal}
	switch {
	case m.SubjectColumn == "":
		return nil, fmt.Errorf("the mapping names no subject column")
	case len(m.ValueColumns) == 0 && m.ObjectColumn == "":
		return nil, fmt.Errorf("the mapping names neither value columns nor an object column")
	case len(m.ValueColumns) > 0 && m.ObjectColumn != "":
		return nil, fmt.Errorf("the mapping names both value columns and an object column")
	case m.ObjectColumn != "" && m.PredicateColumn == "" && m.Predicate == "":
		return nil, fmt.Errorf("an object column needs a predicate column, or a predicate for all")
	case m.SourceColumn == "" && m.Source == "":
		return nil, fmt.Errorf("the mapping names neither a source column nor a source for all")
	case m.TimestampColumn == "" && m.Timestamp == "":
		return nil, fmt.Errorf("the mapping names neither a timestamp column nor a timestamp for all: without one the claims would differ at each import")
	}
	var err error
	if m.NullPattern != "" {
		if c.null, err = regexp.Compile(m.NullPattern); err != nil {
			return nil, fmt.Errorf("null pattern: %w", err)
		}
	}
	for _, text := range m.Normalize {
		r, err := parseRule(text)
		if err != nil {
			return nil, err
		}
		c.rules = append(c.rules, r)
	}
	if m.SourceClass != "" {
		if c.class, err = assertion.ParseSourceClass(m.SourceClass); err != nil {
			return nil, err
		}
	}
	if m.Timestamp != "" {
		if c.timestamp, err = unixtime.Parse(m.Timestamp); err != nil {
			return nil, err
		}
	}
	if c.object, err = objectParser(m.ObjectType); err != nil {
		return nil, err
	}
	for _, column := range m.ValueColumns {
		c.statements = append(c.statements, statement{predicate: column, column: column})
	}
	if m.ObjectColumn != "" {
		c.statements = append(c.statements, statement{m.Predicate, m.PredicateColumn, m.ObjectColumn})
	}
	return c, nil
}

// valueColumns are the columns of objects.
func (c *Mapper) valueColumns() []string {
	var columns []string
	for _, s := range c.statements {
		columns = append(columns, s.column)
	}
	return columns
}

// check compares the mapping with the columns that every row has.
func (c *Mapper) check(header []string) error {
	m := &c.mapping
	for _, column := range append(c.valueColumns(),
		m.SubjectColumn, m.PredicateColumn, m.SourceColumn, m.SourceClassColumn, m.ConfidenceColumn, m.TimestampColumn) {
		if column == "" {
			continue
		}
		times := 0
		for _, name := range header {
			if name == column {
				times++
			}
		}
		switch {
		case times == 0:
			return fmt.Errorf("there is no column %q: the columns are %s", column, strings.Join(header, ", "))
		case times > 1:
			return fmt.Errorf("there are %d columns %q: give them different names", times, column)
		}
	}
	return nil
}

// parseRule splits PATTERN=TEMPLATE at the last '=' that leaves a valid
// pattern.
func parseRule(text string) (rule, error) {
	pattern, template := text, ""
	if at := strings.LastIndexByte(text, '='); at > 0 {
		if _, err := regexp.Compile(text[:at]); err == nil {
			pattern, template = text[:at], text[at+1:]
		}
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return rule{}, fmt.Errorf("normalisation %q: %w", text, err)
	}
	if template == "" {
		template = "${0}"
	}
	return rule{re, template}, nil
}

func (r rule) apply(value string) string {
	match := r.pattern.FindStringSubmatchIndex(value)
	if match == nil {
		return value
	}
	return string(r.pattern.ExpandString(nil, r.template, value, match))
}

func objectParser(kind string) (func(string) (assertion.ObjectValue, error), error) {
	switch kind {
	case "", "text":
		return func(s string) (assertion.ObjectValue, error) { return assertion.Text(s), nil }, nil
	case "reference":
		return func(s string) (assertion.ObjectValue, error) { return assertion.Reference(s), nil }, nil
	case "number":
		return func(s string) (assertion.ObjectValue, error) {
			f, err := strconv.ParseFloat(s, 64)
			return assertion.Number(f), err
		}, nil
	case "boolean":
		return func(s string) (assertion.ObjectValue, error) {
			b, err := strconv.ParseBool(s)
			return assertion.Boolean(b), err
		}, nil
	case "auto":
		plain := regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)
		return func(s string) (assertion.ObjectValue, error) {
			if plain.MatchString(s) {
				f, err := strconv.ParseFloat(s, 64)
				return assertion.Number(f), err
			}
			switch strings.ToLower(s) {
			case "true":
				return assertion.Boolean(true), nil
			case "false":
				return assertion.Boolean(false), nil
			}
			return assertion.Text(s), nil
		}, nil
	}
	return nil, fmt.Errorf("object type %q: text, number, boolean, reference or auto", kind)
}

// Unsigned is a claim of a row with the name of the source that signs it.
type Unsigned struct {
	Source string
	Claim  *assertion.Assertion
}

// Claims returns the claims of one row, none for values that say nothing or
// are not there.
func (c *Mapper) Claims(row map[string]string) (claims []Unsigned, nulls int, err error) {
	base, source, err := c.base(row)
	if err != nil {
		return nil, 0, err
	}
	for _, s := range c.statements {
		value := strings.TrimSpace(row[s.column])
		if value == "" || c.null != nil && c.null.MatchString(value) {
			nulls++
			continue
		}
		predicate := s.predicate
		if s.predicateColumn != "" {
			if predicate, err = cell(row, s.predicateColumn); err != nil {
				return nil, 0, err
			}
		}
		for _, r := range c.rules {
			value = r.apply(value)
		}
		a := *base
		a.Predicate = predicate
		if a.Object, err = c.object(value); err != nil {
			return nil, 0, fmt.Errorf("column %s: %q is no %s: %w", s.column, value, c.mapping.ObjectType, err)
		}
		if err := a.Normalize(); err != nil {
			return nil, 0, err
		}
		if err := a.Validate(); err != nil {
			return nil, 0, err
		}
		claims = append(claims, Unsigned{source, &a})
	}
	return claims, nulls, nil
}

// base is what all claims of a row share.
func (c *Mapper) base(row map[string]string) (a *assertion.Assertion, source string, err error) {
	m := &c.mapping
	a = &assertion.Assertion{SourceClass: c.class, Confidence: m.Confidence, Timestamp: c.timestamp}
	if a.Subject, err = cell(row, m.SubjectColumn); err != nil {
		return nil, "", err
	}
	a.Subject = strings.TrimSpace(a.Subject)
	source = m.Source
	if m.SourceColumn != "" {
		if source, err = cell(row, m.SourceColumn); err != nil {
			return nil, "", err
		}
		if source = strings.TrimSpace(source); source == "" {
			return nil, "", fmt.Errorf("column %s is empty: a claim needs a source", m.SourceColumn)
		}
	}
	if m.SourceClassColumn != "" {
		name, err := cell(row, m.SourceClassColumn)
		if err != nil {
			return nil, "", err
		}
		if a.SourceClass, err = assertion.ParseSourceClass(name); err != nil {
			return nil, "", err
		}
	}
	if m.ConfidenceColumn != "" {
		text, err := cell(row, m.ConfidenceColumn)
		if err != nil {
			return nil, "", err
		}
		if a.Confidence, err = strconv.ParseFloat(text, 64); err != nil {
			return nil, "", fmt.Errorf("column %s: %q is no number", m.ConfidenceColumn, text)
		}
	}
	if m.TimestampColumn != "" {
		text, err := cell(row, m.TimestampColumn)
		if err != nil {
			return nil, "", err
		}
		if a.Timestamp, err = unixtime.Parse(text); err != nil {
			return nil, "", fmt.Errorf("column %s: %w", m.TimestampColumn, err)
		}
	}
	return a, source, nil
}

func cell(row map[string]string, column string) (string, error) {
	value, ok := row[column]
	if !ok {
		return "", fmt.Errorf("there is no column %q", column)
	}
	return value, nil
}
