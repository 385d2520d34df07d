package cli

import (
	"runtime"
	"testing"
)

// On SQLite there is one processor more, unless the environment says how many.
func TestTune(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "off") // is the process's
	for name, test := range map[string]struct {
		database, set string
		more          int
	}{
		"SQLite":                  {database: "buildbridge.db", more: 1},
		"Postgres":                {database: "postgres://localhost/buildbridge"},
		"SQLite, and it is given": {database: "buildbridge.db", set: "2"},
	} {
		t.Run(name, func(t *testing.T) {
			before := runtime.GOMAXPROCS(0)
			defer runtime.GOMAXPROCS(before)
			t.Setenv("GOMAXPROCS", test.set)
			tune(test.database)
			if more := runtime.GOMAXPROCS(0) - before; more != test.more {
				t.Errorf("%d processors more, want %d", more, test.more)
			}
		})
	}
}
