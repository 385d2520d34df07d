package cli

import (
	"os"
	"runtime"
	"runtime/debug"

	"buildbridge/trigger/store"
)

// memoryLimit is in bytes. Near it, garbage is collected as often as needed: large bodies
// need that.
const memoryLimit = 448 << 20

// tune sets GOMEMLIMIT and GOMAXPROCS for the process, unless the environment does
// (https://pkg.go.dev/runtime#hdr-Environment_Variables).
func tune(database string) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	// SQLite syncs the disk in a system call of the goroutine that writes. Go gives the
	// processor of that goroutine to another one only after some milliseconds; one more
	// processor is used meanwhile. docs/performance.md has the figures. Go does not follow
	// changes of a container's quota any more after this.
	if _, isURL := store.Scheme(database); !isURL && os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	}
}
