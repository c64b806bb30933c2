package gossip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	// maxMembers bounds the record of members, long gone ones included.
	maxMembers = 1024
	// maxRefused bounds the refused nodes that are remembered so as to be logged
	// only once.
	maxRefused = 256
	// tcpTimeout bounds one exchange over TCP with another node. Between nodes
	// of a cluster it takes milliseconds.
	tcpTimeout = 3 * time.Second
	// lookupTimeout bounds the resolution of a name.
	lookupTimeout = 5 * time.Second
)

// ErrClosed means that the gossip has been shut down.
var ErrClosed = errors.New("the gossip is shut down")

// Config says where a node gossips and what it says.
type Config struct {
	// NodeID names the node in the gossip.
	NodeID string
	// BindAddr is where to listen, TCP and UDP (host:port; port 0 picks one).
	BindAddr string
	// AdvertiseAddr is the host that the others use: a name or an address.
	AdvertiseAddr string
	// Key, 16, 24 or 32 bytes, encrypts and authenticates all messages (AES-GCM).
	Key []byte
	// Meta is what the node says of itself at first.
	Meta Meta
	// OnReport receives the others' reports. It must not block.
	OnReport func(Report)
	// OnChange hears of each member that comes, goes or changes. It must not
	// block and may be called before Start returns.
	OnChange func(Member)
	// Shared is what all nodes hold together, by the number under which they tell
	// it each other.
	Shared map[byte]Shared
	// Now is the clock that Shared is handed; nil means time.Now.
	Now func() time.Time
	// Logger is slog.Default if nil.
	Logger *slog.Logger
}

// Gossip is one node's part in the gossip.
type Gossip struct {
	config Config
	log    *slog.Logger
	list   *memberlist.Memberlist
	addr   string

	shares []share
	stop   chan struct{} // ends the telling of shares

	calls  sync.WaitGroup // calls into memberlist that Shutdown waits for
	metaMu sync.Mutex     // held while changed metadata is told: memberlist wants one change at a time

	mu      sync.Mutex
	closed  bool
	refused map[string]string // node → its cluster: logged already
	meta    Meta
	encoded []byte
	members map[string]Member
	leaving map[string]bool // members that said goodbye and are not gone yet
}

// Start opens the ports. The node is alone until Join.
func Start(c Config) (*Gossip, error) {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	g := &Gossip{
		config: c, log: c.Logger.With("component", "gossip"), meta: c.Meta, shares: sharesOf(c.Shared), stop: make(chan struct{}),
		members: map[string]Member{}, leaving: map[string]bool{}, refused: map[string]string{},
	}
	var err error
	if g.encoded, err = c.Meta.encode(); err != nil {
		return nil, err
	}
	mc, err := g.memberlistConfig()
	if err != nil {
		return nil, err
	}
	if g.list, err = memberlist.Create(mc); err != nil {
		return nil, fmt.Errorf("open the gossip port %s: %w", c.BindAddr, err)
	}
	// Taken once: memberlist changes its node without a lock that others could
	// take.
	self := g.list.LocalNode()
	g.addr = net.JoinHostPort(self.Addr.String(), strconv.Itoa(int(self.Port)))
	if len(g.shares) > 0 {
		g.calls.Go(g.tellShares)
	}
	return g, nil
}

