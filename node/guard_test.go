package node

import (
	"errors"
	"testing"
)

// members makes members from one letter each: V a voter that answers, v one that
// does not, N and n likewise for non-voters. The first one is called a.
func members(shape string) (all []standing) {
	for i, kind := range shape {
		all = append(all, standing{id: string(rune('a' + i)), voter: kind == 'V' || kind == 'v', live: kind == 'V' || kind == 'N', leader: i == 0})
	}
	return all
}

func TestQuorumGuard(t *testing.T) {
	remove := func(id string) func([]standing) []standing {
		return func(m []standing) []standing { return without(m, id) }
	}
	suffrage := func(id string, voter bool) func([]standing) []standing {
		return func(m []standing) []standing { return voting(m, id, voter) }
	}
	for _, tc := range []struct {
		what           string
		shape          string
		change         func([]standing) []standing
		refused, never bool // never: not even by force
	}{
		{"a live one of three", "VVV", remove("b"), false, false},
		{"a dead one of three", "VVv", remove("c"), false, false},
		{"a live one of three while one is dead", "VVv", remove("b"), true, false},
		{"one of two", "VV", remove("b"), false, false},
		{"the dead one of two", "Vv", remove("b"), false, false},
		{"the last one", "V", remove("a"), true, true},
		{"the last voter beside a replica", "VN", remove("a"), true, true},
		{"a live one of five, two dead", "VVVvv", remove("b"), true, false},
		{"a dead one of five, two dead", "VVVvv", remove("d"), false, false},
		{"a replica, however few voters answer", "VVvN", remove("d"), false, false},
		{"demoting one of three", "VVV", suffrage("b", false), false, false},
		{"demoting a live one while one is dead", "VVv", suffrage("b", false), true, false},
		{"demoting the last voter", "VN", suffrage("a", false), true, true},
		{"promoting a live one", "VVvN", suffrage("d", true), false, false},
		{"promoting a dead one beside a dead one", "VVvn", suffrage("d", true), true, false},
		{"promoting a dead one of two", "Vn", suffrage("b", true), true, false},
	} {
		before := members(tc.shape)
		after := tc.change(before)
		if err := quorumGuard(after, tc.what, false); (err != nil) != tc.refused || err != nil && !errors.Is(err, ErrQuorumAtRisk) {
			t.Errorf("%s of %s: %v, refused should be %v", tc.what, tc.shape, err, tc.refused)
		}
		if err := quorumGuard(after, tc.what, true); (err != nil) != tc.never {
			t.Errorf("%s of %s by force: %v, refused should be %v", tc.what, tc.shape, err, tc.never)
		}
		for i, m := range members(tc.shape) {
			if before[i] != m {
				t.Errorf("%s: the guard changed what it was given", tc.what)
			}
		}
	}
}
