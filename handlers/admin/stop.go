package admin

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"buildbridge/handlers"
)

// Stop is the body of a request that stops a build. It may be left out.
type Stop struct {
	Reason string `json:"reason,omitempty"` // one line, at most 1024 bytes
}

// maxReason bounds the reason of a stop, in bytes, and maxStop the body with it.
const (
	maxReason = 1024
	maxStop   = 8 * maxReason
)

// stopBuild has the service end a build that it runs, and does not wait for the end.
func (a *api) stopBuild(c echo.Context) error {
	id, err := onlyID(c, "build")
	if err != nil {
		return err
	}
	stop, err := readStop(c.Request().Body)
	if err != nil {
		return err
	}
	b, err := a.Builds.StopBuild(c.Request().Context(), id, by(c, stop.Reason))
	if err != nil {
		return a.buildError(c.Request().Context(), id, err)
	}
	return handlers.SendJSON(c, http.StatusAccepted, newBuild(b))
}

func readStop(body io.Reader) (stop Stop, err error) {
	decoder := json.NewDecoder(io.LimitReader(body, maxStop))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&stop); err != nil && !errors.Is(err, io.EOF) || err == nil && decoder.More() {
		return stop, fail(http.StatusBadRequest, `the body is not such as {"reason": "…"}, or nothing`)
	}
	if len(stop.Reason) > maxReason || !utf8.ValidString(stop.Reason) || strings.ContainsFunc(stop.Reason, unicode.IsControl) {
		return stop, fail(http.StatusBadRequest, "reason: give one line of at most %d bytes", maxReason)
	}
	return stop, nil
}
