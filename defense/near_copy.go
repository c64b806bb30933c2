package defense

import (
	"encoding/binary"
	"fmt"

	"github.com/stemedb/stemedb/assertion"
	"github.com/zeebo/blake3"
)

// nearCopy applies the rule on floods: too many earlier claims of the same agent
// within the window hold nearly the same text.
//
// Only the text of a Text object is compared, and only if it is long enough:
// numbers, times, codes and short values recur in every honest table. The
// subject takes no part, for a flood is spread over subjects as often as not.
func (d *Defense) nearCopy(a *assertion.Assertion, t claimText, s Subject, now uint64) (Reason, bool) {
	c := d.config.Flood
	if d.flood == nil || !t.prose || len(t.object) < c.MinLetters {
		return Reason{}, false
	}
	var buf [maxFolded]byte
	text := newShingleText(t.object, buf[:0])
	if !text.comparable(c) {
		return Reason{}, false
	}
	found := d.flood.observe(s.Agent, text.folded, &observation{
		hit: hit{at: now, content: contentKey(a), text: hashText(text.folded), subject: hashText(t.subject)},
	})
	if found.action == Pass {
		return Reason{}, false
	}
	detail := fmt.Sprintf("at least %d earlier claims of this agent within %d s hold nearly the same text", c.Copies, c.WindowSeconds)
	if found.action == Flag {
		detail += "; nearly all are about different subjects and draw on few texts, as a table of set phrases does"
	}
	return Reason{Code: CodeNearCopy, Action: found.action, Detail: detail, Score: found.similarity}, true
}

// contentKey identifies the content of a claim within the memory of one agent.
func contentKey(a *assertion.Assertion) uint64 {
	sum := blake3.Sum256(a.ContentBytes())
	return binary.LittleEndian.Uint64(sum[:])
}
