package api

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/auth"
)

// schemas are the components of the OpenAPI document: the bodies of api/v1 as
// JSON Schema. A test validates real answers against them.
//
//go:embed schemas.json
var schemas []byte

// The schemas of parameters that several routes share.
const (
	hashSchema = `{"type":"string","pattern":"^[0-9a-f]{64}$"}`
	nameSchema = `{"type":"string","minLength":1}`
)

const (
	inQuery = "query"
	inPath  = "path"
)

// operation documents one route.
type operation struct {
	id, tag, summary, description string
	params                        []paramDoc
	body                          *bodyDoc
	answers                       []answerDoc
	// codes are the problems that the route may answer with, beside those that
	// every route may.
	codes []string
}

type paramDoc struct {
	in, name, description string
	required              bool
	schema                string // JSON Schema
	example               string
}

type bodyDoc struct {
	description string
	// media and schemas are parallel; a schema is a component's name, or "" for
	// a text.
	media, schemas []string
	example        string // JSON
}

type answerDoc struct {
	status      int
	description string
	media       string
	schema      string // a component's name; "" for none
}

// object is a JSON object of the document. encoding/json sorts its names, so
// that the document is the same each time.
type object = map[string]any

// openAPI makes the document of routes.
func openAPI(routes []route, version string) ([]byte, error) {
	var components object
	if err := json.Unmarshal(schemas, &components); err != nil {
		return nil, fmt.Errorf("api: schemas.json: %w", err)
	}
	if version == "" {
		version = "dev"
	}
	codes, table := byCode(), auth.NewTable()
	paths := object{}
	for _, r := range routes {
		demand := table.Access(r.method, r.path)
		documented, err := r.doc.render(codes, r.refusals(), demand)
		if err != nil {
			return nil, fmt.Errorf("api: document %s %s: %w", r.method, r.path, err)
		}
		path := openAPIPath(r.path)
		item, ok := paths[path].(object)
		if !ok {
			item = object{}
			paths[path] = item
		}
		item[strings.ToLower(r.method)] = documented
	}
	return json.MarshalIndent(object{
		"openapi": "3.1.0",
		"info": object{
			"title": "StemeDB", "version": version,
			"description": "A replicated database of signed claims that may contradict each other. A lens chosen by the reader resolves the disagreement, and the disagreement is an answer too. Binary values are lower-case hexadecimal, times are unix seconds.",
			"license":     object{"name": "Apache-2.0", "identifier": "Apache-2.0"},
		},
		"servers": []object{{"url": "/"}},
		"tags": []object{
			{"name": tagClaims, "description": "Storing signed claims."},
			{"name": tagAnswers, "description": "Reading claims, resolved or not."},
			{"name": tagHistory, "description": "Where claims come from, what changed, and following changes."},
			{"name": tagKnowledge, "description": "What bears on claims: votes, epochs, sources, names."},
			{"name": tagTrust, "description": "How far agents are trusted."},
			{"name": tagKeys, "description": "Who may do what."},
			{"name": tagDefense, "description": "What the content defence keeps out of answers."},
			{"name": tagCluster, "description": "The state of node and cluster."},
			{"name": tagOperations, "description": "Probes, metrics and documentation."},
		},
		"paths": paths,
		"components": object{"schemas": components, "securitySchemes": object{
			"apiKey": object{"type": "apiKey", "in": "header", "name": v1.HeaderAPIKey},
			"bearer": object{"type": "http", "scheme": "bearer"},
		}},
	}, "", "  ")
}

// openAPIPath turns /a/:b/* into /a/{b}/{path}.
func openAPIPath(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if name, ok := strings.CutPrefix(part, ":"); ok {
			parts[i] = "{" + name + "}"
		}
		if part == "*" { // the rest of the path
			parts[i] = "{path}"
		}
	}
	return strings.Join(parts, "/")
}

