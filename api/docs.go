package api

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

//go:embed docs.html
var docsPage string

// document is the part of an OpenAPI document that the page shows.
type document struct {
	Info struct {
		Title, Version, Description string
	}
	Tags       []struct{ Name, Description string }
	Paths      map[string]map[string]docOperation
	Components struct {
		Schemas map[string]json.RawMessage
	}
}

type docOperation struct {
	ID          string `json:"operationId"`
	Tags        []string
	Summary     string
	Description string
	Parameters  []struct {
		In, Name, Description, Example string
		Required                       bool
		Schema                         json.RawMessage
	}
	RequestBody *struct {
		Description string
		Content     map[string]docContent
	} `json:"requestBody"`
	Responses map[string]struct {
		Description string
		Content     map[string]docContent
	}
}

type docContent struct {
	Schema struct {
		Ref string `json:"$ref"`
	}
	Example json.RawMessage
}

// docSection is the routes of one tag.
type docSection struct {
	Name, Description string
	Routes            []docRoute
}

type docRoute struct {
	Method, Path, Curl string
	docOperation
}

// renderDocs makes the page of an OpenAPI document. It is rendered once, on the
// server, and holds no script: it works without internet and in any browser.
func renderDocs(openapi []byte) ([]byte, error) {
	var doc document
	if err := json.Unmarshal(openapi, &doc); err != nil {
		return nil, fmt.Errorf("api: read the OpenAPI document: %w", err)
	}
	page, err := template.New("docs").Funcs(template.FuncMap{
		"schema": schemaName, "code": markCode, "pretty": pretty, "class": statusClass,
	}).Parse(docsPage)
	if err != nil {
		return nil, fmt.Errorf("api: docs.html: %w", err)
	}
	var out bytes.Buffer
	err = page.Execute(&out, map[string]any{
		"Info": doc.Info, "Sections": sections(&doc), "Schemas": doc.Components.Schemas, "Kinds": documentedKinds(),
	})
	if err != nil {
		return nil, fmt.Errorf("api: render docs.html: %w", err)
	}
	return out.Bytes(), nil
}

func sections(doc *document) []docSection {
	out := make([]docSection, len(doc.Tags))
	for i, tag := range doc.Tags {
		out[i] = docSection{Name: tag.Name, Description: tag.Description}
		for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
			for _, method := range slices.Sorted(maps.Keys(doc.Paths[path])) {
				o := doc.Paths[path][method]
				if slices.Contains(o.Tags, tag.Name) {
					method := strings.ToUpper(method)
					out[i].Routes = append(out[i].Routes, docRoute{Method: method, Path: path, Curl: curl(method, path, &o), docOperation: o})
				}
			}
		}
	}
	return out
}

// curl is a command that calls the route on this machine.
func curl(method, path string, o *docOperation) string {
	var query []string
	for _, p := range o.Parameters {
		switch {
		case p.In == inPath:
			path = strings.ReplaceAll(path, "{"+p.Name+"}", p.Example)
		case p.Required:
			query = append(query, p.Name+"="+p.Example)
		}
	}
	target := "http://localhost:18180" + path
	if len(query) > 0 {
		target += "?" + strings.Join(query, "&")
	}
	command := "curl '" + target + "'"
	if method != http.MethodGet {
		command = "curl -X " + method + " '" + target + "'"
	}
	if o.RequestBody == nil {
		return command
	}
	media := slices.Sorted(maps.Keys(o.RequestBody.Content))
	return command + " -H 'Content-Type: " + media[len(media)-1] + "' --data-binary @body"
}

func schemaName(c docContent) string {
	return strings.TrimPrefix(c.Schema.Ref, "#/components/schemas/")
}

// markCode shows text between backquotes as code.
func markCode(text string) template.HTML {
	var out strings.Builder
	for i, part := range strings.Split(text, "`") {
		escaped := template.HTMLEscapeString(part)
		if i%2 == 1 {
			escaped = "<code>" + escaped + "</code>"
		}
		out.WriteString(escaped)
	}
	return template.HTML(out.String()) //nolint:gosec // every part was escaped
}

func pretty(raw json.RawMessage) (string, error) {
	var out bytes.Buffer
	err := json.Indent(&out, raw, "", "  ")
	return out.String(), err
}

// statusClass is the first digit of a status, which colours it.
func statusClass(status string) string { return "s" + status[:1] }

// docKind is a line of the page's table of codes.
type docKind struct{ Code, Status, Title string }

func documentedKinds() []docKind {
	var out []docKind
	for _, k := range kinds() {
		if k.status != clientClosed {
			out = append(out, docKind{k.code, strconv.Itoa(k.status), k.title})
		}
	}
	return out
}
