package api

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

// The actions of POST /v1/cluster/{action}.
const (
	actionJoin     = "join"
	actionRemove   = "remove"
	actionPromote  = "promote"
	actionDemote   = "demote"
	actionTransfer = "transfer"
	actionSnapshot = "snapshot"
)

// changeMembers makes the handler of POST /v1/cluster/{action}.
func changeMembers(action string) func(*Server) echo.HandlerFunc {
	return func(s *Server) echo.HandlerFunc {
		return func(c echo.Context) error {
			var want v1.ClusterChange
			if err := strictBody(c, &want); err != nil {
				return err
			}
			if err := checkChange(action, want); err != nil {
				return err
			}
			store, err := s.store()
			if err != nil {
				return err
			}
			ctx, cancel := s.bounded(c)
			defer cancel()
			changed, err := store.ChangeMembers(ctx, s.caller(c), action, want)
			if err != nil {
				return err
			}
			setIndex(c, changed.Index)
			return s.ok(c, changed)
		}
	}
}

// checkChange refuses a change that lacks what its action needs.
func checkChange(action string, c v1.ClusterChange) error {
	bad := func(field, detail string) error {
		return &fault{code: v1.CodeClusterChangeInvalid, field: field, detail: detail, fix: "see /docs for the fields of this action"}
	}
	switch {
	case c.Node == "" && action != actionTransfer && action != actionSnapshot:
		return bad("node", fmt.Sprintf("%s needs the name of a node", action))
	case (c.ClusterAddr != "") != (action == actionJoin):
		return bad("cluster_addr", "join needs the node-to-node address (host:port), and nothing else takes it")
	case c.Force && action == actionSnapshot:
		return bad("force", "there is nothing to force about a snapshot")
	}
	return nil
}

// autopilot is GET /v1/cluster/autopilot.
func (s *Server) autopilot(c echo.Context) error {
	store, err := s.store()
	if err != nil {
		return err
	}
	ctx, cancel := s.bounded(c)
	defer cancel()
	judged, err := store.Autopilot(ctx)
	if err != nil {
		return err
	}
	return s.ok(c, judged)
}

func changeMembersDoc(id, summary, description, example string) operation {
	return operation{
		id: id, tag: tagCluster, summary: summary, description: description + " Any node passes it to where it belongs. Repeating it is safe.",
		body:    &bodyDoc{description: "What to change.", media: []string{v1.MediaJSON}, schemas: []string{"ClusterChange"}, example: example},
		answers: []answerDoc{{http.StatusOK, "Done, or so already.", v1.MediaJSON, "ClusterChanged"}},
		codes: slices.Concat(bodyCodes(), []string{assertion.CodeInvalidJSON, v1.CodeClusterChangeInvalid, v1.CodeMemberNotFound, v1.CodeQuorumAtRisk, v1.CodeMembershipConflict,
			v1.CodeNoLeader, v1.CodeOutcomeUnknown, v1.CodeStopping, v1.CodeRecovering, v1.CodeNodeRemoved, v1.CodeTimeout}),
	}
}

func membershipRoutes() []route {
	change := func(action, summary, description, example string) route {
		return route{method: http.MethodPost, path: "/v1/cluster/" + action, handler: changeMembers(action), doc: changeMembersDoc(action+"Member", summary, description, example)}
	}
	return []route{
		change(actionJoin, "Add a node", "A node that is started with `join` adds itself; this adds one that runs at `cluster_addr`, also one that was removed and kept its data. It becomes a non-voter, and a voter when it has been healthy for a while.", `{"node":"n4","cluster_addr":"10.0.0.4:18182"}`),
		change(actionRemove, "Remove a node for good", "Refused where the live voters that are left would be no majority. A removed node serves nothing any more and does not join by itself.", `{"node":"n4"}`),
		change(actionPromote, "Make a non-voter a voter now", "Refused for a node that does not answer, is far behind, or is a read replica by its setting.", `{"node":"n4"}`),
		change(actionDemote, "Make a voter a non-voter", "It goes on serving, and stays a non-voter until it is promoted. Refused for the leader, and where the live voters that are left would be no majority.", `{"node":"n4"}`),
		change(actionTransfer, "Hand the leadership over", "To `node`, or to the voter that is furthest along. Writes wait for some milliseconds.", `{"node":"n2"}`),
		change(actionSnapshot, "Take a snapshot", "On `node`, or the answering one, so that its log can be truncated. It costs hard links, not a copy.", `{}`),
		{method: http.MethodGet, path: "/v1/cluster/backup", handler: simple((*Server).backup), doc: backupDoc()},
		{method: http.MethodPost, path: "/v1/cluster/restore", handler: simple((*Server).restore), doc: restoreDoc()},
		{method: http.MethodGet, path: "/v1/admin/settings", handler: simple((*Server).settings), doc: settingsDoc()},
		{method: http.MethodGet, path: "/v1/cluster/autopilot", handler: simple((*Server).autopilot), doc: operation{
			id: "autopilot", tag: tagCluster, summary: "The leader's judgement of the members",
			answers: []answerDoc{{http.StatusOK, "Health of each member, and how many may be lost.", v1.MediaJSON, "Autopilot"}},
			codes:   []string{v1.CodeNoLeader, v1.CodeStopping, v1.CodeRecovering, v1.CodeNodeRemoved, v1.CodeOutcomeUnknown, v1.CodeTimeout},
		}},
	}
}
