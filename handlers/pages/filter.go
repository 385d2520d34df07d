package pages

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"buildbridge/trigger/store"
)

// filters is the query of a request without empty values, which a form sends for what was left out.
func filters(c echo.Context) url.Values {
	given := url.Values{}
	for name, values := range c.QueryParams() {
		for _, value := range values {
			if value = strings.TrimSpace(value); value != "" {
				given.Add(name, value)
			}
		}
	}
	return given
}

// How many rows a list has at most: a page below 100 kB, if names are as long as can be.
const (
	listRows   = 25
	missedRows = 15 // they have the names in a command too
)

// listed is the query of a list that takes limit: filters, with a limit that is at most the given one.
func listed(c echo.Context, most int) url.Values {
	query := filters(c)
	if n, err := strconv.Atoi(query.Get("limit")); !query.Has("limit") || err == nil && n > most && n <= store.MaxPage {
		query.Set("limit", strconv.Itoa(most))
	}
	return query
}

// field is what the parts field and choice show: one filter of a form.
type field struct {
	Name, Label string
	Value       string   // in the query of the page
	Choices     []string // of a choice
	Pattern     string   // a regular expression for a text that can be known as wrong before it is sent; "" for any
	Hint        string   // what fits Pattern
}

// Field is a text field of a filter.
func (f frame) Field(name, label string) field {
	made := field{Name: name, Label: label, Value: f.Query.Get(name)}
	if name == "commit" {
		made.Pattern = fmt.Sprintf("[0-9a-fA-F]{%d,64}", store.MinCommit)
		made.Hint = "the id of a commit, or at least " + strconv.Itoa(store.MinCommit) + " digits of it"
	}
	return made
}

// Choice is a filter with a list of values.
func (f frame) Choice(name, label string, choices []string) field {
	return field{Name: name, Label: label, Value: f.Query.Get(name), Choices: choices}
}

// With is the query of this page with another value for one parameter, "" for none.
func (f frame) With(name, value string) string {
	query := url.Values{}
	for other, values := range f.Query {
		if other != name {
			query[other] = values
		}
	}
	if value != "" {
		query.Set(name, value)
	}
	return "?" + query.Encode()
}
