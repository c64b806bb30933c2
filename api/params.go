package api

import (
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/text/unicode/norm"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

// maxMaxStale bounds max_stale: beyond it a bounded read is a local one.
const maxMaxStale = time.Hour

// strict refuses a query string with a parameter that the route does not know,
// or with one given twice.
func (r *route) strict(c echo.Context) error {
	if c.Request().URL.RawQuery == "" {
		return nil
	}
	values, err := url.ParseQuery(c.Request().URL.RawQuery)
	if err != nil {
		return &fault{code: v1.CodeInvalidParameter, detail: "the query string is malformed: " + err.Error(), fix: "percent-encode the values"}
	}
	for name, given := range values {
		if !r.knows(name) {
			return &fault{code: v1.CodeUnknownParameter, field: cut(name),
				detail: fmt.Sprintf("%.80q is no parameter of this route", name), fix: r.allowed()}
		}
		if len(given) > 1 {
			return invalid(name, "given more than once", "give it once")
		}
	}
	return nil
}

func (r *route) knows(name string) bool {
	for i := range r.doc.params {
		if r.doc.params[i].in == inQuery && r.doc.params[i].name == name {
			return true
		}
	}
	return false
}

func (r *route) allowed() string {
	var names []string
	for _, p := range r.doc.params {
		if p.in == inQuery {
			names = append(names, p.name)
		}
	}
	if len(names) == 0 {
		return "the route takes no query parameters"
	}
	return "the parameters are " + strings.Join(names, ", ")
}

// cut bounds foreign text in a problem.
func cut(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

func invalid(name, detail, fix string) error {
	return &fault{code: v1.CodeInvalidParameter, field: name, detail: detail, fix: fix}
}

func missing(name, fix string) error {
	return &fault{code: v1.CodeMissingParameter, field: name, detail: "missing", fix: fix}
}

// question reads subject and predicate where both must be given exactly.
func question(q url.Values) (assertion.Filter, error) {
	f, err := exactSubject(q)
	if err != nil {
		return f, err
	}
	if f.Predicate = norm.NFC.String(q.Get("predicate")); f.Predicate == "" {
		return f, missing("predicate", "name one predicate: a question is a subject and a predicate")
	}
	err = narrow(&f, q)
	return f, err
}

// subjectOnly reads a subject that must be given exactly, for answers about
// several predicates of it.
func subjectOnly(q url.Values) (assertion.Filter, error) {
	f, err := exactSubject(q)
	if err != nil {
		return f, err
	}
	err = narrow(&f, q)
	return f, err
}

func exactSubject(q url.Values) (assertion.Filter, error) {
	f := assertion.Filter{Subject: norm.NFC.String(q.Get("subject"))}
	switch {
	case f.Subject == "":
		return f, missing("subject", "name one subject: a question is a subject and a predicate")
	case strings.HasSuffix(f.Subject, "*"):
		return f, invalid("subject", "a prefix, where one subject is wanted", "name one subject: a question is a subject and a predicate")
	}
	return f, nil
}

// selection reads every filter; none is required.
func selection(q url.Values) (assertion.Filter, error) {
	f := assertion.Filter{Subject: norm.NFC.String(q.Get("subject")), Predicate: norm.NFC.String(q.Get("predicate"))}
	if prefix, ok := strings.CutSuffix(f.Subject, "*"); ok {
		f.Subject, f.SubjectPrefix = prefix, true
	}
	for _, name := range []string{"subject", "predicate"} {
		if q.Has(name) && q.Get(name) == "" {
			return f, invalid(name, "empty", "name one, or leave the parameter out")
		}
	}
	err := narrow(&f, q)
	return f, err
}

// narrow reads the filters beside the question into f.
func narrow(f *assertion.Filter, q url.Values) error {
	if q.Has("lifecycle") {
		for _, name := range strings.Split(q.Get("lifecycle"), ",") {
			stage, err := assertion.ParseLifecycle(name)
			if err != nil {
				return invalid("lifecycle", err.Error(), "separate several by commas")
			}
			f.Lifecycles = append(f.Lifecycles, stage)
		}
	}
	if q.Has("source_class") {
		class, err := assertion.ParseSourceClass(q.Get("source_class"))
		if err != nil {
			return invalid("source_class", err.Error(), "")
		}
		f.SourceClass = &class
	}
	var err error
	if f.Epoch, err = hashParam(q, "epoch"); err != nil {
		return err
	}
	if f.Source, err = hashParam(q, "source_hash"); err != nil {
		return err
	}
	if q.Has("agent_id") {
		agent, err := assertion.ParseAgentID(q.Get("agent_id"))
		if err != nil {
			return invalid("agent_id", err.Error(), "")
		}
		f.Agent = &agent
	}
	if f.AsOf, err = instant(q, "as_of"); err != nil {
		return err
	}
	if err := include(f, q); err != nil {
		return err
	}
	if q.Has("min_confidence") {
		least, err := strconv.ParseFloat(q.Get("min_confidence"), 64)
		if err != nil || math.IsNaN(least) || least < 0 || least > 1 {
			return invalid("min_confidence", "not a number from 0 to 1", "give a number from 0 to 1")
		}
		f.MinConfidence = least
	}
	return nil
}

// include reads which claims are shown that are left out otherwise.
func include(f *assertion.Filter, q url.Values) error {
	if !q.Has("include") {
		return nil
	}
	for _, what := range strings.Split(q.Get("include"), ",") {
		switch what {
		case "superseded":
			f.Superseded = true
		case "retracted":
			f.Retracted = true
		case "quarantined":
			f.Quarantined = true
		default:
			return invalid("include", fmt.Sprintf("%.40q cannot be included", what), "use superseded, retracted, quarantined, or several separated by commas")
		}
	}
	return nil
}

func hashParam(q url.Values, name string) (*assertion.Hash, error) {
	if !q.Has(name) {
		return nil, nil
	}
	h, err := assertion.ParseHash(q.Get(name))
	if err != nil {
		return nil, invalid(name, err.Error(), "")
	}
	return &h, nil
}

// narrowed reports whether f selects less than all visible claims on its
// question, so that aggregates cannot answer for it.
func narrowed(f assertion.Filter) bool {
	return f.Lifecycles != nil || f.Epoch != nil || f.SourceClass != nil || f.Agent != nil || f.Source != nil || f.MinConfidence > 0 ||
		f.AsOf != nil || f.Superseded || f.Retracted || f.Quarantined
}

// number reads an integer parameter.
func number(q url.Values, name string, absent, least, most int) (int, error) {
	if !q.Has(name) {
		return absent, nil
	}
	n, err := strconv.Atoi(q.Get(name))
	if err != nil || n < least || n > most {
		return 0, invalid(name, fmt.Sprintf("not an integer from %d to %d", least, most), "")
	}
	return n, nil
}

func limitParam(q url.Values) (int, error) {
	if !q.Has("limit") {
		return v1.DefaultLimit, nil
	}
	limit, err := strconv.Atoi(q.Get("limit"))
	if err != nil || limit < 1 || limit > v1.MaxLimit {
		return 0, invalid("limit", fmt.Sprintf("not an integer from 1 to %d", v1.MaxLimit), "continue longer lists with cursor")
	}
	return limit, nil
}

// consistency reads what a read demands of the state.
func consistency(q url.Values) (Consistency, error) {
	var c Consistency
	switch level := q.Get("consistency"); {
	case !q.Has("consistency"), level == Linearizable.String():
	case level == Bounded.String():
		c.Level = Bounded
		if !q.Has("max_stale") {
			return c, missing("max_stale", "consistency=bounded needs max_stale, in seconds or as in 500ms")
		}
	case level == Local.String():
		c.Level = Local
	default:
		return c, invalid("consistency", fmt.Sprintf("%.40q is no consistency", level), "use linearizable, bounded or local")
	}
	if q.Has("max_stale") {
		if c.Level != Bounded {
			return c, invalid("max_stale", "only consistency=bounded takes it", "add consistency=bounded, or remove max_stale")
		}
		stale, err := parseStale(q.Get("max_stale"))
		if err != nil {
			return c, err
		}
		c.MaxStale = stale
	}
	if q.Has("min_index") {
		index, err := strconv.ParseUint(q.Get("min_index"), 10, 64)
		if err != nil {
			return c, invalid("min_index", "not a log index", "give the index of an earlier answer")
		}
		c.MinIndex = index
	}
	var err error
	c.KnownAt, err = instant(q, "known_at")
	return c, err
}

// parseStale reads seconds ("5", "0.25") or a duration with units ("500ms").
func parseStale(s string) (time.Duration, error) {
	stale, err := time.ParseDuration(s)
	if seconds, notSeconds := strconv.ParseFloat(s, 64); notSeconds == nil {
		if math.IsNaN(seconds) || math.Abs(seconds) > maxMaxStale.Seconds() {
			err = strconv.ErrRange
		} else {
			stale, err = time.Duration(seconds*float64(time.Second)), nil
		}
	}
	if err != nil || stale <= 0 || stale > maxMaxStale {
		return 0, invalid("max_stale", fmt.Sprintf("not a time above 0 and up to %s", maxMaxStale), "give seconds, or a duration as in 500ms")
	}
	return stale, nil
}
