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
	if size.Col == 0 { // some terminals do not say
		return 80
	}
	return int(size.Col)
}

func isTerminal(stream any) bool { return terminalWidth(stream) > 0 }

// hasColors says whether a terminal may be sent colors (https://no-color.org).
func hasColors() bool {
	term := os.Getenv("TERM")
	return os.Getenv("NO_COLOR") == "" && term != "dumb" && term != ""
}

// paint gives a text the color of a state, a result or an outcome.
func paint(word, text string) string {
	const red, green, yellow = "31", "32", "33"
	color := ""
	switch word {
	case "dead", "failure", "timeout", "lost", "rejected":
		color = red
	case "success", "accepted":
		color = green
	case "waiting", "calling", "unknown", "running":
		color = yellow
	default:
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}
