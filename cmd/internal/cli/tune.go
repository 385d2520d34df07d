package cli

import (
	"os"
	"runtime/debug"
)

// What is alive between two deliveries is a few megabytes. Collected each time
// that it has doubled, as Go does by itself, it would be collected dozens of times
// a second. Large bodies are what the limit is for: near it, memory is collected
// as often as it takes.
const (
	garbagePercent = 400
	memoryLimit    = 448 << 20 // bytes
)

// tuneMemory sets what the environment does not: GOGC and GOMEMLIMIT
// (https://pkg.go.dev/runtime#hdr-Environment_Variables).
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
}
