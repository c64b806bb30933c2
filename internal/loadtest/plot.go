package loadtest

import (
	"fmt"
	"html/template"
	"math"
	"strings"
)

// plot is a chart with lines, drawn as SVG.
type plot struct {
	title  string
	x, y   string // names of the axes, with units
	ticks  []tick // of the x axis; none: round numbers
	lines  []line
	limit  float64   // a dashed line at this height; 0: none
	marks  []float64 // dashed vertical lines
	toZero bool      // the y axis begins at 0
	powers bool      // y is the decimal logarithm of what the axis names
}

type line struct {
	name   string
	points []point
}

type point struct{ x, y float64 }

type tick struct {
	at   float64
	text string
}

const (
	plotWidth, plotHeight           = 860.0, 260.0
	marginLeft, marginRight         = 70.0, 16.0
	marginTop, marginBottom         = 28.0, 60.0
	innerWidth                      = plotWidth - marginLeft - marginRight
	innerHeight                     = plotHeight - marginTop - marginBottom
	legendBelow, tickBelow, tickGap = 52.0, 16.0, 6.0
)

var colours = []string{"#1f5fa8", "#c2410c", "#15803d", "#7e22ce", "#0e7490", "#a16207"}

// bounds are the smallest and largest of what is drawn.
func (p plot) bounds() (x0, x1, y0, y1 float64, drawn bool) {
	x0, y0, x1, y1 = math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)
	for _, l := range p.lines {
		for _, pt := range l.points {
			x0, x1, y0, y1, drawn = min(x0, pt.x), max(x1, pt.x), min(y0, pt.y), max(y1, pt.y), true
		}
	}
	if p.limit > 0 {
		y1 = max(y1, p.limit)
	}
	if p.toZero {
		y0 = min(y0, 0)
	}
	if x1 == x0 {
		x1 = x0 + 1
	}
	if y1 == y0 {
		y1 = y0 + 1
	}
	return x0, x1, y0, y1 + (y1-y0)*0.05, drawn
}

// svg draws the plot. Every text in it is escaped.
func (p plot) svg() template.HTML {
	x0, x1, y0, y1, drawn := p.bounds()
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" role="img" aria-label="%s">`, plotWidth, plotHeight, template.HTMLEscapeString(p.title))
	text(&b, marginLeft, 16, "start", "title", p.title)
	if !drawn {
		text(&b, plotWidth/2, plotHeight/2, "middle", "", "nothing was measured")
		b.WriteString("</svg>")
		return template.HTML(b.String())
	}
	px := func(x float64) float64 { return marginLeft + (x-x0)/(x1-x0)*innerWidth }
	py := func(y float64) float64 { return marginTop + innerHeight - (y-y0)/(y1-y0)*innerHeight }
	heights := roundTicks(y0, y1, 5)
	if p.powers {
		heights = powerTicks(y0, y1)
	}
	for _, t := range heights {
		rule(&b, "grid", marginLeft, py(t.at), marginLeft+innerWidth, py(t.at))
		text(&b, marginLeft-tickGap, py(t.at)+4, "end", "", t.text)
	}
	ticks := p.ticks
	if ticks == nil {
		ticks = roundTicks(x0, x1, 8)
	}
	for _, t := range ticks {
		rule(&b, "grid", px(t.at), marginTop, px(t.at), marginTop+innerHeight)
		text(&b, px(t.at), marginTop+innerHeight+tickBelow, "middle", "", t.text)
	}
	text(&b, marginLeft+innerWidth, marginTop+innerHeight+2*tickBelow, "end", "axis", p.x)
	text(&b, marginLeft+innerWidth, 16, "end", "axis", p.y)
	if p.limit > 0 {
		rule(&b, "limit", marginLeft, py(p.limit), marginLeft+innerWidth, py(p.limit))
	}
	for _, m := range p.marks {
		rule(&b, "limit", px(m), marginTop, px(m), marginTop+innerHeight)
	}
	at := marginLeft
	for i, l := range p.lines {
		colour := colours[i%len(colours)]
		fmt.Fprintf(&b, `<polyline fill="none" stroke="%s" stroke-width="1.5" points="`, colour)
		for _, pt := range l.points {
			fmt.Fprintf(&b, "%.1f,%.1f ", px(pt.x), py(pt.y))
		}
		b.WriteString(`"/>`)
		y := marginTop + innerHeight + legendBelow
		fmt.Fprintf(&b, `<rect x="%.1f" y="%.1f" width="14" height="4" fill="%s"/>`, at, y-6, colour)
		text(&b, at+18, y, "start", "", l.name)
		at += 34 + 6.5*float64(len(l.name))
	}
	b.WriteString("</svg>")
	return template.HTML(b.String())
}

