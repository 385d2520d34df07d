package observe

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// format writes a value as Grafana does in that unit, with about three digits.
func (f *field) format(v float64, now time.Time) string {
	if f.Unit == "dateTimeFromNow" {
		return now.Sub(time.UnixMilli(int64(v))).Round(time.Second).String() + " ago"
	}
	scale, name := f.scale(math.Abs(v))
	decimals := 0
	if f.Decimals != nil {
		decimals = *f.Decimals
	} else if scaled := math.Abs(v / scale); scaled < 1000 && scaled != math.Trunc(scaled) {
		decimals = min(max(0, 2-int(math.Floor(math.Log10(scaled)))), 4)
	}
	text := strconv.FormatFloat(v/scale, 'f', decimals, 64)
	if f.Decimals == nil && strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text + name
}

// scale is what values of that size are divided by, and the unit then.
func (f *field) scale(v float64) (by float64, name string) {
	type unit struct {
		from float64
		name string
	}
	pick := func(units ...unit) (float64, string) {
		for _, u := range units {
			if v >= u.from {
				return u.from, u.name
			}
		}
		last := units[len(units)-1]
		return last.from, last.name
	}
	switch kind, suffix, _ := strings.Cut(f.Unit, ":"); kind {
	case "suffix":
		return 1, " " + suffix
	case "percentunit":
		return 0.01, "%"
	case "s":
		if v == 0 {
			return 1, " s"
		}
		return pick(unit{3600, " h"}, unit{60, " min"}, unit{1, " s"}, unit{1e-3, " ms"}, unit{1e-6, " µs"})
	case "bytes":
		return pick(unit{1 << 30, " GiB"}, unit{1 << 20, " MiB"}, unit{1 << 10, " KiB"}, unit{1, " B"})
	case "Bps":
		return pick(unit{1e9, " GB/s"}, unit{1e6, " MB/s"}, unit{1e3, " kB/s"}, unit{1, " B/s"})
	case "short":
		return pick(unit{1e6, " Mil"}, unit{1e3, " K"}, unit{1, ""})
	case "none", "bool_yes_no":
		return 1, ""
	}
	panic(fmt.Sprintf("pictures do not know the unit %q", f.Unit))
}

// ticks are round values from 0 to at least most, in the unit that most has.
func (f *field) ticks(most float64) []float64 {
	scale, _ := f.scale(most)
	if most <= 0 {
		most, scale = 1, 1
	}
	step := math.Pow(10, math.Floor(math.Log10(most/scale)))
	for _, finer := range []float64{0.2, 0.25, 0.5, 1, 2} {
		if f.Decimals != nil && *f.Decimals == 0 && step*finer != math.Trunc(step*finer) {
			continue
		}
		if math.Ceil(most/scale/(step*finer)) <= 5 {
			step *= finer
			break
		}
	}
	list := []float64{0}
	for v := step; ; v += step {
		list = append(list, v*scale)
		if v*scale >= most*0.999 {
			return list
		}
	}
}

// axis returns the values at which an axis has lines, and how far up a value is: 0 to 1.
// least is the smallest value above 0.
func (f *field) axis(least, most float64) (ticks []float64, level func(v float64) float64) {
	if f.Custom.ScaleDistribution.Type != "log" || most <= 0 {
		ticks = f.ticks(most)
		top := ticks[len(ticks)-1]
		return ticks, func(v float64) float64 { return min(v, top) / top }
	}
	from := math.Floor(math.Log10(least))
	to := max(math.Ceil(math.Log10(most)), from+1)
	for n := from; n <= to; n++ {
		ticks = append(ticks, math.Pow(10, n))
	}
	return ticks, func(v float64) float64 { return min(1, max(0, (math.Log10(v)-from)/(to-from))) }
}

// color is the color of the threshold that a value has reached.
func (f *field) color(v float64) string {
	name := "text"
	for _, s := range f.Thresholds.Steps {
		if s.Value == nil || v >= *s.Value {
			name = s.Color
		}
	}
	return name
}

// mappedTo returns the text and the color for a value that has its own.
func mappedTo(mappings []mapped, v float64) (text, color string, ok bool) {
	key := strconv.FormatFloat(v, 'f', -1, 64)
	for _, m := range mappings {
		if m.Type == "special" && string(m.Options["match"]) == `"null+nan"` && math.IsNaN(v) {
			key = "result"
		}
		if option, ok := m.Options[key]; ok {
			var to struct{ Color, Text string }
			_ = json.Unmarshal(option, &to) // it is of that form
			return to.Text, to.Color, true
		}
	}
	return "", "", false
}
