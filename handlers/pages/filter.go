package pages

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"buildbridge/handlers"
	"buildbridge/mapping/notation"
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

// listed is the query of a list as the API takes it: filters, with a limit that is at most the given one. Its times may
// be short: 2h and 7d are so long ago, and a time may lack its seconds, or be a day. Times are UTC.
func listed(c echo.Context, most int) url.Values {
	query, now := filters(c), time.Now()
	if n, err := strconv.Atoi(query.Get("limit")); !query.Has("limit") || err == nil && n > most && n <= store.MaxPage {
		query.Set("limit", strconv.Itoa(most))
	}
	for _, name := range []string{"since", "until"} {
		text := query.Get(name)
		if age, ok := notation.Duration(text); ok {
			query.Set(name, now.Add(-age).UTC().Format(time.RFC3339))
		}
		for _, form := range []string{time.DateOnly, time.DateTime, "2006-01-02 15:04", "2006-01-02T15:04"} {
			if at, err := time.Parse(form, text); err == nil {
				query.Set(name, at.Format(time.RFC3339))
			}
		}
	}
	return query
}

// listPage is the page of a list that was asked for with such a query: if that makes no sense, with what the API says
// in place of the rows, and with all filters as they are.
func listPage(template, title string, list any, err error) (page, error) {
	shown := page{template, title, list}
	if refusal, ok := errors.AsType[*handlers.Refusal](err); ok && refusal.Status == http.StatusBadRequest {
		return page{}, &wrongQuery{shown, refusal}
	}
	return shown, err
}

// wrongQuery is the error of a view whose query makes no sense.
type wrongQuery struct {
	page page
	*handlers.Refusal
}

func (w *wrongQuery) Unwrap() error { return w.Refusal }

// Others are the filters that were given and are not among those of the form, which keeps them.
func (f frame) Others(form ...string) (others []field) {
	for _, name := range f.given() {
		if !slices.Contains(form, name) {
			others = append(others, field{Name: plain(name), Value: plain(f.Query.Get(name))})
		}
	}
	return others
}

// Asked says which filters were given; "" for none.
func (f frame) Asked() string {
	given := f.given()
	for i, name := range given {
		given[i] = plain(words(name) + " " + f.Query.Get(name))
	}
	return strings.Join(given, ", ")
}

// given are the names of the filters that were given.
func (f frame) given() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(f.Query)), func(name string) bool {
		return f.Query.Get(name) == "" || name == "after" || name == "limit"
	})
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
