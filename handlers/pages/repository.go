package pages

import (
	"github.com/labstack/echo/v4"

	"buildbridge/handlers/admin"
)

// repository is the page of a repository.
func (p *pages) repository(c echo.Context) (page, error) {
	name, err := nameIn(c)
	if err != nil {
		return page{}, err
	}
	after := filters(c).Get("after")
	detail, err := p.API.ShowRepository(c.Request().Context(), name, after)
	if err != nil {
		return page{}, err
	}
	rows, next := ruleRows(detail.Rules, after, rulesBytes/2)
	return page{"repository", "Repository " + line(detail.Name), struct {
		admin.RepositoryDetail

		Rows []ruleRow
		Next string
	}{detail, rows, next}}, nil
}
