package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"buildbridge/handlers"
	"buildbridge/trigger/store"
)

// Overview is what an operator looks at first: the answer to GET /api/v1/status. The counts are those
// of the database, and so of all replicas. What the last calls gave is what this process has seen
// since its start.
type Overview struct {
	Version string    `json:"version"`
	Started time.Time `json:"started"` // this process
	Rules   int       `json:"rules"`   // how many are in force
	Digest  string    `json:"digest"`  // of these rules

	Pauses   []Pause             `json:"pauses"`
	Targets  []store.TargetState `json:"targets"` // of the rules, and others that have builds; by name
	Sources  []store.SourceState `json:"sources"` // those with something to say or to catch up; by name
	Replicas []store.Replica     `json:"replicas"`
	OnHold   bool                `json:"on_hold,omitempty"` // this process was started with --hold, and everything is still paused

	Faults []store.Fault `json:"faults"` // what does not work now: in JSON, each a sentence
}

func (a *API) showStatus(c echo.Context) error {
	if _, err := (parameters{}).read(c.Request()); err != nil {
		return err
	}
	status, err := a.Overview(c.Request().Context())
	if err != nil {
		return err
	}
	return handlers.SendJSON(c, http.StatusOK, status)
}

// Overview says how everything is.
func (a *API) Overview(ctx context.Context) (Overview, error) {
	status, err := a.Status(ctx)
	if err != nil {
		return status, storeError("status", "", err)
	}
	return status, nil
}
