package gossip

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"time"
)

// Shared is state of which every node holds a part that it changes itself and
// learns the others' from messages. Messages get lost, come twice and in any
// order. None of the methods may block, all may be called at the same time.
type Shared interface {
	// Changes is the next message of what changed on this node since it was last
	// told, at most limit bytes, which are at least 1,024; nil if nothing did.
	Changes(now time.Time, limit int) []byte
	// State is a message of everything that this node knows, its own changes and
	// the others'; the most important of it, if limit bytes do not hold all.
	State(now time.Time, limit int) []byte
	// Merge takes in a message of another node.
	Merge(now time.Time, message []byte) error
}

const (
	// shareInterval is how often changes are told.
	shareInterval = 200 * time.Millisecond
	// maxPacket bounds one message of changes, so that it fits into one packet.
	maxPacket = 1200
	// maxPackets bounds the messages of one share in one interval to one member:
	// 384 kB/s.
	maxPackets = 64
	// maxState bounds a share in an exchange of everything.
	maxState = 1 << 20
	// fetchFrom is how many members are asked for everything by a node that has
	// just become part of a cluster.
	fetchFrom = 3
)

var (
	errShareForm    = errors.New("the message ends early or is of another kind")
	errUnknownShare = errors.New("this node does not share it")
)

// share is a Shared with its number.
type share struct {
	Shared
	id byte
}

// sharesOf orders what is shared by number.
func sharesOf(all map[byte]Shared) []share {
	shares := make([]share, 0, len(all))
	for _, id := range slices.Sorted(maps.Keys(all)) {
		shares = append(shares, share{all[id], id})
	}
	return shares
}

// clusterID is the cluster that this node is part of, "" if of none yet.
func (g *Gossip) clusterID() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.meta.ClusterID
}

// tellShares tells the others what changes here, until Shutdown.
func (g *Gossip) tellShares() {
	ticker := time.NewTicker(shareInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			g.tellSharesOnce()
		case <-g.stop:
			return
		}
	}
}

// tellSharesOnce asks for changes also if nobody is there to hear of them: they
// are not to pile up. Who comes later gets the whole state.
func (g *Gossip) tellSharesOnce() {
	head := sharedHead(g.clusterID())
	others := g.others()
	for _, s := range g.shares {
		for range maxPackets {
			changes := s.Changes(g.config.Now(), maxPacket-len(head)-maxPartHead)
			if changes == nil {
				break
			}
			message := appendPart(slices.Clip(head), s.id, changes)
			for _, m := range others {
				if err := g.list.SendBestEffort(m.node(), message); err != nil {
					g.log.Debug("a change was not sent", "to", m.NodeID, "error", err)
				}
			}
		}
	}
}

// fetchShares exchanges everything with some members, without waiting for
// them: before the node had a cluster, it took nothing from anybody.
func (g *Gossip) fetchShares() {
	others := g.others()
	if len(g.shares) == 0 || len(others) == 0 || g.enter() != nil {
		return
	}
	var addresses []string
	for _, m := range others[:min(len(others), fetchFrom)] {
		addresses = append(addresses, m.GossipAddr)
	}
	go func() { // Shutdown waits for it, at most tcpTimeout for each
		defer g.calls.Done()
		if n, err := g.list.Join(addresses); err != nil {
			g.log.Debug("not every member told what is shared", "members", n, "error", err)
		}
	}()
}

// wholeShares is a message of all that is shared.
func (g *Gossip) wholeShares() []byte {
	if len(g.shares) == 0 {
		return nil
	}
	message := sharedHead(g.clusterID())
	for _, s := range g.shares {
		message = appendPart(message, s.id, s.State(g.config.Now(), maxState))
	}
	return message
}

// mergeShares takes in what another node of the same cluster tells.
func (g *Gossip) mergeShares(message []byte) {
	if len(message) == 0 {
		return // the other node shares nothing
	}
	cluster, parts, err := splitShared(message)
	if err != nil {
		g.log.Debug("a message of what is shared is ignored", "error", err)
		return
	}
	if own := g.clusterID(); own == "" || cluster != own {
		return
	}
	for _, p := range parts {
		err := errUnknownShare
		if at := slices.IndexFunc(g.shares, func(s share) bool { return s.id == p.id }); at >= 0 {
			err = g.shares[at].Merge(g.config.Now(), p.message)
		}
		if err != nil {
			g.log.Debug("what another node shares is ignored in part", "share", p.id, "error", err)
		}
	}
}

// A message of what is shared: sharedMessage, the length of the sender's
// cluster as uvarint and the cluster; then parts up to the end: the number of
// the share, the length of its message as uvarint, the message.
func sharedHead(cluster string) []byte {
	b := binary.AppendUvarint([]byte{sharedMessage}, uint64(len(cluster)))
	return append(b, cluster...)
}

// maxPartHead is the most that comes before the message of a part.
const maxPartHead = 1 + binary.MaxVarintLen32

type part struct {
	id      byte
	message []byte
}

func appendPart(b []byte, id byte, message []byte) []byte {
	b = binary.AppendUvarint(append(b, id), uint64(len(message)))
	return append(b, message...)
}

func splitShared(b []byte) (cluster string, parts []part, err error) {
	if b[0] != sharedMessage {
		return "", nil, errShareForm
	}
	head, b, ok := cutField(b)
	for ok && len(b) > 0 {
		p := part{id: b[0]}
		p.message, b, ok = cutField(b)
		parts = append(parts, p)
	}
	if !ok {
		return "", nil, errShareForm
	}
	return string(head), parts, nil
}

// cutField cuts what follows one byte: its length and as many bytes.
func cutField(b []byte) (field, rest []byte, ok bool) {
	n, size := binary.Uvarint(b[1:])
	if size <= 0 || n > uint64(len(b)-1-size) {
		return nil, nil, false
	}
	b = b[1+size:]
	return b[:n], b[n:], true
}
