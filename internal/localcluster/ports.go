package localcluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// Blocks of ports are taken from below the range from which operating systems
// pick the ports of outgoing connections: such a connection could otherwise sit
// on the port of a node that is down for a moment.
const (
	firstBlock = 20000
	lastBlock  = 31990
)

// Block is a node's block of ports, reserved against other processes that use
// this package until it is released or the process ends.
type Block struct {
	Port int
	lock *os.File
}

// ClusterPort is where the node's cluster address is.
func (b *Block) ClusterPort() int { return b.Port + clusterOffset }

// GossipPort is where the node's gossip address is.
func (b *Block) GossipPort() int { return b.Port + gossipOffset }

// Release gives the block back.
func (b *Block) Release() error { return b.lock.Close() }

// ReserveBlocks finds blocks of ports that nothing uses. The files that mark
// reservations are kept in a folder below the one for temporary files.
func ReserveBlocks(count int) (blocks []*Block, err error) {
	dir := filepath.Join(os.TempDir(), "stemedb-ports-"+strconv.Itoa(os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("reserve ports: %w", err)
	}
	total := (lastBlock-firstBlock)/PortStep + 1
	start := rand.IntN(total)
	for i := 0; i < total && len(blocks) < count; i++ {
		port := firstBlock + PortStep*((start+i)%total)
		block, err := reserve(dir, port)
		if err != nil {
			continue // taken: the next one
		}
		blocks = append(blocks, block)
	}
	if len(blocks) < count {
		errs := []error{fmt.Errorf("reserve ports: only %d of %d blocks between %d and %d are free", len(blocks), count, firstBlock, lastBlock)}
		for _, b := range blocks {
			errs = append(errs, b.Release())
		}
		return nil, errors.Join(errs...)
	}
	return blocks, nil
}

// reserve locks one block and makes sure that its ports can be listened on.
func reserve(dir string, port int) (*Block, error) {
	lock, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(port)), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	if err := PortsFree(port); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return &Block{Port: port, lock: lock}, nil
}

// PortsFree says which port of a node's block is in use, nil if none is.
func PortsFree(port int) error {
	for _, offset := range []int{httpOffset, clusterOffset, gossipOffset} {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port+offset))
		listener, err := net.Listen("tcp", address)
		if err != nil {
			return fmt.Errorf("port %d is in use: %w", port+offset, err)
		}
		listener.Close()
	}
	packets, err := net.ListenPacket("udp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port+gossipOffset)))
	if err != nil {
		return fmt.Errorf("port %d is in use: %w", port+gossipOffset, err)
	}
	return packets.Close()
}
