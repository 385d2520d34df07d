package handlers

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// readyTimeout bounds what /readyz waits for.
const readyTimeout = 2 * time.Second

// healthz says that the process runs. It says nothing about the database, which a
// restart does not fix.
func (s *Server) healthz(c echo.Context) error {
	return c.String(http.StatusOK, "ok\n")
}

type readiness struct {
	Ready   bool     `json:"ready"`
	Reasons []string `json:"reasons,omitempty"`
}

// readyz says whether a delivery can be accepted now: rules were loaded, and
// Options.Ready has no error.
func (s *Server) readyz(c echo.Context) error {
	var reasons []string
	if s.state.Load().Sources == nil {
		reasons = append(reasons, "rules: not loaded yet")
	}
	if ready := s.options.Ready; ready != nil {
		ctx, cancel := context.WithTimeout(c.Request().Context(), readyTimeout)
		defer cancel()
		reasons = append(reasons, causes(ready(ctx))...)
	}
	if len(reasons) > 0 {
		return c.JSON(http.StatusServiceUnavailable, readiness{Reasons: reasons})
	}
	return c.JSON(http.StatusOK, readiness{Ready: true})
}

// causes gives the text of each of the errors that errors.Join joined.
func causes(err error) []string {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error }) // at the top only
	if !ok {
		return []string{err.Error()}
	}
	var texts []string
	for _, cause := range joined.Unwrap() {
		texts = append(texts, causes(cause)...)
	}
	return texts
}
