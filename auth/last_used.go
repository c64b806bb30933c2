package auth

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"
)

// maxKeyID bounds the id of a key in a message, in bytes.
const maxKeyID = 32

// maxUsedKeys bounds the keys whose last use is remembered; of others it is not.
const maxUsedKeys = 16_384

// LastUsed is when each API key was last used on whatever node, as far as the
// nodes have told each other. It is kept in memory only.
type LastUsed struct {
	keys  sync.Map // id → *usedKey
	count atomic.Int64
	mu    sync.Mutex // held while changes are told
}

// usedKey is the last use of a key, unix seconds, as known here and as told to
// the others.
type usedKey struct{ at, told atomic.Uint64 }

// NewLastUsed returns one that knows of no use.
func NewLastUsed() *LastUsed { return &LastUsed{} }

// Use notes a use of a key, at a cost that no request feels.
func (u *LastUsed) Use(id string, now time.Time) { u.note(id, uint64(max(now.Unix(), 0))) }

// At is when a key was last used, unix seconds; 0 if that is not known.
func (u *LastUsed) At(id string) uint64 {
	if k := u.key(id); k != nil {
		return k.at.Load()
	}
	return 0
}

func (u *LastUsed) key(id string) *usedKey {
	if held, ok := u.keys.Load(id); ok {
		return held.(*usedKey) //nolint:forcetypeassert // keys holds nothing else
	}
	return nil
}

// note moves the last use of a key forward, and returns the key; nil if there
// are too many.
func (u *LastUsed) note(id string, at uint64) *usedKey {
	k := u.key(id)
	if k == nil {
		if u.count.Load() >= maxUsedKeys {
			return nil
		}
		held, known := u.keys.LoadOrStore(id, new(usedKey))
		if !known {
			u.count.Add(1)
		}
		k = held.(*usedKey) //nolint:forcetypeassert // keys holds nothing else
	}
	for {
		old := k.at.Load()
		if at <= old || k.at.CompareAndSwap(old, at) {
			return k
		}
	}
}

// lastUsedForm begins every message: the version, then for each key the length
// of its id in one byte, the id, and the time as uvarint.
const lastUsedForm = 1

// Changes is the next message of what changed on this node since it was last
// told, at most limit bytes; nil if nothing did.
func (u *LastUsed) Changes(_ time.Time, limit int) []byte {
	u.mu.Lock()
	defer u.mu.Unlock()
	b := []byte{lastUsedForm}
	u.keys.Range(func(id, held any) bool {
		k := held.(*usedKey) //nolint:forcetypeassert // keys holds nothing else
		at := k.at.Load()
		if at == k.told.Load() {
			return true
		}
		more := appendLastUse(b, id.(string), at) //nolint:forcetypeassert // nor other keys
		if len(more) > limit {
			return false
		}
		b = more
		k.told.Store(at)
		return true
	})
	if len(b) == 1 {
		return nil
	}
	return b
}

// State is a message of everything that this node knows; of the latest uses, if
// limit bytes do not hold all.
func (u *LastUsed) State(_ time.Time, limit int) []byte {
	var told []line
	u.keys.Range(func(id, held any) bool {
		at := held.(*usedKey).at.Load()                                    //nolint:forcetypeassert // keys holds nothing else
		told = append(told, line{at, appendLastUse(nil, id.(string), at)}) //nolint:forcetypeassert // nor other keys
		return true
	})
	return appendLines([]byte{lastUsedForm}, told, limit)
}

func appendLastUse(b []byte, id string, at uint64) []byte {
	return binary.AppendUvarint(append(append(b, byte(len(id))), id...), at)
}

// Merge takes in what another node tells. The error says that a message is not
// well-formed or tells of times more than a minute ahead; what comes before the
// fault is taken in.
func (u *LastUsed) Merge(now time.Time, message []byte) error {
	r := begin(message, lastUsedForm)
	latest := uint64(max(now.Add(maxAhead).Unix(), 0))
	for r.more() {
		n := int(r.byte())
		id, at := string(r.take(n)), r.uvarint(1<<63)
		switch {
		case r.err != nil:
		case n == 0 || n > maxKeyID:
			r.fail(errShort)
		case at > latest:
			r.fail(errAhead)
		default:
			if k := u.note(id, at); k != nil && k.at.Load() == at {
				k.told.Store(at) // the others hear it from where it was used
			}
		}
	}
	return r.err
}
