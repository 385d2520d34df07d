package cli

import (
	"os"

	"golang.org/x/sys/unix"
)

// terminalWidth is how many characters a line of a terminal has. It is 0 if the stream is not a
// terminal.
func terminalWidth(stream any) int {
	f, ok := stream.(*os.File)
	if !ok {
		return 0
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return max(1, int(size.Col)) // some terminals say 0
}

func isTerminal(stream any) bool { return terminalWidth(stream) > 0 }
