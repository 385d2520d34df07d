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
)

// Reason is the body of a request that says why something is done. It may be left out.
type Reason struct {
	Reason string `json:"reason,omitempty"` // one line, at most 1024 bytes
}

// maxReason bounds a reason, in bytes, and maxReasonBody the body with it.
const (
	maxReason     = 1024
	maxReasonBody = 8 * maxReason
)

// readReason reads the reason from the body of a request.
func readReason(c echo.Context) (string, error) {
	var given Reason
	decoder := json.NewDecoder(io.LimitReader(c.Request().Body, maxReasonBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&given); err != nil && !errors.Is(err, io.EOF) || err == nil && decoder.More() {
		return "", fail(http.StatusBadRequest, `the body is not such as {"reason": "…"}, or nothing`)
	}
	return given.Reason, checkReason(given.Reason)
}

func checkReason(why string) error {
	if len(why) > maxReason || !utf8.ValidString(why) || strings.ContainsFunc(why, unicode.IsControl) {
		return fail(http.StatusBadRequest, "reason: give one line of at most %d bytes", maxReason)
	}
	return nil
}
