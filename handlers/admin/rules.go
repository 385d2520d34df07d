package admin

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"buildbridge/handlers"
	"buildbridge/mapping"
)

// RulesInForce are the rules that one process serves, and how they came. It must not change
// after it was given.
type RulesInForce struct {
	Rules    *mapping.Ruleset
	LoadedAt time.Time
	Before   string          // the digest of the rules before the last reload; "" if there was none since the start
	Change   *mapping.Change // what that reload changed; nil if there was none
	Failed   *FailedReload   // nil if the last load succeeded
}

// Rules are the rules in force of one process.
type Rules struct {
	Digest   string    `json:"digest"`    // of all rules, sources and targets
	LoadedAt time.Time `json:"loaded_at"` // by the start, or by the last reload that succeeded

	DigestBefore string          `json:"digest_before,omitempty"` // of the rules before that reload
	Changed      *mapping.Change `json:"changed,omitempty"`       // what that reload changed
	Failed       *FailedReload   `json:"failed,omitempty"`        // the last reload, if it failed: the files are not in force

	Total int                   `json:"total"` // rules there are
	Rules []mapping.Description `json:"rules"` // those that were asked for, in the order of the files
}

// FailedReload is a reload that failed: the rules before it stay in force.
type FailedReload struct {
	At     time.Time `json:"at"`
	Faults int       `json:"faults"` // how many there are
	First  string    `json:"first"`  // the first of them
}

// listRules shows the rules in force.
func (a *API) listRules(c echo.Context) error {
	var repository, name string
	if _, err := (parameters{"repository": text(&repository), "name": text(&name)}).read(c.Request()); err != nil {
		return err
	}
	force := a.Rules()
	answer := Rules{
		Digest: force.Rules.Digest(), LoadedAt: force.LoadedAt.UTC(), DigestBefore: force.Before, Changed: force.Change, Failed: force.Failed,
		Total: force.Rules.Len(), Rules: []mapping.Description{},
	}
	for d := range force.Rules.Describe(repository) {
		if name == "" || d.Name == name {
			answer.Rules = append(answer.Rules, d)
		}
	}
	return handlers.SendJSON(c, http.StatusOK, answer)
}
