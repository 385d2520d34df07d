package admin

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"buildbridge/handlers"
)

// stopBuild has the service end a build that it runs, and does not wait for the end.
func (a *api) stopBuild(c echo.Context) error {
	id, err := onlyID(c, "build")
	if err != nil {
		return err
	}
	why, err := readReason(c)
	if err != nil {
		return err
	}
	b, err := a.Builds.StopBuild(c.Request().Context(), id, by(c, why))
	if err != nil {
		return a.buildError(c.Request().Context(), id, err)
	}
	return handlers.SendJSON(c, http.StatusAccepted, newBuild(b))
}
