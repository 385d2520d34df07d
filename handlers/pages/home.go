package pages

import (
	"net/url"

	"github.com/labstack/echo/v4"

	"buildbridge/handlers/admin"
)

// home is the first page: what does not work now, and what came last.
func (p *pages) home(c echo.Context) (page, error) {
	ctx, few := c.Request().Context(), url.Values{"limit": {"10"}}
	var data struct {
		admin.Overview

		Builds     []admin.Build
		Deliveries []admin.Delivery
	}
	var err error
	if data.Overview, err = p.API.Overview(ctx); err != nil {
		return page{}, err
	}
	builds, err := p.API.ListBuilds(ctx, few)
	if err != nil {
		return page{}, err
	}
	deliveries, err := p.API.ListDeliveries(ctx, few)
	data.Builds, data.Deliveries = builds.Builds, deliveries.Deliveries
	return page{"home", "buildbridge", data}, err
}
