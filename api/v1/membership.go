package v1

// ClusterChange is the body of POST /v1/cluster/{action}.
type ClusterChange struct {
	// Node is the member that the action is about. transfer and snapshot may leave
	// it out: the best voter then, or the answering node.
	Node string `json:"node,omitempty"`
	// ClusterAddr is the node-to-node address of a node that joins.
	ClusterAddr string `json:"cluster_addr,omitempty"`
	// Force skips the guards, but for the one that keeps the last voter.
	Force bool `json:"force,omitempty"`
}

// The states of a ClusterChanged.
const (
	ChangeDone      = "done"
	ChangeUnchanged = "unchanged" // it was so already
)

// ClusterChanged answers POST /v1/cluster/{action}.
type ClusterChanged struct {
	Action string `json:"action"`
	// Node is the member that it was about; of a transfer, the new leader.
	Node   string `json:"node"`
	Status string `json:"status"`
	// Index is the log index of the change or of the snapshot.
	Index  uint64 `json:"index"`
	Detail string `json:"detail,omitempty"`
}

// Autopilot answers GET /v1/cluster/autopilot: the leader's judgement of the
// members.
type Autopilot struct {
	// Healthy says that every member is.
	Healthy bool `json:"healthy"`
	// FailureTolerance is how many healthy voters may be lost.
	FailureTolerance int               `json:"failure_tolerance"`
	Leader           string            `json:"leader"`
	Servers          []AutopilotServer `json:"servers"`
	// StabilizationSeconds is how long a non-voter must be healthy to be promoted,
	// DeadAfterSeconds how long a member must be dead to be removed (0: never),
	// MinQuorum the number of voters below which none is.
	StabilizationSeconds float64 `json:"stabilization_seconds"`
	DeadAfterSeconds     float64 `json:"dead_after_seconds"`
	MinQuorum            int     `json:"min_quorum"`
}

// AutopilotServer is one member as the leader judges it.
type AutopilotServer struct {
	Node string `json:"node"`
	// Suffrage is voter or nonvoter.
	Suffrage string `json:"suffrage"`
	// State is alive, failed or left.
	State   string `json:"state"`
	Healthy bool   `json:"healthy"`
	// ReadReplica says that the node is not to become a voter, by its setting or
	// because it was demoted.
	ReadReplica bool `json:"read_replica"`
	// StableSince is when Healthy changed last, unix seconds.
	StableSince        uint64  `json:"stable_since"`
	LastContactSeconds float64 `json:"last_contact_seconds"`
	LastIndex          uint64  `json:"last_index"`
}
