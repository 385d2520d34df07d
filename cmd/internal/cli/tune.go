package cli

import (
	"os"
	"runtime"
	"runtime/debug"

	"buildbridge/trigger/store"
)

// memoryLimit is in bytes. It is for large bodies: near it, memory is collected as
// often as it takes.
const memoryLimit = 448 << 20

// tune sets what the environment does not, once in a process: GOMEMLIMIT and GOMAXPROCS
// (https://pkg.go.dev/runtime#hdr-Environment_Variables).
func tune(database string) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	// SQLite syncs the disk inside of a system call, in the goroutine that writes. Go
	// takes the processor away from one only some milliseconds later: without one
	// more it would stand idle for as long. What Go does by itself when the quota of a
	// container changes ends with it.
	if _, isURL := store.Scheme(database); !isURL && os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	}
}
