package admin

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

func (a *API) stopBuild(c echo.Context) error {
	return a.changeBuild(c, http.StatusAccepted, a.StopBuild)
}
