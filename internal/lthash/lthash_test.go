package lthash

import (
	"testing"

	"pgregory.net/rapid"
)

// A set has one state, whatever the order, the parts and the detours.
func TestStateIsThatOfTheSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		elements := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 40), 0, 12).Draw(t, "elements")
		x := NewExpander("test")
		var inOrder, shuffled, other State
		for _, e := range elements {
			inOrder.Add(x.Expand(e))
		}
		for i, e := range rapid.Permutation(elements).Draw(t, "shuffled") {
			part := &shuffled
			if i%2 == 1 {
				part = &other
			}
			part.Add(x.Expand(e))
		}
		gone := x.Expand([]byte("an element that goes again"))
		shuffled.Add(gone)
		shuffled.AddState(&other)
		if len(elements) > 0 && shuffled.Sum() == inOrder.Sum() {
			t.Fatal("an element more has the same state")
		}
		shuffled.Remove(x.Expand([]byte("an element that goes again")))
		if shuffled != inOrder {
			t.Fatal("the same set has two states")
		}
	})
}
