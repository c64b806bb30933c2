package node

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/sync/gossip"
	"github.com/stemedb/stemedb/transport"
)

const (
	// handOverPause is the pause between two attempts of a leader that is low on
	// space to hand over.
	handOverPause = time.Second
	// hungStop is how long a stop waits for what a disk in trouble holds up.
	hungStop = 2 * time.Second
	// maxHandOvers is how often a leader that is low on space fails to hand over
	// until it refuses writes; it goes on trying.
	maxHandOvers = 3
)

// diskTurned cuts this node off from the others while its disk is in trouble, so
// that a leader is succeeded: raft's heartbeats do not touch the disk and would
// go on (hashicorp/raft issue 503), and its main loop, which could hand the
// leadership over, waits for the disk. It must not vote, stand for election or
// acknowledge entries either.
func (n *Node) diskTurned(trouble error) {
	if trouble != nil {
		n.transport.SetDeaf(true)
		n.raftNet.CloseStreams()
		n.metrics.diskTroubles.Inc()
		n.log.Error("the disk is in trouble: this node takes part in nothing until it is well again", "error", trouble)
	} else {
		n.raftNet.CloseStreams() // else raft takes broken connections out of its pool, and loses its first election
		n.transport.SetDeaf(false)
		n.log.Info("the disk is well again: this node takes part again")
	}
	n.leaderWatch.notify()
}

// diskLowTurned tells the log what the node's metrics and answers tell too.
func (n *Node) diskLowTurned(low bool, free uint64) {
	if low {
		n.log.Warn("little space is free on the disk of the data directory: make space, or writes will be refused", "free", free, "min_free_disk", n.cfg.MinFreeDisk)
	} else {
		n.log.Info("enough space is free again on the disk of the data directory", "free", free)
	}
}

// DiskTrouble wraps ErrDisk while the disk of the data directory hangs or fails,
// and ErrDiskSpace while less than MinFreeDisk is free on it; else nil.
func (n *Node) DiskTrouble() error {
	switch disk := n.disk.view(); {
	case disk.trouble != nil:
		return disk.trouble
	case disk.low:
		return fmt.Errorf("%w: %d bytes are free on this node's disk, at least %d are wanted", ErrDiskSpace, disk.free, n.cfg.MinFreeDisk)
	default:
		return nil
	}
}

// watchSpace decides, while this node leads, whether there is room for writes:
// a leader that is low on space hands over to a voter that is not. It refuses
// writes where it cannot, and where some voters are low and too few have room to
// commit without those.
func (n *Node) watchSpace() {
	ticker := time.NewTicker(diskCheckInterval)
	defer ticker.Stop()
	var tried time.Time
	failures := 0 // to hand over, in a row
	for {
		heir, handOver, refusal := n.judgeSpace(n.disk.view(), failures)
		n.noRoom.Store(&refusal)
		switch {
		case !handOver:
			failures = 0
		case time.Since(tried) >= handOverPause:
			if failures++; n.handOver(heir) {
				failures = 0
			}
			tried = time.Now()
		}
		select {
		case <-ticker.C:
		case <-n.ctx.Done():
			return
		}
	}
}

// judgeSpace says what writes are to be refused with, given the disk of this node
// and how often in a row it has failed to hand over. An heir is named if this node
// leads and is low on space and that one is not.
func (n *Node) judgeSpace(own diskView, failures int) (heir raft.Server, handOver bool, refusal error) {
	if !n.leads() {
		return heir, false, nil
	}
	seen := n.seen()
	if refusal = n.tooFewRoomy(seen); refusal != nil || !own.low {
		return heir, false, refusal
	}
	refusal = fmt.Errorf("%w: the leader %s has %d bytes free, at least %d are wanted", ErrDiskSpace, n.id, own.free, n.cfg.MinFreeDisk)
	heir, found := n.heir()
	if !found || seen[string(heir.ID)].Disk != gossip.DiskOK {
		return heir, false, fmt.Errorf("%w, and no voter with more room can lead", refusal)
	}
	if failures >= maxHandOvers {
		return heir, true, fmt.Errorf("%w, and the leadership could not be handed to %s", refusal, heir.ID)
	}
	return heir, true, nil
}

// tooFewRoomy wraps ErrDiskSpace if some voters are low on space and those that
// are alive and have room are no majority: each commit would need one that is
// low. Voters that are merely gone are no reason.
func (n *Node) tooFewRoomy(seen map[string]gossip.Member) error {
	voters, roomy := 0, 0
	var low []string
	for _, s := range n.servers() {
		if s.Suffrage != raft.Voter {
			continue
		}
		voters++
		switch n.voterDisk(string(s.ID), seen) {
		case gossip.DiskOK:
			roomy++
		case gossip.DiskLow:
			low = append(low, string(s.ID))
		}
	}
	if len(low) == 0 || roomy >= voters/2+1 {
		return nil
	}
	return fmt.Errorf("%w: %d of %d voters have room and answer; less is free than the minimum on %v", ErrDiskSpace, roomy, voters, low)
}

// voterDisk is the state of a member's disk: this node's own as it is, another's
// as gossip has it. That of a node which is not alive is unavailable.
func (n *Node) voterDisk(id string, seen map[string]gossip.Member) uint8 {
	switch member := seen[id]; {
	case id == n.id:
		return n.disk.view().state()
	case member.State != gossip.Alive:
		return gossip.DiskUnavailable
	default:
		return member.Disk
	}
}

// handOver tells whether the heir leads now.
func (n *Node) handOver(heir raft.Server) bool {
	ctx, cancel := context.WithTimeout(n.ctx, n.cfg.WriteTimeout)
	defer cancel()
	if _, err := n.transfer(ctx, MemberRequest{Action: transport.ActionTransfer, NodeID: string(heir.ID)}); err != nil {
		n.log.Warn("little space is free, and the leadership was not handed over", "heir", string(heir.ID), "error", err)
		return false
	}
	n.log.Warn("little space is free: the leadership was handed over", "heir", string(heir.ID))
	return true
}

// refusesForSpace is what writes are refused with for want of space, nil if they
// are not.
func (n *Node) refusesForSpace() error {
	if refusal := n.noRoom.Load(); refusal != nil {
		return *refusal
	}
	return nil
}

// room refuses records that are not to be written for want of space, with
// ErrDiskSpace.
func (n *Node) room(records [][]byte) error {
	refusal := n.refusesForSpace()
	if refusal == nil || exempt(records) {
		return nil
	}
	return refusal
}

// exempt tells whether all records are such as are written even if little space is
// free, for they take little and are needed all the same: API keys (one may have
// to be revoked), the status of sources and the decisions of reviewers (answers may
// have to leave something out), node keys, and the time that past states need.
func exempt(records [][]byte) bool {
	for _, record := range records {
		if len(record) == 0 {
			return false
		}
		kind, _, _, err := assertion.OpenEntry(record)
		if err != nil {
			return false
		}
		switch kind {
		case assertion.KindAPIKey, assertion.KindNodeKey, assertion.KindClock, assertion.KindSourceStatus, assertion.KindDecision:
		default:
			return false
		}
	}
	return true
}

// diskName is the state of a disk as the API names it.
func diskName(state uint8) string {
	switch state {
	case gossip.DiskOK:
		return "ok"
	case gossip.DiskLow:
		return "low"
	case gossip.DiskUnavailable:
		return "unavailable"
	default:
		return fmt.Sprintf("state %d", state) // of a newer node
	}
}
