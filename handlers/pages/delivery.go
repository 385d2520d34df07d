package pages

import "github.com/labstack/echo/v4"

func (p *pages) deliveries(echo.Context) (page, error) { return page{}, echo.ErrNotFound }

func (p *pages) delivery(echo.Context) (page, error) { return page{}, echo.ErrNotFound }