func (g *Gossip) memberlistConfig() (*memberlist.Config, error) {
	host, portText, err := net.SplitHostPort(g.config.BindAddr)
	if err != nil {
		return nil, fmt.Errorf("gossip address %q: %w", g.config.BindAddr, err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil, fmt.Errorf("gossip port %q: %w", portText, err)
	}
	// memberlist takes a name that it is to bind for every interface.
	if host, err = resolveHost(host); err != nil {
		return nil, err
	}
	mc := memberlist.DefaultLANConfig()
	mc.Name = g.config.NodeID
	mc.TCPTimeout = tcpTimeout
	mc.BindAddr, mc.BindPort, mc.AdvertisePort = host, port, port
	if mc.AdvertiseAddr, err = resolveHost(g.config.AdvertiseAddr); err != nil {
		return nil, err
	}
	mc.SecretKey = g.config.Key
	mc.Delegate, mc.Events, mc.Alive, mc.Merge = delegate{g}, delegate{g}, delegate{g}, delegate{g}
	// A node that comes back under its name at another address is taken at its
	// word once it has been dead for this long.
	mc.DeadNodeReclaimTime = 5 * time.Second
	mc.LogOutput = logWriter{g.log}
	return mc, nil
}

// resolveHost turns a host into the address that memberlist needs.
func resolveHost(host string) (string, error) {
	if host == "" || net.ParseIP(host) != nil {
		return host, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	ips, err := net.DefaultResolver.LookupIP(ctx, "ip", host)
	if err != nil {
		return "", fmt.Errorf("gossip host %q: %w", host, err)
	}
	for _, ip := range ips {
		if ip.To4() != nil {
			return ip.String(), nil
		}
	}
	return ips[0].String(), nil
}

// enter begins a call into memberlist that Shutdown waits for; g.calls.Done
// must follow.
func (g *Gossip) enter() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return ErrClosed
	}
	g.calls.Add(1)
	return nil
}

// Join contacts other nodes by their gossip addresses and returns how many
// answered. The error says what went wrong with the others.
func (g *Gossip) Join(ctx context.Context, addresses []string) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := g.enter(); err != nil {
		return 0, err
	}
	type outcome struct {
		joined int
		err    error
	}
	done := make(chan outcome, 1)
	go func() { // memberlist knows no context; Shutdown waits for this
		defer g.calls.Done()
		var o outcome
		for _, address := range addresses {
			if ctx.Err() != nil {
				break
			}
			n, err := g.list.Join([]string{address})
			o.joined, o.err = o.joined+n, errors.Join(o.err, err)
		}
		done <- o
	}()
	select {
	case o := <-done:
		return o.joined, o.err
	case <-ctx.Done():
		return 0, fmt.Errorf("join the gossip of %v: %w", addresses, context.Cause(ctx))
	}
}

// Addr is the gossip address that the others use.
func (g *Gossip) Addr() string { return g.addr }

// others returns the live members without this node.
func (g *Gossip) others() []Member {
	return slices.DeleteFunc(g.Members(), func(m Member) bool {
		return m.State != Alive || m.GossipAddr == g.addr
	})
}

// Members returns every member that this node knows, itself included, and those
// that are gone, ordered by name.
func (g *Gossip) Members() []Member {
	g.mu.Lock()
	defer g.mu.Unlock()
	members := make([]Member, 0, len(g.members))
	for _, m := range g.members {
		members = append(members, m)
	}
	slices.SortFunc(members, func(a, b Member) int { return strings.Compare(a.NodeID, b.NodeID) })
	return members
}

// SetMeta changes what the node says of itself and tells the others.
func (g *Gossip) SetMeta(m Meta) error {
	encoded, err := m.encode()
	if err != nil {
		return err
	}
	if err := g.enter(); err != nil {
		return err
	}
	defer g.calls.Done()
	g.metaMu.Lock()
	defer g.metaMu.Unlock()
	g.mu.Lock()
	joined := g.meta.ClusterID == "" && m.ClusterID != ""
	g.meta, g.encoded = m, encoded
	g.mu.Unlock()
	if joined {
		g.fetchShares()
	}
	if err := g.list.UpdateNode(time.Second); err != nil {
		return fmt.Errorf("tell the other nodes: %w", err)
	}
	return nil
}

// Publish sends a report to every live member, without waiting for anyone.
func (g *Gossip) Publish(r Report) {
	message, err := r.encode()
	if err != nil {
		g.log.Error("a report was not sent", "error", err)
		return
	}
	if g.enter() != nil {
		return
	}
	defer g.calls.Done()
	for _, m := range g.others() {
		if err := g.list.SendBestEffort(m.node(), message); err != nil {
			g.log.Debug("a report was not sent", "to", m.NodeID, "error", err)
		}
	}
}

