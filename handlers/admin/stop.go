package admin

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

// stopBuild has the service end a build that it runs, and does not wait for the end.
func (a *api) stopBuild(c echo.Context) error {
	return a.changeBuild(c, http.StatusAccepted, a.Builds.StopBuild)
}
