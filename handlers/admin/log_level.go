package admin

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"buildbridge/handlers"
)

// LogLevel is how much is logged: debug, info, warn or error.
type LogLevel struct {
	Level string `json:"level"`
}

// levels are the levels that can be set.
var levels = map[string]slog.Level{
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
}

func levelName(l slog.Level) string { return strings.ToLower(l.String()) }

func (a *api) showLogLevel(c echo.Context) error {
	if _, err := (parameters{}).read(c.Request()); err != nil {
		return err
	}
	return handlers.SendJSON(c, http.StatusOK, LogLevel{Level: levelName(a.o.LogLevel.Level())})
}

// setLogLevel changes the level until the next start. It logs that, even if one of the two
// levels is above info.
func (a *api) setLogLevel(c echo.Context) error {
	var level slog.Level
	given, err := parameters{"level": func(value string) error {
		var known bool
		if level, known = levels[value]; !known {
			return fmt.Errorf("%q is none of debug, info, warn, error", value)
		}
		return nil
	}}.read(c.Request())
	if err != nil {
		return err
	}
	if !given.Has("level") {
		return fail(http.StatusBadRequest, "level: missing: one of debug, info, warn, error")
	}
	before := a.o.LogLevel.Level()
	a.o.LogLevel.Set(min(before, level, slog.LevelInfo))
	a.log.LogAttrs(c.Request().Context(), slog.LevelInfo, "log level changed",
		slog.String("level", levelName(level)), slog.String("before", levelName(before)), slog.String("client", c.Request().RemoteAddr))
	a.o.LogLevel.Set(level)
	return handlers.SendJSON(c, http.StatusOK, LogLevel{Level: levelName(level)})
}
