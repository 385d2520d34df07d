package pages

import (
	"time"

	"github.com/labstack/echo/v4"

	"buildbridge/handlers/admin"
	"buildbridge/trigger/store"
)

// targetData is a target with what is wrong with its builds.
type targetData struct {
	store.TargetState

	Errors []admin.TargetError
	Left   int // how many reasons more there are
}

// targetReasons is how many reasons of a target are shown.
const targetReasons = 10

// targets is the page of all targets and sources, and of the replicas.
func (p *pages) targets(c echo.Context) (page, error) {
	ctx := c.Request().Context()
	var data struct {
		admin.Overview

		Targets []targetData
		Bounded bool
	}
	var err error
	if data.Overview, err = p.API.Overview(ctx); err != nil {
		return page{}, err
	}
	wrong, err := p.API.TargetErrors(ctx, time.Now())
	if err != nil {
		return page{}, err
	}
	data.Bounded = wrong.Bounded
	of := map[string][]admin.TargetError{}
	for _, e := range wrong.Errors {
		of[e.Target] = append(of[e.Target], e)
	}
	for _, state := range data.Overview.Targets {
		t := targetData{TargetState: state, Errors: of[state.Target]}
		if most := len(t.Errors); most > targetReasons {
			t.Errors, t.Left = t.Errors[:targetReasons], most-targetReasons
		}
		data.Targets = append(data.Targets, t)
		delete(of, state.Target)
	}
	// Others have dead builds only, and are in the rules no more.
	for _, e := range wrong.Errors {
		if errs := of[e.Target]; errs != nil {
			t := targetData{TargetState: store.TargetState{Target: e.Target}, Errors: errs[:min(len(errs), targetReasons)]}
			data.Targets = append(data.Targets, t)
			delete(of, e.Target)
		}
	}
	return page{"targets", "Targets", data}, nil
}
