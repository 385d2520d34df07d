package pages

import (
	"github.com/labstack/echo/v4"
)

// builds is the list of builds.
func (p *pages) builds(c echo.Context) (page, error) {
	list, err := p.API.ListBuilds(c.Request().Context(), c.QueryParams())
	return page{"builds", "Builds", list}, err
}

// build is the page of a build.
func (p *pages) build(c echo.Context) (page, error) {
	b, err := p.API.ShowBuild(c.Request().Context(), c.Param("id"))
	return page{"build", "Build " + short(b.ID), b}, err
}
