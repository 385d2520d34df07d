package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/alecthomas/kong"
)

// manual is the first argument of a call that writes the man pages; the folder follows. "make man" makes it.
const manual = "__man"

// writeManual writes a man page for the program and for each of its commands.
func writeManual(app *kong.Application, folder string) error {
	var write func(node *kong.Node) error
	write = func(node *kong.Node) error {
		name := strings.ReplaceAll(node.FullPath(), " ", "-")
		if err := os.WriteFile(filepath.Join(folder, name+".1"), []byte(manPage(app, node)), 0o644); err != nil { //nolint:gosec // for everybody
			return err
		}
		for _, child := range node.Children {
			if child.Hidden {
				continue
			}
			if err := write(child); err != nil {
				return err
			}
		}
		return nil
	}
	return write(app.Node)
}

// manPage is a page in the language of man(7).
func manPage(app *kong.Application, node *kong.Node) string {
	var page strings.Builder
	section := func(title string) { fmt.Fprintf(&page, ".SH %s\n", title) }
	name := strings.ReplaceAll(node.FullPath(), " ", "-")
	fmt.Fprintf(&page, ".TH %s 1\n", strings.ToUpper(roff(name)))
	section("NAME")
	about, _, _ := strings.Cut(node.Help, "\n")
	fmt.Fprintf(&page, "%s \\- %s\n", roff(name), roff(strings.TrimSuffix(about, ".")))
	section("SYNOPSIS")
	fmt.Fprintf(&page, ".B %s\n%s\n", roff(node.FullPath()), roff(strings.TrimSpace(strings.TrimPrefix(node.Summary(), node.Path()))))
	section("DESCRIPTION")
	text := node.Detail
	if node == app.Node {
		_, text, _ = strings.Cut(node.Help, "\n")
	}
	if text == "" {
		text = node.Help
	}
	for paragraph := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		if strings.HasPrefix(paragraph, "    ") { // commands
			fmt.Fprintf(&page, ".PP\n.nf\n%s\n.fi\n", roff(paragraph))
		} else {
			fmt.Fprintf(&page, ".PP\n%s\n", roff(paragraph))
		}
	}
	if len(node.Children) > 0 {
		section("COMMANDS")
		for _, child := range node.Children {
			if !child.Hidden {
				fmt.Fprintf(&page, ".TP\n.BR %s (1)\n%s\n", roff(strings.ReplaceAll(child.FullPath(), " ", "-")), roff(child.Help))
			}
		}
	}
	if len(node.Positional) > 0 {
		section("ARGUMENTS")
		for _, argument := range node.Positional {
			fmt.Fprintf(&page, ".TP\n.I %s\n%s\n", roff(argument.Name), roff(helpOfValue(argument)))
		}
	}
	section("OPTIONS")
	for _, flag := range node.Flags {
		if !flag.Hidden {
			fmt.Fprintf(&page, ".TP\n.B %s\n%s\n", roff(flag.String()), roff(helpOfValue(flag.Value)))
		}
	}
	section("EXIT STATUS")
	page.WriteString("0: good. 1: the input or the start failed. 2: the command line is wrong.\n")
	if node.Name == "explain" && node.Parent == app.Node {
		page.WriteString("3: with \\-\\-exit\\-code, there is nothing to build.\n")
	}
	if node != app.Node {
		fmt.Fprintf(&page, ".SH SEE ALSO\n.BR %s (1)\n", roff(strings.ReplaceAll(node.Parent.FullPath(), " ", "-")))
	}
	return page.String()
}

// roff is text in which nothing is a command of the language.
func roff(text string) string {
	var plain strings.Builder
	for _, c := range text {
		switch {
		case c == '\\':
			plain.WriteString(`\e`)
		case c == '-':
			plain.WriteString(`\-`)
		case c == '\'':
			plain.WriteString(`\(aq`)
		case c > unicode.MaxASCII:
			fmt.Fprintf(&plain, `\[u%04X]`, c)
		default:
			plain.WriteRune(c)
		}
	}
	lines := strings.Split(plain.String(), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
