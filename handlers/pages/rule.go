package pages

import "github.com/labstack/echo/v4"

func (p *pages) rules(echo.Context) (page, error) { return page{}, echo.ErrNotFound }

func (p *pages) rule(echo.Context) (page, error) { return page{}, echo.ErrNotFound }
