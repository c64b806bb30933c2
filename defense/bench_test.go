package defense_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/defense"
)

// BenchmarkInspect measures one claim: a number, a short text, a sentence that
// the flood rule compares, an abstract of 300 words, and a sentence in Chinese.
func BenchmarkInspect(b *testing.B) {
	sentence := "Patients in the higher dose arm reported nausea more often than those on placebo"
	for _, c := range []struct {
		name   string
		object assertion.ObjectValue
	}{
		{"number", assertion.Number(44.2)},
		{"short_text", assertion.Text("7:10 a.m.")},
		{"short_sentence", assertion.Text("mild to moderate nausea")},
		{"sentence", assertion.Text(sentence)},
		{"abstract", assertion.Text(strings.Repeat(sentence+" and this was so. ", 15))},
		{"chinese", assertion.Text("司美格鲁肽治疗组患者的恶心发生率高于安慰剂组，多为轻至中度")},
	} {
		b.Run(c.name, func(b *testing.B) {
			d, err := defense.New(defense.DefaultConfig())
			if err != nil {
				b.Fatal(err)
			}
			a := &assertion.Assertion{Subject: "Semaglutide:Obesity", Predicate: "nausea_rate", Object: c.object, Confidence: 0.7}
			who := defense.Subject{Agent: agent("a"), Trust: 0.5}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				a.Timestamp = uint64(i)
				d.Inspect(a, who, 1_780_000_000)
			}
		})
	}
}

// BenchmarkInspectFullMemory measures a sentence against an agent's full memory,
// by many agents at once.
func BenchmarkInspectFullMemory(b *testing.B) {
	d, err := defense.New(defense.DefaultConfig())
	if err != nil {
		b.Fatal(err)
	}
	for i := range 300 {
		a := assertion.Assertion{Subject: "s", Predicate: "p", Object: assertion.Text(sentenceOf(i))}
		d.Inspect(&a, defense.Subject{Agent: agent("a"), Trust: 0.5}, 1)
	}
	b.ReportAllocs()
	var n atomic.Uint64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			a := assertion.Assertion{Subject: "s", Predicate: "p", Object: assertion.Text(sentenceOf(int(i))), Timestamp: i}
			d.Inspect(&a, defense.Subject{Agent: agent("a"), Trust: 0.5}, 1)
		}
	})
}

// BenchmarkInspectManyAgents measures the honest hot path: 10,000 agents in turn
// that each state a few different sentences of about 150 characters within the
// window.
func BenchmarkInspectManyAgents(b *testing.B) {
	d, err := defense.New(defense.DefaultConfig())
	if err != nil {
		b.Fatal(err)
	}
	const agents, each = 10_000, 6
	ids := make([]defense.Subject, agents)
	for i := range ids {
		ids[i] = defense.Subject{Agent: agent(fmt.Sprint(i)), Trust: 0.5}
	}
	claims := make([]assertion.Assertion, 4096)
	for i := range claims {
		claims[i] = assertion.Assertion{Subject: "Semaglutide:Obesity", Predicate: "adverse_events", Timestamp: uint64(i), Confidence: 0.7,
			Object: assertion.Text(fmt.Sprintf("In cohort %d the harbour survey reported %sand a decline of %d %%.", i, sentenceOf(i), i%90))}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		// An agent returns after 10,000 claims, and states each sixth in a window.
		now := 1_780_000_000 + 3600*uint64(i)/(agents*each)
		d.Inspect(&claims[i%len(claims)], ids[i%agents], now)
	}
}

// sentenceOf returns a sentence of twelve words that differs from those of other
// numbers.
func sentenceOf(i int) string {
	stems := strings.Fields("harbour lantern meadow quarry saddle timber velvet walnut anchor basket copper dragon ember forest garden hollow")
	var b strings.Builder
	for k := range 12 {
		i = i*1103515245 + 12345 + k
		b.WriteString(stems[(uint(i)>>8)%uint(len(stems))])
		b.WriteByte(' ')
	}
	return b.String()
}
