package cli

import (
	"context"
	"io"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// What comes while the question stands is not changed: nobody was asked about it.
func TestManyChangesWhatWasAskedAbout(t *testing.T) {
	for name, test := range map[string]struct {
		matching, limit, coming int
		want                    int
	}{
		"one more comes":                {1, 0, 1, 1},
		"many more come":                {1200, 0, 900, 1200},
		"one more than the limit comes": {3, 2, 1, 2},
		"one comes where none were":     {0, 0, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			left, changed := test.matching, 0
			f := manyFlags{Limit: test.limit}
			env := Environment{Stdin: strings.NewReader("y\n"), Stdout: io.Discard, Stderr: io.Discard}
			err := f.change(t.Context(), &env, change{
				verb: "cancel", doing: "canceling", done: "canceled", what: "build",
				find: func(context.Context) (found, error) {
					is := found{count: int64(left), shown: left, show: func(io.Writer) error { return nil }}
					left += test.coming
					return is, nil
				},
				page: func(_ context.Context, page url.Values) (done, failed int, next string, err error) {
					done = min(left, 1000)
					if limit := page.Get("limit"); limit != "" {
						n, err := strconv.Atoi(limit)
						if err != nil {
							t.Fatal(err)
						}
						done = min(done, n)
					}
					left, changed = left-done, changed+done
					if left > 0 {
						next = "more"
					}
					return done, 0, next, nil
				},
			})
			if err != nil || changed != test.want {
				t.Errorf("%d were changed, want %d: %v", changed, test.want, err)
			}
		})
	}
}
