package observe

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"html"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// Sizes of a picture, in its own pixels.
const (
	cellWidth  = 52 // of the 24 columns of a dashboard
	cellHeight = 32
	header     = 64
	legendRow  = 17
	tableRow   = 24
	maxLegend  = 5 // series that are listed; Grafana scrolls
)

const (
	textColor, dimColor, gridColor = "#d5d6e0", "#9093a0", "#2c2f36"
)

// hue returns the colors that Grafana has names for.
func hue(name string) string {
	colors := map[string]string{
		"green": "#73bf69", "red": "#f2495c", "orange": "#ff9830", "yellow": "#fade2a", "blue": "#5794f2", "purple": "#b877d9", "text": textColor,
	}
	return cmp.Or(colors[name], name)
}

// palette is for series that have no color of their own: one name has one color in all
// panels.
func palette(name string) string {
	list := [...]string{"#73bf69", "#fade2a", "#5794f2", "#ff9830", "#b877d9", "#f2495c", "#8ab8ff", "#ffa6b0", "#37872d", "#e0b400"}
	hash := fnv.New32a()
	hash.Write([]byte(name))
	return list[hash.Sum32()%uint32(len(list))]
}

// picture is an SVG that is being written.
type picture struct {
	bytes.Buffer
	*observed
	t     *testing.T
	marks []mark // of the annotations
}

// mark is a moment that an annotation points at.
type mark struct {
	at    time.Time
	color string
}

// box is where something is drawn.
type box struct{ x, y, w, h float64 }

func (p *picture) text(x, y float64, style, text string) {
	fmt.Fprintf(p, `<text x="%.0f" y="%.0f" %s>%s</text>`+"\n", x, y, style, html.EscapeString(text))
}

func (p *picture) rect(b box, style string) {
	fmt.Fprintf(p, `<rect x="%.0f" y="%.0f" width="%.0f" height="%.0f" %s/>`+"\n", b.x, b.y, b.w, b.h, style)
}

func (p *picture) line(x1, y1, x2, y2 float64, style string) {
	fmt.Fprintf(p, `<path d="M%.0f,%.0fL%.0f,%.0f" %s/>`+"\n", x1, y1, x2, y2, style)
}

// fit cuts a text to a width; its letters are about 6.4 pixels wide.
func fit(text string, width float64) string {
	if runes := []rune(text); float64(len(runes))*6.4 > width && len(runes) > 1 {
		return string(runes[:max(1, min(len(runes), int(width/6.4))-1)]) + "…"
	}
	return text
}

