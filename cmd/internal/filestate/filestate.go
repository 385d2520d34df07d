// Package filestate tells whether files have changed, without reading them.
package filestate

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

// Of describes files as they are now: where they are stored, their size and their time of
// change, or why that is not known. Two descriptions of the same paths are equal if no file
// was written or replaced in between. It follows symlinks.
func Of(paths ...string) string {
	var b strings.Builder
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			fmt.Fprintf(&b, "%q: %v\n", path, err)
			continue
		}
		fmt.Fprintf(&b, "%q: %d bytes, %d", path, info.Size(), info.ModTime().UnixNano())
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			fmt.Fprintf(&b, ", inode %d of %d", stat.Ino, stat.Dev)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
