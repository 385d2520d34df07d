package cli

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every command of ours that a page of the documentation shows is one that the program takes.
// Whether it prints what the page shows, and does what it says, is for other tests.
func TestPagesShowCommandsThatExist(t *testing.T) {
	pages, err := filepath.Glob("../../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	pages = append(pages, "../../../README.md", "../../../charts/buildbridge/README.md")
	var (
		block  = regexp.MustCompile("(?ms)^ *```(?:sh|console|yaml)\n(.*?)^ *```")
		inline = regexp.MustCompile("`(buildbridge [^`]+)`")
		// Where a command begins: a line, a pipe, or what kubectl and docker run in a container.
		ours = regexp.MustCompile(`(?m)(?:^ *(?:\$ )?|[|;&] *| -- )(?:\./)?buildbridge (.*)$`)
	)
	known := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		check := func(command string, whole bool) {
			t.Helper()
			known++
			err := parses(t, command)
			// In a sentence a command may lack what it is about.
			if err != nil && (whole || regexp.MustCompile(`unknown|unexpected`).MatchString(err.Error())) {
				t.Errorf("%s: buildbridge %s: %v", filepath.Base(page), command, err)
			}
		}
		for _, b := range block.FindAllStringSubmatch(string(text), -1) {
			for _, m := range ours.FindAllStringSubmatch(strings.NewReplacer("\\\n> ", " ", "\\\n", " ").Replace(b[1]), -1) {
				check(m[1], true)
			}
		}
		for _, m := range inline.FindAllStringSubmatch(block.ReplaceAllString(string(text), ""), -1) {
			check(strings.TrimPrefix(strings.Join(strings.Fields(m[1]), " "), "buildbridge "), false)
		}
	}
	if known < 100 {
		t.Errorf("%d commands were found", known)
	}
}

// parses reports what is wrong with a command as it is typed in a shell.
func parses(t *testing.T, command string) error {
	t.Helper()
	var args []string
	for _, m := range regexp.MustCompile(`#.*|2?>+ *\S+|<+ *\S+|[|;&].*|(?:'[^']*'|"[^"]*"|[^\s'"|;&<>])+`).FindAllString(command, -1) {
		if strings.ContainsAny(m[:1], "#|;&<>") || strings.HasPrefix(m, "2>") {
			continue
		}
		if args = append(args, strings.NewReplacer(`"`, "", `'`, "").Replace(m)); m == "…" {
			return nil
		}
	}
	helped := false
	parser, err := newParser(t.Context(), &grammar{}, &Environment{Stdout: io.Discard, Stderr: io.Discard}, func() { helped = true })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(args); err != nil && !helped {
		return err
	}
	return nil
}
