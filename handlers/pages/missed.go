package pages

import (
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"buildbridge/handlers/admin"
	"buildbridge/mapping"
)

// missed is the list of pushes whose delivery never came.
func (p *pages) missed(c echo.Context) (page, error) {
	var data struct {
		admin.MissedPage

		Off bool // no source looks for them
	}
	var err error
	data.MissedPage, err = p.API.ListMissed(c.Request().Context(), listed(c, missedRows))
	if force := p.API.Rules; force != nil {
		data.Off = !slices.ContainsFunc(force().Rules.Sources(), func(s *mapping.Source) bool { return s.CatchUp != nil })
	}
	return listPage("missed", "Missed pushes", data, err)
}

// quoted is a text as one word of a shell.
func quoted(text string) string {
	if text != "" && strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./@:+-") == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// refFlag is the flag of builds start for a ref, and its value.
func refFlag(ref string) string {
	if tag, ok := strings.CutPrefix(ref, "refs/tags/"); ok {
		return "--tag=" + quoted(tag)
	}
	return "--branch=" + quoted(strings.TrimPrefix(ref, "refs/heads/"))
}