// Leave says goodbye, so that the others do not take the node for dead, and
// waits up to timeout for the word to spread.
func (g *Gossip) Leave(timeout time.Duration) {
	if g.enter() != nil {
		return
	}
	defer g.calls.Done()
	others := g.others()
	if len(others) == 0 {
		return // nobody to tell
	}
	began := time.Now()
	g.sayGoodbye(others, timeout)
	if err := g.list.Leave(max(timeout-time.Since(began), time.Millisecond)); err != nil {
		// The others may be leaving too. They find out by themselves.
		g.log.Debug("the goodbye was not passed on in time", "error", err)
	}
}

// sayGoodbye tells each of the others, all at once: one that has died
// unnoticed must not use up the time of the rest.
func (g *Gossip) sayGoodbye(others []Member, timeout time.Duration) {
	told := make(chan struct{}, len(others))
	message := append([]byte{goodbyeMessage}, g.config.NodeID...)
	for _, m := range others {
		if g.enter() != nil {
			return
		}
		go func() { // Shutdown waits for it, at most tcpTimeout
			defer g.calls.Done()
			if err := g.list.SendReliable(m.node(), message); err != nil {
				g.log.Debug("no goodbye", "to", m.NodeID, "error", err)
			}
			told <- struct{}{}
		}()
	}
	timer := time.NewTimer(timeout / 2) // the rest is for memberlist's own word
	defer timer.Stop()
	for range others {
		select {
		case <-told:
		case <-timer.C:
			return
		}
	}
}

// Shutdown closes the ports and waits for the calls that are under way.
func (g *Gossip) Shutdown() error {
	g.mu.Lock()
	if !g.closed {
		close(g.stop)
	}
	g.closed = true
	g.mu.Unlock()
	g.calls.Wait()
	return g.list.Shutdown()
}

// delegate receives memberlist's callbacks.
type delegate struct{ g *Gossip }

var errOtherCluster = errors.New("the node belongs to another cluster")

// admit refuses a node of another cluster.
func (d delegate) admit(n *memberlist.Node) error {
	meta, err := decodeMeta(n.Meta)
	if err != nil {
		return err
	}
	d.g.mu.Lock()
	own := d.g.meta.ClusterID
	foreign := own != "" && meta.ClusterID != "" && own != meta.ClusterID
	first := foreign && d.g.refused[n.Name] != meta.ClusterID
	if first && len(d.g.refused) < maxRefused {
		d.g.refused[n.Name] = meta.ClusterID
	}
	d.g.mu.Unlock()
	if first {
		d.g.log.Warn("refused a node of another cluster", "other_node", n.Name, "own", own, "other", meta.ClusterID)
	}
	if foreign {
		return fmt.Errorf("%w: %s is in %s, this node in %s", errOtherCluster, n.Name, meta.ClusterID, own)
	}
	return nil
}

// NotifyAlive implements memberlist.AliveDelegate.
func (d delegate) NotifyAlive(n *memberlist.Node) error { return d.admit(n) }

// NotifyMerge implements memberlist.MergeDelegate.
func (d delegate) NotifyMerge(peers []*memberlist.Node) error {
	for _, n := range peers {
		if n.State == memberlist.StateDead || n.State == memberlist.StateLeft {
			continue // a memory of the other side, not a part of it
		}
		if err := d.admit(n); err != nil {
			return err
		}
	}
	return nil
}

// NotifyJoin implements memberlist.EventDelegate.
func (d delegate) NotifyJoin(n *memberlist.Node) { d.note(n, Alive) }

// NotifyUpdate implements memberlist.EventDelegate.
func (d delegate) NotifyUpdate(n *memberlist.Node) { d.note(n, Alive) }

// NotifyLeave implements memberlist.EventDelegate.
func (d delegate) NotifyLeave(n *memberlist.Node) {
	// memberlist does not tell the two apart here; the goodbye does.
	d.g.mu.Lock()
	state := Dead
	if d.g.leaving[n.Name] {
		state = Left
	}
	d.g.mu.Unlock()
	d.note(n, state)
}

