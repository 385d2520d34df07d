package load

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"text/tabwriter"
	"time"
)

// table has the measured figures next to the aims.
type table struct {
	mu   sync.Mutex
	rows []row
}

type row struct{ what, measured, aim, met string }

// add adds a figure with an aim.
func (t *table) add(what, measured, aim string, met bool) {
	word := "met"
	if !met {
		word = "MISSED"
	}
	t.put(row{what, measured, aim, word})
}

// note adds a figure without an aim.
func (t *table) note(what, measured string) { t.put(row{what: what, measured: measured}) }

func (t *table) put(r row) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows = append(t.rows, r)
}

func (t *table) print(w io.Writer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "WHAT\tMEASURED\tAIM\t")
	for _, r := range t.rows {
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\n", r.what, r.measured, r.aim, r.met)
	}
	_ = out.Flush()
}

// series has the same figure from several rounds.
type series []float64

func (s series) median() float64 {
	sorted := slices.Sorted(slices.Values(s))
	if len(sorted) == 0 {
		return 0
	}
	return sorted[len(sorted)/2]
}

// String is the median, and the range that says how noisy the machine was.
func (s series) String() string {
	return fmt.Sprintf("%.0f (%.0f–%.0f)", s.median(), slices.Min(s), slices.Max(s))
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }
