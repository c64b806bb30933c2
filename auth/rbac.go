package auth

import "github.com/stemedb/stemedb/assertion"

// Access is what a route demands.
type Access uint8

// The demands. The first, of a route that is not in the table, nobody meets.
const (
	Nobody  Access = iota
	Probe          // open to everybody: load balancers have no key
	Docs           // a role, unless the operator opens it
	Metrics        // likewise
	Read
	Write
	Admin
)

// Role is the role that meets a demand; 0 is none at all.
func (a Access) Role() assertion.Role {
	switch a {
	case Docs, Metrics, Read:
		return assertion.RoleReadOnly
	case Write:
		return assertion.RoleWrite
	case Nobody, Admin:
		return assertion.RoleAdmin
	}
	return 0
}

// Permits reports whether a role meets a demand.
func (a Access) Permits(role assertion.Role) bool { return a != Nobody && role >= a.Role() }

// accesses is what every route demands, by method and pattern.
func accesses() map[string]Access {
	return map[string]Access{
		"GET /livez":     Probe,
		"GET /readyz":    Probe,
		"GET /v1/health": Probe,

		"GET /docs":         Docs,
		"GET /openapi.json": Docs,
		"GET /metrics":      Metrics,

		"GET /v1/admission/status":     Read,
		"GET /v1/assertions/:hash":     Read,
		"GET /v1/cluster":              Read,
		"GET /v1/cluster/keys":         Read,
		"GET /v1/concepts/*":           Read,
		"GET /v1/concepts/aliases":     Read,
		"GET /v1/conflicts":            Read,
		"GET /v1/constraints":          Read,
		"GET /v1/diff":                 Read,
		"GET /v1/epochs/:hash":         Read,
		"GET /v1/feed":                 Read,
		"GET /v1/layered":              Read,
		"GET /v1/lenses":               Read,
		"GET /v1/query":                Read,
		"GET /v1/skeptic":              Read,
		"GET /v1/sources":              Read,
		"GET /v1/sources/:hash":        Read,
		"GET /v1/sources/:hash/impact": Read,
		"GET /v1/subjects":             Read,
		"GET /v1/trace/:hash":          Read,
		"GET /v1/trust/:agent":         Read,
		"GET /v1/watch":                Read,
		"POST /v1/assert/prepare":      Read, // stores nothing

		"POST /v1/assert":             Write,
		"POST /v1/assert/batch":       Write,
		"POST /v1/epoch":              Write,
		"POST /v1/sources":            Write,
		"POST /v1/supersede":          Write,
		"POST /v1/trust/endorsements": Write,
		"POST /v1/vote":               Write,

		// Unsigned, or about others: these change everybody's answers.
		"DELETE /v1/keys/:id":                          Admin,
		"GET /v1/admin/circuit_breakers":               Admin,
		"POST /v1/admin/circuit_breakers/:agent/reset": Admin,
		"GET /debug/pprof/:profile":                    Admin,
		"GET /v1/admin/log_level":                      Admin,
		"POST /v1/admin/log_level":                     Admin,
		"GET /v1/admin/gold":                           Admin,
		"GET /v1/admin/quarantine":                     Admin,
		"GET /v1/admin/settings":                       Admin,
		"GET /v1/audit/queries":                        Admin,
		"GET /v1/audit/query/:id":                      Admin,
		"GET /v1/cluster/autopilot":                    Admin,
		"GET /v1/cluster/backup":                       Admin, // holds everything, hashes of keys included
		"GET /v1/export":                               Admin, // of everything, at the cost of one read
		"GET /v1/keys":                                 Admin,
		"PATCH /v1/keys/:id":                           Admin,
		"POST /v1/admin/gold":                          Admin,
		"POST /v1/admin/quarantine/:hash/approve":      Admin,
		"POST /v1/admin/quarantine/:hash/reject":       Admin,
		"POST /v1/cluster/demote":                      Admin,
		"POST /v1/cluster/join":                        Admin,
		"POST /v1/cluster/promote":                     Admin,
		"POST /v1/cluster/remove":                      Admin,
		"POST /v1/cluster/restore":                     Admin,
		"POST /v1/cluster/snapshot":                    Admin,
		"POST /v1/cluster/transfer":                    Admin,
		"POST /v1/concepts/aliases":                    Admin,
		"POST /v1/keys":                                Admin,
		"POST /v1/keys/:id/rotate":                     Admin,
		"POST /v1/sources/:hash/reinstate":             Admin,
		"POST /v1/sources/:hash/retract":               Admin,
		"POST /v1/trust/seeds":                         Admin,
	}
}

// Table tells what routes demand.
type Table struct{ accesses map[string]Access }

// NewTable returns the table of all routes.
func NewTable() Table { return Table{accesses()} }

// Access is what a route demands, Nobody if it is not in the table.
func (t Table) Access(method, pattern string) Access { return t.accesses[method+" "+pattern] }

// Len is the number of routes in the table.
func (t Table) Len() int { return len(t.accesses) }
