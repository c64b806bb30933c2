package node

import (
	"errors"
	"fmt"
	"net"

	"github.com/hashicorp/raft"

	"github.com/stemedb/stemedb/fsm"
)

// Recovery is what a data directory holds, and what a recovery makes of it.
type Recovery struct {
	NodeID string
	// Address is the node-to-node address that the node has afterwards.
	Address string
	// ClusterID was the cluster, NewClusterID is the one that the recovery made,
	// "" before it.
	ClusterID, NewClusterID string
	// Members are those that the node knows of.
	Members []string
	// LastTerm and LastIndex are of the newest entry in its log. Of several nodes
	// that are left, the one with the highest term, then index, has the most.
	LastTerm, LastIndex uint64
	// Applied is the log index that the state has reached, Assertions what it
	// holds.
	Applied, Assertions uint64
}

// Recover makes the node of a data directory, which must not run, a new cluster of
// itself alone, when the majority of the old one is lost for good. Entries in its
// log are taken for committed, whether or not they were; what the lost nodes had
// acknowledged without this one is lost. The new cluster has another name, so that
// nodes of the old one that come back after all cannot mix with it.
//
// Without really nothing is changed, but for what opening the state does. A
// recovery that was interrupted may be repeated.
//
// Errors: ErrDataDirInUse while a server uses the directory.
func Recover(cfg Config, really bool) (r Recovery, err error) {
	if r.Address, err = cfg.soleAddress("recover"); err != nil {
		return r, err
	}
	who, data, err := openStopped(&cfg)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, data.Close()) }()
	if err := r.inspect(who, data.state, data.logs); err != nil || !really {
		return r, err
	}
	return r, r.makeNew(&cfg, who, data.state, data.logs)
}

// soleAddress checks the settings of a node that is to be a cluster by itself, and
// returns its node-to-node address. verb is what is done with the node.
func (c *Config) soleAddress(verb string) (string, error) {
	if err := c.Validate(); err != nil {
		return "", err
	}
	if c.NonVoter {
		return "", fmt.Errorf("the node would be the only voter: %s and start it without the setting non-voter", verb)
	}
	return c.address()
}

// sole is the raft configuration of a cluster of one node.
func sole(id, address string) raft.Configuration {
	return raft.Configuration{Servers: []raft.Server{{Suffrage: raft.Voter, ID: raft.ServerID(id), Address: raft.ServerAddress(address)}}}
}

// address is the node-to-node address by which others will reach the node.
func (c *Config) address() (string, error) {
	host, port, err := net.SplitHostPort(c.ClusterAddr)
	if err != nil || port == "0" {
		return "", fmt.Errorf("the cluster address %q names no port: give the one that the node will have", c.ClusterAddr)
	}
	if c.AdvertiseHost != "" {
		host = c.AdvertiseHost
	}
	return net.JoinHostPort(host, port), nil
}

// inspect reads what the directory holds.
func (r *Recovery) inspect(who identity, state *fsm.FSM, logs *LogStore) error {
	r.NodeID = who.NodeID
	view, err := state.View()
	if err != nil {
		return err
	}
	r.ClusterID = view.ClusterID()
	if err := view.Close(); err != nil {
		return err
	}
	r.Applied, _, r.Assertions = state.Current()
	_, known := state.Configuration()
	snapshots, err := state.SnapshotStore().List()
	if err != nil {
		return err
	}
	if len(snapshots) > 0 {
		r.LastIndex, r.LastTerm = snapshots[0].Index, snapshots[0].Term
	}
	err = eachEntry(logs, r.LastIndex+1, func(entry *raft.Log) error {
		r.LastIndex, r.LastTerm = entry.Index, entry.Term
		if entry.Type == raft.LogConfiguration {
			known = raft.DecodeConfiguration(entry.Data)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if r.LastIndex == 0 {
		return fmt.Errorf("node %s has never been part of a cluster: there is nothing to recover", r.NodeID)
	}
	for _, s := range known.Servers {
		r.Members = append(r.Members, string(s.ID))
	}
	return nil
}

// makeNew writes the new cluster: first its name beside the node's, so that a
// directory of which only a part was written is recognised when it is started.
func (r *Recovery) makeNew(cfg *Config, who identity, state *fsm.FSM, logs *LogStore) error {
	r.NewClusterID = randomHex(clusterIDBytes)
	who.ClusterID, who.Held = r.NewClusterID, false
	if err := who.save(cfg); err != nil {
		return err
	}
	conf := raft.DefaultConfig()
	conf.LocalID = raft.ServerID(r.NodeID)
	conf.Logger = raftLogger(cfg.Logger)
	_, unused := raft.NewInmemTransport(raft.ServerAddress(r.Address))
	defer unused.Close()
	err := raft.RecoverCluster(conf, renaming{state, r.NewClusterID}, logs, logs, state.SnapshotStore(), unused, sole(r.NodeID, r.Address))
	if err != nil {
		return fmt.Errorf("recover: %w: correct this and run the command again; the node does not start before", err)
	}
	r.Applied, _, r.Assertions = state.Current()
	return nil
}

// renaming is the FSM with the new cluster's name in the snapshot that it takes.
type renaming struct {
	*fsm.FSM
	id string
}

// Snapshot implements raft.FSM.
func (f renaming) Snapshot() (raft.FSMSnapshot, error) {
	if err := f.RenameCluster(f.id); err != nil {
		return nil, fmt.Errorf("rename the cluster: %w", err)
	}
	return f.FSM.Snapshot()
}
