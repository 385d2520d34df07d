package admin

import (
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

func levelName(l slog.Level) string { return strings.ToLower(l.String()) }

func (a *API) showLogLevel(c echo.Context) error {
	if _, err := (parameters{}).read(c.Request()); err != nil {
		return err
	}
	return handlers.SendJSON(c, http.StatusOK, LogLevel{Level: levelName(a.LogLevel.Level())})
}

// setLogLevel changes the level until the next start. It logs that, even if one of the two
// levels is above info.
func (a *API) setLogLevel(c echo.Context) error {
	var name string
	if _, err := (parameters{"level": oneOf(&name, "debug", "info", "warn", "error")}).read(c.Request()); err != nil {
		return err
	}
	var level slog.Level
	if level.UnmarshalText([]byte(name)) != nil { // of those names only "" is none
		return fail(http.StatusBadRequest, "level: missing: one of debug, info, warn, error")
	}
	before := a.LogLevel.Level()
	a.LogLevel.Set(min(before, level, slog.LevelInfo))
	a.Logger.LogAttrs(c.Request().Context(), slog.LevelInfo, "log level changed",
		slog.String("level", name), slog.String("before", levelName(before)), slog.String("actor", by(c, "").Actor),
		slog.String("client", c.Request().RemoteAddr))
	a.LogLevel.Set(level)
	return handlers.SendJSON(c, http.StatusOK, LogLevel{Level: name})
}
