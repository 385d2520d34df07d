package pages

import "github.com/labstack/echo/v4"

func (p *pages) search(echo.Context) (page, error) { return page{}, echo.ErrNotFound }