// note records a member's state.
func (d delegate) note(n *memberlist.Node, state State) {
	meta, err := decodeMeta(n.Meta)
	if err != nil {
		d.g.log.Warn("a member's metadata is ignored", "other_node", n.Name, "error", err)
		return
	}
	m := Member{Meta: meta, GossipAddr: net.JoinHostPort(n.Addr.String(), strconv.Itoa(int(n.Port))), State: state, Since: time.Now()}
	d.g.mu.Lock()
	if old, known := d.g.members[n.Name]; known && old.State == state {
		m.Since = old.Since
	}
	d.g.members[n.Name] = m
	delete(d.g.leaving, n.Name)
	d.g.forgetOldest()
	closed := d.g.closed
	d.g.mu.Unlock()
	if d.g.config.OnChange != nil && !closed {
		d.g.config.OnChange(m)
	}
}

// forgetOldest keeps the record bounded: the member that is gone for longest
// goes first.
func (g *Gossip) forgetOldest() {
	if len(g.members) <= maxMembers {
		return
	}
	oldest := ""
	for name, m := range g.members {
		if m.State != Alive && (oldest == "" || m.Since.Before(g.members[oldest].Since)) {
			oldest = name
		}
	}
	delete(g.members, oldest)
}

// NodeMeta implements memberlist.Delegate.
func (d delegate) NodeMeta(int) []byte {
	d.g.mu.Lock()
	defer d.g.mu.Unlock()
	return d.g.encoded
}

// NotifyMsg implements memberlist.Delegate.
func (d delegate) NotifyMsg(message []byte) {
	switch {
	case len(message) > 0 && message[0] == goodbyeMessage:
		d.g.noteGoodbye(string(message[1:]))
		return
	case len(message) > 0 && message[0] == sharedMessage:
		d.g.mergeShares(message)
		return
	}
	report, err := decodeReport(message)
	if err != nil {
		d.g.log.Debug("a gossip message is ignored", "error", err)
		return
	}
	if d.g.config.OnReport != nil && report.NodeID != d.g.config.NodeID {
		d.g.config.OnReport(report)
	}
}

// lateGoodbye is how long after a member's end its goodbye still counts: memberlist's
// own word of the end comes by another way and may be faster.
const lateGoodbye = 5 * time.Second

// noteGoodbye notes that a live member is about to leave, or that one which has just
// ended said goodbye. Since stays the moment of its end.
func (g *Gossip) noteGoodbye(name string) {
	g.mu.Lock()
	m, known := g.members[name]
	late := known && m.State == Dead && time.Since(m.Since) < lateGoodbye && !g.closed
	switch {
	case late:
		m.State = Left
		g.members[name] = m
	case known && m.State == Alive:
		g.leaving[name] = true
	}
	g.mu.Unlock()
	if late && g.config.OnChange != nil {
		g.config.OnChange(m)
	}
}

// GetBroadcasts implements memberlist.Delegate: reports are sent directly.
func (delegate) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState implements memberlist.Delegate: all of the shares.
func (d delegate) LocalState(bool) []byte { return d.g.wholeShares() }

// MergeRemoteState implements memberlist.Delegate.
func (d delegate) MergeRemoteState(state []byte, _ bool) { d.g.mergeShares(state) }

// logWriter turns memberlist's log lines into slog's.
type logWriter struct{ log *slog.Logger }

// Write implements io.Writer for one line at a time.
func (w logWriter) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	level := slog.LevelInfo
	for mark, l := range map[string]slog.Level{"[DEBUG]": slog.LevelDebug, "[INFO]": slog.LevelInfo, "[WARN]": slog.LevelWarn, "[ERR]": slog.LevelError} {
		if at := strings.Index(text, mark); at >= 0 {
			level, text = l, strings.TrimPrefix(strings.TrimSpace(text[at+len(mark):]), "memberlist: ")
			break
		}
	}
	// The delegate that refused the node has said why, once; memberlist says it
	// again with every packet that mentions the node.
	if strings.HasPrefix(text, "ignoring alive message") {
		level = slog.LevelDebug
	}
	w.log.Log(context.Background(), level, text)
	return len(line), nil
}