// render documents the operation of a route. Where authentication is on, it
// demands a key.
func (o operation) render(codes map[string]kind, refusals []string, demand auth.Access) (object, error) {
	if demand != auth.Probe {
		o.codes = append(slices.Clone(o.codes), v1.CodeAPIKeyMissing, v1.CodeAPIKeyUnknown, v1.CodeAPIKeyRevoked, v1.CodeAPIKeyExpired,
			v1.CodeForbidden, v1.CodeOutOfScope, v1.CodeRateLimited, v1.CodeRecovering, v1.CodeStopping, v1.CodeNodeFailed)
	}
	switch demand {
	case auth.Write:
		o.codes = append(slices.Clone(o.codes), v1.CodeQuotaExceeded, v1.CodeCircuitOpen, v1.CodeWorkRequired, v1.CodeWorkInvalid, v1.CodeWorkReused, v1.CodeWorkStale)
	case auth.Read:
		o.codes = append(slices.Clone(o.codes), v1.CodeQuotaExceeded, v1.CodeCircuitOpen)
	}
	responses := object{}
	for _, a := range o.answers {
		responses[strconv.Itoa(a.status)] = object{
			"description": a.description, "content": object{a.media: content(a.schema, nil)}, "headers": answerHeaders(),
		}
	}
	if err := o.renderProblems(responses, codes, refusals); err != nil {
		return nil, err
	}
	out := object{"operationId": o.id, "tags": []string{o.tag}, "summary": o.summary, "responses": responses}
	if role := demand.Role(); role != 0 {
		out["security"] = []object{{"apiKey": []string{}}, {"bearer": []string{}}}
		o.description = strings.TrimSpace(o.description + " With authentication on: the role " + role.String() + ".")
	}
	if o.description != "" {
		out["description"] = o.description
	}
	if len(o.params) > 0 {
		params := make([]object, len(o.params))
		for i, p := range o.params {
			params[i] = p.render()
		}
		out["parameters"] = params
	}
	if o.body != nil {
		media := object{}
		for i, name := range o.body.media {
			var example any
			if o.body.example != "" {
				example = json.RawMessage(o.body.example)
			}
			media[name] = content(o.body.schemas[i], example)
		}
		out["requestBody"] = object{"required": true, "description": o.body.description, "content": media}
	}
	return out, nil
}

// renderProblems adds one response per status of the problems that the route
// may have.
func (o operation) renderProblems(responses object, codes map[string]kind, refusals []string) error {
	all := append(slices.Concat(o.codes, refusals), v1.CodeInternal)
	slices.Sort(all)
	byStatus := map[int][]string{}
	for _, code := range slices.Compact(all) {
		k, known := codes[code]
		if !known {
			return fmt.Errorf("the code %q is not in the table of codes", code)
		}
		byStatus[k.status] = append(byStatus[k.status], code)
	}
	for status, list := range byStatus {
		responses[strconv.Itoa(status)] = object{
			"description": "Problem: `" + strings.Join(list, "`, `") + "`.",
			"content":     object{v1.MediaProblem: content("Problem", nil)},
			"headers":     answerHeaders(),
		}
	}
	return nil
}

func (p paramDoc) render() object {
	out := object{"in": p.in, "name": p.name, "description": p.description, "schema": json.RawMessage(p.schema)}
	if p.required {
		out["required"] = true
	}
	if p.example != "" {
		out["example"] = p.example
	}
	return out
}

func content(schema string, example any) object {
	out := object{"schema": object{"type": "string"}}
	if schema != "" {
		out["schema"] = object{"$ref": "#/components/schemas/" + schema}
	}
	if example != nil {
		out["example"] = example
	}
	return out
}

func answerHeaders() object {
	text := object{"type": "string"}
	return object{
		v1.HeaderRequestID:   object{"description": "Names the request in logs.", "schema": text},
		v1.HeaderNode:        object{"description": "The node that answered.", "schema": text},
		v1.HeaderIndex:       object{"description": "The log index that the answer rests on.", "schema": text},
		v1.HeaderConsistency: object{"description": "The consistency of a read.", "schema": text},
	}
}
