package api

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"
	"golang.org/x/text/unicode/norm"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

func fromAliases(held []assertion.Recorded[*assertion.Alias]) []v1.Alias {
	out := make([]v1.Alias, len(held))
	for i, a := range held {
		out[i] = v1.Alias{Alias: *a.Entry, Commit: v1.FromCommit(a.Commit)}
	}
	return out
}

// canonicalName is where the aliases of an entity lead: the first of its names
// that an alias leads to and that is no alias itself; the name asked for if
// there is none.
func canonicalName(names []string, joins []assertion.Recorded[*assertion.Alias]) string {
	leads, led := map[string]bool{}, map[string]bool{}
	for _, a := range joins {
		leads[a.Entry.Name], led[a.Entry.Canonical] = true, true
	}
	for _, name := range names {
		if led[name] && !leads[name] {
			return name
		}
	}
	return names[0]
}

// planConcept is GET /v1/concepts/*: the path is everything behind the slash, so
// that scheme://a/b needs no escaping.
func planConcept(c echo.Context, _ url.Values) (readPlan, error) {
	name, err := url.PathUnescape(c.Param("*"))
	name = norm.NFC.String(name)
	if err != nil || name == "" {
		return nil, &fault{code: v1.CodeInvalidParameter, field: "path", detail: "no name of a concept", fix: "ask for /v1/concepts/scheme://a/b, or for a name"}
	}
	return func(r reader) (any, error) {
		names, joins, err := r.view.Aliases(name)
		if err != nil {
			return nil, err
		}
		out := v1.ConceptResponse{Name: name, Names: names, Canonical: canonicalName(names, joins), Aliases: fromAliases(joins),
			Children: []string{}, Predicates: []string{}, Path: assertion.IsConceptPath(name), Index: r.index()}
		for _, n := range names {
			predicates, err := r.view.Predicates(n, v1.MaxLimit)
			if err != nil {
				return nil, err
			}
			out.Predicates = union(out.Predicates, predicates)
		}
		if out.Path {
			if class, ok := assertion.SchemeClass(name); ok {
				out.SourceClass = &class
			}
			if parent := name[:strings.LastIndexByte(name, '/')]; assertion.IsConceptPath(parent) {
				out.Parent = parent
			}
			if out.Children, err = r.children(name); err != nil {
				return nil, err
			}
		}
		if len(names) == 1 && len(out.Predicates) == 0 && len(out.Children) == 0 {
			return nil, &fault{code: v1.CodeNotFound, field: "path", detail: "no claim and no alias has this name", fix: "check the name; subjects are listed by /v1/subjects"}
		}
		return out, nil
	}, nil
}

// children are the concept paths one segment below a path, of which there are
// subjects, at most v1.MaxLimit.
func (r reader) children(path string) ([]string, error) {
	out := []string{}
	begin, cursor := path+"/", ""
	for len(out) < v1.MaxLimit {
		subjects, next, err := r.view.Subjects(begin, cursor, v1.MaxLimit)
		if err != nil {
			return nil, err
		}
		for _, s := range subjects {
			first, _, _ := strings.Cut(s[len(begin):], "/")
			if child := begin + first; len(out) == 0 || out[len(out)-1] != child {
				out = append(out, child)
			}
		}
		if next == "" {
			break
		}
		cursor = next
	}
	return out[:min(len(out), v1.MaxLimit)], nil
}

// union appends what is not there yet.
func union(all, more []string) []string {
	seen := make(map[string]bool, len(all))
	for _, s := range all {
		seen[s] = true
	}
	for _, s := range more {
		if !seen[s] {
			all = append(all, s)
		}
	}
	return all
}

// planAliases is GET /v1/concepts/aliases.
func planAliases(_ echo.Context, q url.Values) (readPlan, error) {
	limit, err := limitParam(q)
	if err != nil {
		return nil, err
	}
	var after *assertion.Alias
	if q.Has("cursor") {
		raw, err := base64.RawURLEncoding.DecodeString(q.Get("cursor"))
		if err != nil || json.Unmarshal(raw, &after) != nil || after == nil {
			return nil, ErrBadCursor
		}
	}
	return func(r reader) (any, error) {
		held, err := r.view.AliasPage(after, limit+1)
		if err != nil {
			return nil, err
		}
		out := v1.AliasesResponse{Index: r.index()}
		if len(held) > limit {
			held = held[:limit]
			raw, err := json.Marshal(held[limit-1].Entry)
			if err != nil {
				return nil, err
			}
			out.NextCursor = base64.RawURLEncoding.EncodeToString(raw)
		}
		out.Aliases = fromAliases(held)
		return out, nil
	}, nil
}