func text(b *strings.Builder, x, y float64, anchor, class, what string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s" class="%s">%s</text>`, x, y, anchor, class, template.HTMLEscapeString(what))
}

func rule(b *strings.Builder, class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(b, `<line class="%s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, class, x1, y1, x2, y2)
}

// roundTicks are about n round numbers between two.
func roundTicks(from, to float64, n int) []tick {
	step := math.Pow(10, math.Floor(math.Log10((to-from)/float64(n))))
	for _, f := range []float64{1, 2, 5, 10} {
		if (to-from)/(step*f) <= float64(n) {
			step *= f
			break
		}
	}
	var ticks []tick
	for i := math.Ceil(from / step); i*step <= to; i++ {
		ticks = append(ticks, tick{i * step, fmt.Sprintf("%.6g", i*step)})
	}
	return ticks
}

// powerTicks are 1, 2 and 5 times each power of ten, by their logarithms.
func powerTicks(from, to float64) []tick {
	var ticks []tick
	for power := math.Floor(from); power <= to; power++ {
		for _, f := range []float64{1, 2, 5} {
			if at := power + math.Log10(f); at >= from && at <= to {
				ticks = append(ticks, tick{at, fmt.Sprintf("%.3g", f*math.Pow(10, power))})
			}
		}
	}
	return ticks
}

// plots are the charts of one scenario.
func (r *Result) plots() []template.HTML {
	var all []template.HTML
	for _, p := range r.Phases {
		of := r.Scenario + comma(p.Name)
		rate := plot{title: of + ": throughput", x: "seconds", y: "claims or reads a second", toZero: true, marks: r.marks()}
		shares := plot{title: of + ": latency by percentile", x: "percentile", y: "ms (logarithmic)", powers: true}
		for _, m := range p.measurements() {
			latency := plot{title: of + ": latency of " + m.Kind + "s over time", x: "seconds", y: "ms", toZero: true, marks: r.marks()}
			latency.lines = []line{
				m.over("p50", func(w Window) float64 { return w.P50 }), m.over("p99", func(w Window) float64 { return w.P99 }),
				m.over("max", func(w Window) float64 { return w.Max }),
			}
			if r.Scenario != Failover && r.Scenario != Concurrent {
				latency.limit = latencyLimitMS
			}
			all = append(all, latency.svg())
			rate.lines = append(rate.lines, m.over(m.Kind+"s", func(w Window) float64 { return w.PerSecond }))
			shares.addDistribution(m)
		}
		all = append(all, rate.svg(), shares.svg())
	}
	memory := plot{title: r.Scenario + ": resident memory of the nodes", x: "seconds", y: "MiB", toZero: true, marks: r.marks()}
	for _, n := range r.Memory {
		l := line{name: n.URL}
		for _, s := range n.Samples {
			l.points = append(l.points, point{s.AtSeconds, s.Bytes / (1 << 20)})
		}
		memory.lines = append(memory.lines, l)
	}
	all = append(all, memory.svg())
	if len(r.Processors) == 0 {
		return all
	}
	processors := plot{title: r.Scenario + ": processors of the client's machine", x: "seconds", y: "%", toZero: true, marks: r.marks()}
	busy, stolen := line{name: "busy"}, line{name: "taken away by its host"}
	for _, s := range r.Processors {
		busy.points = append(busy.points, point{s.AtSeconds, 100 * s.Busy})
		stolen.points = append(stolen.points, point{s.AtSeconds, 100 * s.Stolen})
	}
	processors.lines = []line{busy, stolen}
	return append(all, processors.svg())
}

func (r *Result) marks() []float64 {
	var at []float64
	for _, e := range r.Events {
		at = append(at, e.AtSeconds)
	}
	return at
}

func (m *Measurement) over(name string, value func(Window) float64) line {
	l := line{name: name}
	for _, w := range m.Series {
		l.points = append(l.points, point{w.AtSeconds, value(w)})
	}
	return l
}

// addDistribution draws a measurement's percentiles, evenly spaced, by the
// logarithm of the latency: 0.1 ms is at -1.
func (p *plot) addDistribution(m *Measurement) {
	l := line{name: m.Kind + "s"}
	p.ticks = nil
	for i, d := range m.Distribution {
		l.points = append(l.points, point{float64(i), math.Log10(max(d.MS, 0.001))})
		p.ticks = append(p.ticks, tick{float64(i), fmt.Sprintf("%g", d.Percentile)})
	}
	p.lines = append(p.lines, l)
}
