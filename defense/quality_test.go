package defense

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stemedb/stemedb/assertion"
)

// TestQualityGolden has worked numbers.
func TestQualityGolden(t *testing.T) {
	for _, c := range []struct {
		name  string
		claim assertion.Assertion
		trust float64
		want  Quality
	}{
		// Eight different letters: 3 bits of at most log2 8 = 3. All sound, 8 of 8
		// letters: 0.4 + 0.2 + 0.2 + 0.2·0.5.
		{"full marks", assertion.Assertion{Subject: "garden", Predicate: "uk", Object: assertion.Number(1)}, 0.5,
			Quality{Score: 0.9, Entropy: 1, Length: 1, Structure: 1, Trust: 0.5}},
		// Two characters are too few to measure entropy; length 2 of 8:
		// 0.4 + 0.2·0.25 + 0.2.
		{"as short as it gets", assertion.Assertion{Subject: "x", Predicate: "y", Object: assertion.Number(1)}, 0,
			Quality{Score: 0.65, Entropy: 1, Length: 0.25, Structure: 1, Trust: 0}},
		// The names score 0.72 and more; of the text, nothing is sound: 0.2·0.5.
		{"one letter", assertion.Assertion{Subject: "Semaglutide", Predicate: "note", Object: assertion.Text(strings.Repeat("a", 30))}, 0.5,
			Quality{Score: 0.1, Trust: 0.5}},
		// "good word" twice is 16 of the 32 characters, the rest noise: structure
		// 0.5; length 16/24; entropy below. The letters are g2 o6 d4 w2 r2 of 16:
		// 4 − (2+6·2.585+8+2+2)/16 = 2.1556 bits, of at most 4: 0.5·0.5389.
		{"half noise", assertion.Assertion{Subject: "Semaglutide", Predicate: "note", Object: assertion.Text("good word good word xzqvkjxz xzqvkjwz")}, 0,
			Quality{Score: 0.4*0.26945 + 0.2*2/3 + 0.1, Entropy: 0.26945, Length: 2.0 / 3, Structure: 0.5}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := readText(&c.claim).quality(c.trust)
			for _, p := range [][2]float64{{got.Score, c.want.Score}, {got.Entropy, c.want.Entropy}, {got.Length, c.want.Length},
				{got.Structure, c.want.Structure}, {got.Trust, c.want.Trust}} {
				if math.Abs(p[0]-p[1]) > 5e-4 {
					t.Fatalf("%+v, want %+v", got, c.want)
				}
			}
		})
	}
}

func TestNoise(t *testing.T) {
	for _, sound := range strings.Fields(`Semaglutide nausea_rate AA-1234-ORD B12 7:10 CYP3A4 rhythm Strč prst skrz krk sulfamethoxazole ETANERCEPT
		xylophone Szczebrzeszyn Llanfairpwllgwyngyll NASA mg 東京 الرياض взгляд Angstschweiß e3b0c44298fc1c149afb`) {
		var s tokenScan
		if s.add(sound); s.sound != s.chars {
			t.Errorf("%q is noise", sound)
		}
	}
	for _, noise := range strings.Fields(`asdkjfh zxmcnbv qwrtpsdfghkl aaaa 哈哈哈哈 asdasdasd lolololol ыыыы !!!! вкпрлтмс`) {
		var s tokenScan
		if s.add(noise); s.sound != 0 || s.chars == 0 {
			t.Errorf("%q is sound", noise)
		}
	}
}

func TestQualityRisesWithTrust(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := assertion.Assertion{Subject: rapid.String().Draw(t, "subject"), Predicate: rapid.String().Draw(t, "predicate"),
			Object: assertion.Text(rapid.String().Draw(t, "text"))}
		low := rapid.Float64Range(0, 1).Draw(t, "low")
		high := rapid.Float64Range(low, 1).Draw(t, "high")
		text := readText(&a)
		l, h := text.quality(low), text.quality(high)
		if l.Score > h.Score {
			t.Fatalf("%+v at a lower trust than %+v", l, h)
		}
		for _, part := range []float64{l.Score, l.Entropy, l.Length, l.Structure} {
			if !(part >= 0 && part <= 1) {
				t.Fatalf("%+v", l)
			}
		}
	})
}

func TestJSONStrings(t *testing.T) {
	raw, err := json.Marshal(map[string]any{"note": "a \"b\"\nc\t\\", "n": 1, "list": []any{"x", map[string]any{"deep": "y"}}})
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSpace(jsonStrings(raw)), "\n")
	want := []string{"list", "x", "deep", "y", "n", "note", `a "b"`, `c \`}
	if len(got) != len(want) {
		t.Fatalf("%q, want %q", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
