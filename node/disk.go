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
)

// diskTurned cuts this node off from the others while its disk is in trouble, so
// that a leader is succeeded: raft's heartbeats do not touch the disk and would
// go on (hashicorp/raft issue 503), and its main loop, which could hand the
// leadership over, waits for the disk. It must not vote, stand for election or
// acknowledge entries either.
func (n *Node) diskTurned(trouble error) {
	if trouble != nil {
		n.transport.SetDeaf(true)
	}
	n.raftNet.CloseStreams() // else raft takes broken connections out of its pool, and loses its first election
	if trouble == nil {
		n.transport.SetDeaf(false)
	}
	if trouble != nil {
		n.metrics.diskTroubles.Inc()
		n.log.Error("the disk is in trouble: this node takes part in nothing until it is well again", "error", trouble)
	} else {
		n.log.Info("the disk is well again: this node takes part again")
	}
	n.leaderWatch.notify()
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
// writes where it cannot, and where too few voters have room to commit them.
func (n *Node) watchSpace() {
	ticker := time.NewTicker(diskCheckInterval)
	defer ticker.Stop()
	var handedOver time.Time
	for {
		heir, handOver := n.judgeSpace()
		if handOver && time.Since(handedOver) >= handOverPause {
			n.handOver(heir)
			handedOver = time.Now()
		}
		select {
		case <-ticker.C:
		case <-n.ctx.Done():
			return
		}
	}
}

// judgeSpace sets what writes are refused with. A heir is named if this leader is
// low on space and that one is not.
func (n *Node) judgeSpace() (heir raft.Server, handOver bool) {
	refusal := func(err error) { n.noRoom.Store(&err) }
	if !n.leads() {
		refusal(nil)
		return heir, false
	}
	seen, own := n.seen(), n.disk.view()
	voters := 0
	var low []string
	for _, s := range n.servers() {
		if s.Suffrage != raft.Voter {
			continue
		}
		voters++
		if id := string(s.ID); id == n.id && own.low || id != n.id && seen[id].Disk == gossip.DiskLow {
			low = append(low, id)
		}
	}
	heir, found := n.heir()
	roomy := found && seen[string(heir.ID)].Disk == gossip.DiskOK
	switch {
	case voters-len(low) < voters/2+1:
		refusal(fmt.Errorf("%w: less is free than the minimum on %d of %d voters (%v)", ErrDiskSpace, len(low), voters, low))
	case own.low && !roomy:
		refusal(fmt.Errorf("%w: the leader %s has %d bytes free, at least %d are wanted, and no voter with more room can lead", ErrDiskSpace, n.id, own.free, n.cfg.MinFreeDisk))
	default:
		refusal(nil)
		return heir, own.low
	}
	return heir, false
}

func (n *Node) handOver(heir raft.Server) {
	ctx, cancel := context.WithTimeout(n.ctx, n.cfg.WriteTimeout)
	defer cancel()
	if _, err := n.transfer(ctx, MemberRequest{Action: transport.ActionTransfer, NodeID: string(heir.ID)}); err != nil {
		n.log.Warn("little space is free, and the leadership was not handed over", "heir", string(heir.ID), "error", err)
		return
	}
	n.log.Warn("little space is free: the leadership was handed over", "heir", string(heir.ID))
}

// room refuses records that are not to be written for want of space, with
// ErrDiskSpace. What takes little and is needed all the same is written: API keys
// (one may have to be revoked), node keys, and the time that past states need.
func (n *Node) room(records [][]byte) error {
	refusal := n.noRoom.Load()
	if refusal == nil || *refusal == nil {
		return nil
	}
	for _, record := range records {
		if len(record) == 0 {
			return *refusal
		}
		switch assertion.Kind(record[0]) {
		case assertion.KindAPIKey, assertion.KindNodeKey, assertion.KindClock:
		default:
			return *refusal
		}
	}
	return nil
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