// draw draws a dashboard with what its panels get to see.
func (o *observed) draw(t *testing.T, d *dashboard) []byte {
	t.Helper()
	p := &picture{observed: o, t: t}
	bottom := 0
	for _, each := range d.Panels {
		bottom = max(bottom, each.GridPos.Y+each.GridPos.H)
	}
	width, height := 24*cellWidth+16, bottom*cellHeight+header+12
	fmt.Fprintf(p, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="Inter,'Helvetica Neue',Arial,sans-serif" font-size="12" fill="%s">`+"\n", width, height, width, height, textColor)
	p.WriteString(`<style>.d{fill:` + dimColor + `}.b{font-weight:600;font-size:13px}.e{text-anchor:end}.m{text-anchor:middle}.l{fill:none;stroke-width:3;stroke-linejoin:round}.g{stroke:` + gridColor + `;stroke-width:1}</style>` + "\n")
	p.rect(box{0, 0, float64(width), float64(height)}, `fill="#111217"`)
	p.text(16, 30, `font-size="19" font-weight="600"`, d.Title)
	var chosen []string
	for _, v := range d.Templating.List {
		if v.Type == "query" {
			chosen = append(chosen, v.Label+": All")
		}
	}
	p.text(16, 50, `class="d"`, strings.Join(chosen, "   ·   "))
	p.text(float64(width)-16, 30, `class="d e"`, o.span.from.Format("2006-01-02 15:04")+" to "+o.span.to.Format("15:04"))
	p.annotate(d)
	for i := range d.Panels {
		p.panel(&d.Panels[i])
	}
	p.WriteString("</svg>\n")
	return p.Bytes()
}

func (p *picture) annotate(d *dashboard) {
	for _, a := range d.Annotations.List {
		if a.Expr == "" {
			continue
		}
		for _, s := range p.get(a.Expr, false) {
			moments := []float64{s.Points[0].at} // the first of those that follow each other
			if a.UseValueForTime {
				moments = nil
				for _, point := range s.Points {
					moments = append(moments, point.value/1000)
				}
			}
			for _, at := range slices.Compact(moments) {
				p.marks = append(p.marks, mark{time.UnixMilli(int64(at * 1000)), hue(a.IconColor)})
			}
		}
	}
}

// get queries for what is chosen.
func (p *picture) get(expr string, instant bool) []series {
	p.t.Helper()
	list, err := p.query(p.t.Context(), substitute(expr, p.chosen, p.span), p.span, instant)
	if err != nil {
		p.t.Fatal(err)
	}
	return list
}

func (p *picture) panel(of *panel) {
	g := of.GridPos
	b := box{float64(8 + g.X*cellWidth), float64(header + g.Y*cellHeight), float64(g.W * cellWidth), float64(g.H * cellHeight)}
	if of.isRow() {
		p.text(b.x+8, b.y+21, `font-size="14" font-weight="600"`, "⌄  "+of.Title)
		return
	}
	b = box{b.x + 4, b.y + 4, b.w - 8, b.h - 8}
	p.rect(b, `fill="#181b1f" stroke="#2a2d33" rx="2"`)
	p.text(b.x+10, b.y+20, `class="b"`, fit(of.Title, b.w-10))
	inner := box{b.x + 10, b.y + 30, b.w - 20, b.h - 38}
	switch of.Type {
	case "timeseries":
		p.timeseries(of, inner)
	case "stat":
		p.stat(of, inner)
	case "table":
		p.table(of, inner)
	case "state-timeline":
		p.timeline(of, inner)
	default:
		p.t.Fatalf("pictures do not know panels of the type %s", of.Type)
	}
}

// curve is a series that is drawn.
type curve struct {
	name, color string
	values      []float64 // one for each step; NaN for none
	last, most  float64
}

func (p *picture) curves(of *panel) []*curve {
	var list []*curve
	steps := int(p.span.to.Sub(p.span.from)/p.span.step) + 1
	for _, q := range of.Targets {
		for _, s := range p.get(q.Expr, false) {
			c := &curve{name: q.LegendFormat, last: math.NaN(), most: math.Inf(-1), values: slices.Repeat([]float64{math.NaN()}, steps)}
			for label, value := range s.Metric {
				c.name = strings.ReplaceAll(c.name, "{{"+label+"}}", value)
			}
			c.name = strings.TrimSpace(regexp.MustCompile(`{{\w+}}`).ReplaceAllString(c.name, "")) // a label that is not there
			for _, point := range s.Points {
				i := int(math.Round((point.at - float64(p.span.from.UnixMilli())/1000) / p.span.step.Seconds()))
				if i >= steps || math.IsNaN(point.value) {
					continue
				}
				c.values[i], c.last, c.most = point.value, point.value, max(c.most, point.value)
			}
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b *curve) int { return strings.Compare(a.name, b.name) })
	for _, c := range list {
		c.color = palette(c.name)
		for _, o := range of.FieldConfig.Overrides {
			if o.Matcher.Options == c.name {
				c.color = hue(fixedColor(o.Properties[0].Value))
			}
		}
	}
	return list
}

func fixedColor(raw json.RawMessage) string {
	var v struct{ FixedColor string }
	_ = json.Unmarshal(raw, &v) // "" where it is something else
	return v.FixedColor
}

func (p *picture) timeseries(of *panel, b box) {
	f := &of.FieldConfig.Defaults
	list := p.curves(of)
	stacked := f.Custom.Stacking.Mode == "normal"
	least, most := math.Inf(1), 0.0 // least above 0
	base := make([]float64, int(p.span.to.Sub(p.span.from)/p.span.step)+1)
	for i := range base {
		sum := 0.0
		for _, c := range list {
			if v := c.values[i]; !math.IsNaN(v) && !math.IsInf(v, 0) {
				sum += v
				most = max(most, v)
				if v > 0 {
					least = min(least, v)
				}
			}
		}
		if stacked {
			most = max(most, sum)
		}
	}
	if f.Max != nil {
		most = *f.Max
	}
	legend := float64(legendRow * (min(len(list), maxLegend) + 1))
	plot := box{b.x + 52, b.y + 4, b.w - 52, b.h - legend - 24}
	ticks, level := f.axis(least, most)
	top := ticks[len(ticks)-1]
	y := func(v float64) float64 { return plot.y + plot.h*(1-level(v)) }
	for _, tick := range ticks {
		p.line(plot.x, y(tick), plot.x+plot.w, y(tick), `class="g"`)
		p.text(plot.x-6, y(tick)+4, `class="d e" font-size="11"`, f.format(tick, p.span.to))
	}
	p.times(plot)
	for _, s := range f.Thresholds.Steps {
		if s.Value != nil && *s.Value <= top && f.Custom.ThresholdsStyle.Mode != "" {
			p.line(plot.x, y(*s.Value), plot.x+plot.w, y(*s.Value), `stroke="`+hue(s.Color)+`" stroke-dasharray="6 4"`)
		}
	}
	for _, c := range list {
		p.curve(c, base, stacked, plot, level, f.Custom.FillOpacity)
	}
	for _, m := range p.marks {
		if x := p.x(plot, m.at); x >= plot.x && x <= plot.x+plot.w {
			p.line(x, plot.y, x, plot.y+plot.h, `stroke="`+m.color+`" stroke-dasharray="3 3"`)
		}
	}
	p.legend(f, list, box{b.x, b.y + b.h - legend, b.w, legend})
}

// x is where a moment is.
func (p *picture) x(plot box, at time.Time) float64 {
	return plot.x + plot.w*at.Sub(p.span.from).Seconds()/p.span.to.Sub(p.span.from).Seconds()
}

// times writes the time axis.
func (p *picture) times(plot box) {
	every, layout := 10*time.Second, "15:04:05"
	for _, coarser := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute} {
		if float64(p.span.to.Sub(p.span.from)/every)*60 > plot.w {
			every = coarser
		}
	}
	if every >= time.Minute {
		layout = "15:04"
	}
	for at := p.span.from.Truncate(every).Add(every); at.Before(p.span.to); at = at.Add(every) {
		x := p.x(plot, at)
		p.line(x, plot.y, x, plot.y+plot.h, `class="g"`)
		if x < plot.x+plot.w-14 {
			p.text(x, plot.y+plot.h+15, `class="d m" font-size="11"`, at.Format(layout))
		}
	}
}

// curve draws a line, in half pixels, and what is below it. Of points on one
// level only the ends are kept.
func (p *picture) curve(c *curve, base []float64, stacked bool, plot box, level func(float64) float64, opacity int) {
	type at struct{ x, y int }
	place := func(i int, v float64) at {
		return at{int(math.Round(2 * plot.w * float64(i) / float64(len(base)-1))), int(math.Round(2 * plot.h * (1 - level(v))))}
	}
	var upper, lower []at
	path := func(points []at, first string) string {
		var b strings.Builder
		last := points[0]
		fmt.Fprintf(&b, "%s%d,%dl", first, last.x, last.y)
		for i, pt := range points[1:] {
			if i+2 == len(points) || points[i].y != pt.y || points[i+2].y != pt.y {
				fmt.Fprintf(&b, "%d,%d ", pt.x-last.x, pt.y-last.y)
				last = pt
			}
		}
		return strings.TrimSpace(b.String())
	}
	fmt.Fprintf(p, `<g transform="translate(%.0f,%.0f) scale(.5)">`, plot.x, plot.y)
	flush := func() {
		if len(upper) < 2 { // a lone point is no line
			upper, lower = nil, nil
			return
		}
		if opacity > 0 && slices.ContainsFunc(upper, func(a at) bool { return a.y != upper[0].y || a.y < int(2*plot.h) }) {
			slices.Reverse(lower)
			fmt.Fprintf(p, `<path d="%s%sZ" fill="%s" fill-opacity=".%02d"/>`, path(upper, "M"), path(lower, "L"), c.color, opacity)
		}
		fmt.Fprintf(p, `<path d="%s" class="l" stroke="%s"/>`, path(upper, "M"), c.color)
		upper, lower = nil, nil
	}
	for i, v := range c.values {
		if math.IsNaN(v) {
			flush()
			continue
		}
		from := 0.0
		if stacked {
			from = base[i]
			v += from
			base[i] = v
		}
		upper, lower = append(upper, place(i, v)), append(lower, place(i, from))
	}
	flush()
	p.WriteString("</g>\n")
}

// legend lists the series by their largest value, with that and the last.
func (p *picture) legend(f *field, list []*curve, b box) {
	slices.SortStableFunc(list, func(a, b *curve) int { return cmp.Compare(b.most, a.most) })
	p.text(b.x, b.y+12, `class="d" font-size="11"`, "Name")
	p.text(b.x+b.w-70, b.y+12, `class="d e" font-size="11"`, "Last *")
	p.text(b.x+b.w, b.y+12, `class="d e" font-size="11"`, "Max")
	for i, c := range list {
		y := b.y + float64(legendRow*(i+1)) + 12
		if i == maxLegend-1 && len(list) > maxLegend {
			p.text(b.x+16, y, `class="d"`, fmt.Sprintf("and %d more", len(list)-i))
			return
		}
		p.rect(box{b.x, y - 6, 11, 4}, `rx="1" fill="`+c.color+`"`)
		p.text(b.x+16, y, "", fit(c.name, b.w-150))
		if !math.IsNaN(c.last) {
			p.text(b.x+b.w-70, y, `class="e"`, f.format(c.last, p.span.to))
			p.text(b.x+b.w, y, `class="e"`, f.format(c.most, p.span.to))
		}
	}
}

func (p *picture) stat(of *panel, b box) {
	f := &of.FieldConfig.Defaults
	list := p.get(of.Targets[0].Expr, true)
	for i, s := range list {
		v := s.Points[0].value
		shown, color := f.format(v, p.span.to), f.color(v)
		if text, mapped, ok := mappedTo(f.Mappings, v); ok {
			shown, color = text, mapped
		}
		if of.Options.TextMode == "name" {
			shown = of.Targets[0].LegendFormat
			for label, value := range s.Metric {
				shown = strings.ReplaceAll(shown, "{{"+label+"}}", value)
			}
		}
		fill := hue(color)
		part := box{b.x + b.w*float64(i)/float64(len(list)), b.y, b.w / float64(len(list)), b.h}
		if of.Options.ColorMode == "background" {
			p.rect(part, `rx="3" fill="`+fill+`" fill-opacity=".85"`)
			fill = "#111217"
		}
		size := min(32, 1.6*part.w/float64(len([]rune(shown))+1))
		p.text(part.x+part.w/2, part.y+part.h/2+size/3, fmt.Sprintf(`class="m" font-size="%.0f" font-weight="600" fill="%s"`, size, fill), shown)
	}
}

// cell of a table: a label, or a number.
type cell struct {
	text   string
	number float64
	color  string
}

func (p *picture) table(of *panel, b box) {
	columns, rows := p.rows(of)
	if len(rows) == 0 {
		p.text(b.x+b.w/2, b.y+b.h/2, `class="d m"`, of.FieldConfig.Defaults.NoValue)
	}
	right := func(i int) bool { return len(rows) > 0 && !math.IsNaN(rows[0][i].number) }
	place := func(i int) (x float64, class string) {
		if right(i) {
			return b.x + b.w*float64(i+1)/float64(len(columns)) - 8, "e"
		}
		return b.x + b.w*float64(i)/float64(len(columns)) + 4, "s"
	}
	for i, name := range columns {
		x, class := place(i)
		p.text(x, b.y+14, fmt.Sprintf(`class="%s" font-weight="600" fill="#8ab8ff"`, class), name)
	}
	for n, row := range rows {
		y := b.y + float64(tableRow*(n+1))
		if y+tableRow > b.y+b.h+6 {
			return
		}
		p.line(b.x, y-2, b.x+b.w, y-2, `class="g"`)
		for i, c := range row {
			x, class := place(i)
			p.text(x, y+15, fmt.Sprintf(`class="%s" fill="%s"`, class, hue(c.color)), fit(c.text, b.w/float64(len(columns))-8))
		}
	}
}

// rows joins what the queries of a table give by their labels, as the
// transformation merge does, and orders and names it as organize says.
func (p *picture) rows(of *panel) (columns []string, rows [][]cell) {
	f := &of.FieldConfig.Defaults
	organize := of.Transformations[len(of.Transformations)-1].Options
	order := slices.SortedFunc(maps.Keys(organize.IndexByName), func(a, b string) int { return organize.IndexByName[a] - organize.IndexByName[b] })
	for _, name := range order {
		columns = append(columns, cmp.Or(organize.RenameByName[name], name))
	}
	found := map[string][]cell{}
	for _, q := range of.Targets {
		value := "Value"
		if len(of.Targets) > 1 {
			value += " #" + q.RefID
		}
		for _, s := range p.get(q.Expr, true) {
			key := fmt.Sprint(s.Metric)
			if found[key] == nil {
				found[key] = slices.Repeat([]cell{{number: math.NaN()}}, len(order))
			}
			for i, name := range order {
				if label, ok := s.Metric[name]; ok {
					found[key][i] = cell{label, math.NaN(), "text"}
					of.restyle(columns[i], &found[key][i])
				} else if name == value {
					v := s.Points[0].value
					found[key][i] = cell{f.format(v, p.span.to), v, f.color(v)}
					of.restyle(columns[i], &found[key][i])
				}
			}
		}
	}
	rows = slices.Collect(maps.Values(found))
	slices.SortFunc(rows, func(a, b []cell) int {
		for _, by := range of.Options.SortBy {
			i := slices.Index(columns, by.DisplayName)
			c := cmp.Or(cmp.Compare(a[i].number, b[i].number), strings.Compare(a[i].text, b[i].text))
			if by.Desc {
				c = -c
			}
			if c != 0 {
				return c
			}
		}
		return strings.Compare(a[0].text+a[1].text, b[0].text+b[1].text)
	})
	return columns, rows
}

// restyle does what the overrides of a column say.
func (p *panel) restyle(column string, c *cell) {
	for _, o := range p.FieldConfig.Overrides {
		if o.Matcher.Options != column {
			continue
		}
		for _, property := range o.Properties {
			switch property.ID {
			case "thresholds":
				f := field{}
				_ = json.Unmarshal(property.Value, &f.Thresholds) // it is of that form
				c.color = f.color(c.number)
			case "mappings":
				var m []mapped
				_ = json.Unmarshal(property.Value, &m) // it is of that form
				if math.IsNaN(c.number) {              // a label
					for _, each := range m {
						var to struct{ Color string }
						_ = json.Unmarshal(each.Options[c.text], &to) // none has no color
						c.color = cmp.Or(to.Color, c.color)
					}
				} else if text, color, ok := mappedTo(m, c.number); ok {
					c.text, c.color = text, color
				}
			}
		}
	}
}

func (p *picture) timeline(of *panel, b box) {
	f := &of.FieldConfig.Defaults
	plot := box{b.x + 110, b.y + 8, b.w - 110, b.h - 32}
	list := p.curves(of)
	p.times(plot)
	for n, c := range list {
		height := plot.h / float64(len(list))
		y := plot.y + height*(float64(n)+0.2)
		p.text(plot.x-8, y+height*0.3+4, `class="e"`, fit(c.name, 104))
		for i := 0; i < len(c.values); {
			end := i + 1
			for end < len(c.values) && c.values[end] == c.values[i] {
				end++
			}
			if v := c.values[i]; !math.IsNaN(v) {
				text, color, _ := mappedTo(f.Mappings, v)
				width := plot.w / float64(len(c.values))
				part := box{plot.x + width*float64(i), y, width * float64(end-i), height * 0.6}
				p.rect(part, fmt.Sprintf(`fill="%s" fill-opacity=".%02d"`, hue(color), f.Custom.FillOpacity))
				p.text(part.x+6, part.y+part.h/2+4, `font-weight="600"`, fit(text, part.w))
			}
			i = end
		}
	}
}
