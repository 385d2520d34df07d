package admin

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
)

// LogLevel is how much is logged: debug, info, warn or error.
type LogLevel struct {
	Level string `json:"level"`
}

func levels() []slog.Level {
	return []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}
}

func levelName(l slog.Level) string { return strings.ToLower(l.String()) }

func (a *api) showLogLevel(c echo.Context) error {
	if _, err := (parameters{}).read(c.Request()); err != nil {
		return err
	}
	return send(c, http.StatusOK, LogLevel{Level: levelName(a.o.LogLevel.Level())})
}

// setLogLevel changes the level until the next start. That is told in the log,
// whichever of the two levels is the quieter one.
func (a *api) setLogLevel(c echo.Context) error {
	var level slog.Level
	given, err := parameters{"level": func(value string) error {
		i := slices.IndexFunc(levels(), func(l slog.Level) bool { return levelName(l) == value })
		if i < 0 {
			return fmt.Errorf("%q is none of debug, info, warn, error", value)
		}
		level = levels()[i]
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
	a.log.InfoContext(c.Request().Context(), "log level changed", "level", levelName(level), "before", levelName(before), "client", c.Request().RemoteAddr)
	a.o.LogLevel.Set(level)
	return send(c, http.StatusOK, LogLevel{Level: levelName(level)})
}
