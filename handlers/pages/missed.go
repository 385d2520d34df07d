package pages

import (
	"strings"

	"github.com/labstack/echo/v4"
)

// missed is the list of pushes whose delivery never came.
func (p *pages) missed(c echo.Context) (page, error) {
	list, err := p.API.ListMissed(c.Request().Context(), listed(c, missedRows))
	return listPage("missed", "Missed pushes", list, err)
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
