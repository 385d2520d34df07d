package cli

import (
	"os"
	"runtime"
	"runtime/debug"
	"strings"
)

// What is alive between two deliveries is a few megabytes. Collected each time
// that it has doubled, as Go does by itself, it would be collected dozens of times
// a second. Large bodies are what the limit is for: near it, memory is collected
// as often as it takes.
const (
	garbagePercent = 150
	memoryLimit    = 448 << 20 // bytes
)

// tune sets what the environment does not: GOGC, GOMEMLIMIT and GOMAXPROCS
// (https://pkg.go.dev/runtime#hdr-Environment_Variables).
func tune(database string) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	// SQLite syncs the disk inside of a system call, in the goroutine that writes. Go
	// takes the processor away from one only some milliseconds later: without one
	// more it would stand idle for as long.
	if os.Getenv("GOMAXPROCS") == "" && !strings.Contains(database, "://") {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	}
}
