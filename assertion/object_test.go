package assertion

import (
	"encoding/json"
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestObjectAccessors(t *testing.T) {
	for _, test := range []struct {
		value ObjectValue
		kind  ObjectKind
		human string
		json  string
	}{
		{Text("a <b>"), KindText, "a <b>", `{"type":"Text","value":"a \u003cb\u003e"}`},
		{Number(96.7), KindNumber, "96.7", `{"type":"Number","value":96.7}`},
		{Number(math.Copysign(0, -1)), KindNumber, "0", `{"type":"Number","value":0}`},
		{Boolean(true), KindBoolean, "true", `{"type":"Boolean","value":true}`},
		{Boolean(false), KindBoolean, "false", `{"type":"Boolean","value":false}`},
		{Reference("MeSH:D009325"), KindReference, "→MeSH:D009325", `{"type":"Reference","value":"MeSH:D009325"}`},
	} {
		v := test.value
		text, isText := v.Text()
		number, isNumber := v.Number()
		truth, isBoolean := v.Boolean()
		entity, isReference := v.Reference()
		rebuilt := map[ObjectKind]ObjectValue{
			KindText: Text(text), KindNumber: Number(number), KindBoolean: Boolean(truth), KindReference: Reference(entity)}[test.kind]
		if v.Kind() != test.kind || rebuilt != v || v.IsZero() || v.String() != test.human ||
			isText != (test.kind == KindText) || isNumber != (test.kind == KindNumber) ||
			isBoolean != (test.kind == KindBoolean) || isReference != (test.kind == KindReference) {
			t.Errorf("%#v, rebuilt %#v, shown %q", v, rebuilt, v)
		}
		if written, err := json.Marshal(v); err != nil || string(written) != test.json {
			t.Errorf("%s, %v; want %s", written, err, test.json)
		}
	}
}

// TestObjectJSONForms: both forms are read, in any order of members; only the
// long one is written.
func TestObjectJSONForms(t *testing.T) {
	for text, want := range map[string]ObjectValue{
		`{"Number":96.7}`:                    Number(96.7),
		`{"Number":-0.0}`:                    Number(0),
		`{"Text":"NaN"}`:                     Text("NaN"),
		`{"type":"Text","value":"Infinity"}`: Text("Infinity"),
		`{"value":"NaN","type":"Reference"}`: Reference("NaN"),
		`{"value":1e2,"type":"Number"}`:      Number(100),
		` { "Boolean" : true } `:             Boolean(true),
		`{"type":"Boolean","value":false}`:   Boolean(false),
		`{"Reference":"\ud83d\ude00"}`:       Reference("😀"),
		`{"Number":5e-324}`:                  Number(5e-324),
		`{"Number":1.7976931348623157e308}`:  Number(math.MaxFloat64),
		`{"Number":1e-400}`:                  Number(0),
		`{"Text":"\"\\\/\b\f\n\r\t\u00e9"}`:  Text("\"\\/\b\f\n\r\té"),
	} {
		var got ObjectValue
		if err := json.Unmarshal([]byte(text), &got); err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", text, got, err, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		want := genObject().Draw(t, "object")
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got ObjectValue
		if err := json.Unmarshal(text, &got); err != nil || got != want {
			t.Fatalf("%s: %v, %v; want %v", text, got, err, want)
		}
	})
	for _, v := range []ObjectValue{{}, Number(math.NaN()), Number(math.Inf(1))} {
		if text, err := json.Marshal(v); err == nil {
			t.Errorf("%v is written %s", v, text)
		}
	}
}

func TestHashText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := genHash().Draw(t, "hash")
		got, err := ParseHash(want.String())
		if err != nil || got != want {
			t.Fatalf("%s: %s, %v", want, got, err)
		}
		agent, err := ParseAgentID(want.String())
		if err != nil || agent != AgentID(want) || agent.String() != want.String() {
			t.Fatalf("%s: %s, %v", want, agent, err)
		}
	})
	for _, text := range []string{"", "00", repeat("0", 63), repeat("0", 65), repeat("0", 63) + "G",
		repeat("A", 64), repeat("0", 62) + " 0", "0x" + repeat("0", 62), repeat("é", 32)} {
		if _, err := ParseHash(text); codeOf(t, err) != CodeHashInvalid {
			t.Errorf("%q: %v", text, err)
		}
	}
	if !(Hash{}).IsZero() || (Hash{31: 1}).IsZero() || !(AgentID{}).IsZero() || (AgentID{31: 1}).IsZero() {
		t.Error("IsZero")
	}
}
