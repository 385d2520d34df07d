package pages

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"buildbridge/handlers/admin"
	"buildbridge/mapping/printable"
	"buildbridge/trigger/store"
)

// Sizes of a row of bars, in units of its drawing.
const (
	barStep, barWidth   = 14, 11
	barHighest, barLine = 60, 16 // of the signs below
	barLowest           = 3
)

// bars are the last results of a rule, the oldest first: as high as the builds took long. The drawing
// has no style of its own: the Content-Security-Policy forbids that.
type bars struct {
	Width, Height, SignsAt int
	Bars                   []bar
	Says                   string // all of it, for those who do not see it
}

type bar struct {
	admin.Ended

	X, Y, Width, Height int
	Sign                string // tells it apart without colour; "" for a success
	SignX               int
	Says                string
}

// signs of results below their bars.
var signs = map[store.Result]string{store.Success: "", store.Failure: "✗", store.Timeout: "T", store.Aborted: "–", store.Lost: "?"}

// newBars draws ends, which begin with the newest.
func newBars(last []admin.Ended) bars {
	drawn := bars{Width: len(last) * barStep, Height: barHighest + barLine, SignsAt: barHighest + barLine - 3}
	longest, counts := 0.0, map[store.Result]int{}
	for _, e := range last {
		longest = max(longest, e.Seconds)
		counts[e.Result]++
	}
	for i, e := range slices.Backward(last) {
		height := barLowest
		if longest > 0 {
			height = max(height, int(math.Round(barHighest*e.Seconds/longest)))
		}
		x := (len(last) - 1 - i) * barStep
		says := string(e.Result)
		if e.Seconds > 0 {
			says += " after " + lasted(e.Seconds)
		}
		drawn.Bars = append(drawn.Bars, bar{
			Ended: e, X: x + 1, Y: barHighest - height, Width: barWidth, Height: height, Sign: signs[e.Result], SignX: x + barStep/2,
			Says: fmt.Sprintf("%s, %s, %s", says, line(e.Ref), e.EndedAt.UTC().Format(time.DateTime)),
		})
	}
	var parts []string
	for _, r := range store.Results() {
		if n := counts[r]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, r))
		}
	}
	drawn.Says = fmt.Sprintf("The last %s, the oldest first: %s", printable.Count(len(last), "result"), strings.Join(parts, ", "))
	return drawn
}

// lasted is a duration for people; "" if it is not known.
func lasted(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second)).Round(time.Second)
	hours, minutes, rest := int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case seconds <= 0:
		return ""
	case seconds < 10:
		return fmt.Sprintf("%.1f s", seconds)
	case hours > 0:
		return fmt.Sprintf("%d h %d min", hours, minutes)
	case minutes > 0:
		return fmt.Sprintf("%d min %d s", minutes, rest)
	}
	return fmt.Sprintf("%d s", rest)
}
