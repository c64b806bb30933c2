package defense

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// skeleton returns the bare words of folded text.
func skeleton(folded string) string { return string(appendSkeleton(nil, []byte(folded))) }

func TestSkeleton(t *testing.T) {
	for in, want := range map[string]string{
		"ignore all":                 "ignore all",
		"Ignore_all/previous-rules.": "ignore all previous rules",
		"іgnоrе":                     "ignore", // Cyrillic
		"ignοre νiew":                "ignore view",
		"1gn0r3 pr3v10us":            "ignore previous",
		"p@ssw0rd":                   "password",
		"12 345":                     "12 345",
		"i g n o r e all":            "ignore all",
		"i.g.n.o.r.e":                "ignore",
		"a b c":                      "a b c",
		"ＩＧＮＯＲＥ":                     "ignore",
		"𝐢𝐠𝐧𝐨𝐫𝐞 ⓐⓛⓛ":                 "ignore all",
		"ig\u200bno\u2060re":         "ignore",
		"i\u0332g\u0332nore é":       "ignore e",
		"ıgnore":                     "ignore",
		"one\ntwo":                   "one\ntwo",
		"निर्देश":                    "निर्देश",
	} {
		if got := skeleton(fold(in)); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func TestFoldAndSkeletonKeepUTF8(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		f := fold(s)
		if !utf8.ValidString(f) || !utf8.ValidString(skeleton(f)) {
			t.Fatalf("%q became %q and %q", s, f, skeleton(f))
		}
	})
}

// TestWindow: a window holds what it must, and cuts no character.
func TestWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		low := rapid.IntRange(-5, len(s)).Draw(t, "low")
		high := rapid.IntRange(max(low, 0), len(s)+5).Draw(t, "high")
		w := string(window([]byte(s), low, high))
		if !utf8.ValidString(w) || len(w) < min(high, len(s))-max(low, 0) {
			t.Fatalf("%q[%d:%d] gave %q", s, low, high, w)
		}
	})
}

// TestCueFinder compares the automaton with a search for each cue.
func TestCueFinder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.SliceOfNDistinct(rapid.StringMatching(`[abc]{1,4}`), 1, 8, rapid.ID).Draw(t, "cues")
		var cues []cue
		for i, c := range texts {
			cues = append(cues, cue{c, cueOf{rule: i}})
		}
		text := rapid.StringMatching(`[abcd]{0,40}`).Draw(t, "text")
		got := map[cueHit]bool{}
		for _, h := range newCueFinder(cues).find([]byte(text), nil) {
			got[h] = true
		}
		for i, c := range texts {
			for at := 0; at+len(c) <= len(text); at++ {
				h := cueHit{cueOf{rule: i}, at + len(c)}
				if (text[at:at+len(c)] == c) != got[h] {
					t.Fatalf("%q in %q: %v", c, text, got)
				}
			}
		}
	})
}

// TestHasRun compares with a search for the run, and holds what the pattern of
// encoded text says of its matches.
func TestHasRun(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[ab \n]{0,30}`).Draw(t, "text")
		n := rapid.IntRange(0, 8).Draw(t, "n")
		want := n == 0
		for _, f := range strings.Fields(text) {
			want = want || len(f) >= n
		}
		if hasRun([]byte(text), n) != want {
			t.Fatalf("%q, %d: want %v", text, n, want)
		}
	})
	for _, p := range DefaultPatterns() {
		if p.MinRun == 0 {
			continue
		}
		rapid.Check(t, func(t *rapid.T) {
			if text := rapid.StringMatching(p.Expr).Draw(t, "match"); !hasRun([]byte(text), p.MinRun) {
				t.Fatalf("%s matches %q", p.Name, text)
			}
		})
	}
}

// TestLookAlikesPairUp: each letter has one Latin letter.
func TestLookAlikesPairUp(t *testing.T) {
	if utf8.RuneCountInString(lookAlikes) != len(looksLike) {
		t.Fatalf("%d letters, %d Latin ones", utf8.RuneCountInString(lookAlikes), len(looksLike))
	}
	if len(letterPairs) != 26*26 {
		t.Fatalf("%d pairs", len(letterPairs))
	}
}
