package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"buildbridge/handlers"
	"buildbridge/mapping"
	"buildbridge/trigger/store"
)

// Pauses pauses and resumes builds; *trigger.Trigger is one.
type Pauses interface {
	Pause(ctx context.Context, p *store.Pause) (before *store.Pause, err error)
	Resume(ctx context.Context, kind store.PauseKind, name string, by mapping.By) (*store.Pause, error)
	Pauses(ctx context.Context) (pauses []*store.Pause, inRules map[string]string, err error)
}

// Pause is what is not called for a while. A request that pauses something has the first four.
type Pause struct {
	Kind   store.PauseKind `json:"kind"`           // all, target, rule or repository
	Name   string          `json:"name,omitempty"` // of the target, rule or repository
	Reason string          `json:"reason"`         // one line, at most 1024 bytes
	Until  time.Time       `json:"until,omitzero"` // when it ends by itself, at most a year from now; unset for never

	Since   time.Time `json:"since,omitzero"`
	Actor   string    `json:"actor,omitempty"`    // who paused it, or changed the pause last
	InRules bool      `json:"in_rules,omitempty"` // the rule has paused: in its file, and is resumed there
	Before  *Pause    `json:"before,omitempty"`   // in an answer: the pause that was changed
}

// PauseList is all that is paused.
type PauseList struct {
	Pauses []Pause `json:"pauses"` // the oldest first, then those in the rules
}

func newPause(p *store.Pause) Pause {
	return Pause{Kind: p.Kind, Name: p.Name, Reason: p.Reason, Until: p.Until, Since: p.Since, Actor: p.Actor}
}

// NewPauses lists pauses, and the rules that are paused in their files, with the reasons.
func NewPauses(pauses []*store.Pause, inRules map[string]string) []Pause {
	all := shown(pauses, newPause)
	for _, rule := range slices.Sorted(maps.Keys(inRules)) {
		all = append(all, Pause{Kind: store.PauseRule, Name: rule, Reason: inRules[rule], InRules: true})
	}
	return all
}

func (a *API) listPauses(c echo.Context) error {
	if _, err := (parameters{}).read(c.Request()); err != nil {
		return err
	}
	pauses, inRules, err := a.Pauses.Pauses(c.Request().Context())
	if err != nil {
		return storeError("pause", "", err)
	}
	return handlers.SendJSON(c, http.StatusOK, PauseList{Pauses: NewPauses(pauses, inRules)})
}

// pause pauses something, or changes a pause.
func (a *API) pause(c echo.Context) error {
	if _, err := (parameters{}).read(c.Request()); err != nil {
		return err
	}
	var given struct {
		Kind   store.PauseKind `json:"kind"`
		Name   string          `json:"name"`
		Reason string          `json:"reason"`
		Until  time.Time       `json:"until"`
	}
	decoder := json.NewDecoder(io.LimitReader(c.Request().Body, maxReasonBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&given); err != nil || decoder.More() {
		return fail(http.StatusBadRequest,
			`the body is not such as {"kind": "target", "name": "north", "reason": "…", "until": "2026-01-31T08:00:00Z"}`)
	}
	if err := checkReason(given.Reason); err != nil {
		return err
	}
	asked := by(c, given.Reason)
	p := &store.Pause{Kind: given.Kind, Name: given.Name, Reason: asked.Why, Actor: asked.Actor, Until: given.Until}
	before, err := a.Pauses.Pause(c.Request().Context(), p)
	if err != nil {
		return pauseError(err)
	}
	answer := newPause(p)
	if before != nil {
		was := newPause(before)
		answer.Before = &was
	}
	return handlers.SendJSON(c, http.StatusOK, answer)
}

// resume ends a pause.
func (a *API) resume(c echo.Context) error {
	var kind, name string
	if _, err := (parameters{"kind": oneOf(&kind, store.PauseKinds()...), "name": text(&name)}).read(c.Request()); err != nil {
		return err
	}
	if (kind == string(store.PauseAll)) != (name == "") {
		return fail(http.StatusBadRequest, "give kind and name of what is to go on; kind=all has no name")
	}
	p, err := a.Pauses.Resume(c.Request().Context(), store.PauseKind(kind), name, by(c, ""))
	if err != nil {
		return pauseError(err)
	}
	return handlers.SendJSON(c, http.StatusOK, newPause(p))
}

func pauseError(err error) error {
	switch {
	case errors.Is(err, store.ErrNotInRules):
		return fail(http.StatusNotFound, "%s", err)
	case errors.Is(err, store.ErrPause):
		return fail(http.StatusBadRequest, "%s", err)
	case errors.Is(err, store.ErrNotFound): // what it says is behind the error itself
		_, says, _ := strings.Cut(err.Error(), store.ErrNotFound.Error()+": ")
		return fail(http.StatusNotFound, "%s", cmp.Or(says, "it is not paused"))
	}
	return storeError("pause", "", err)
}
