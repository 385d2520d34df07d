package admin

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"buildbridge/trigger/store"
)

// backupPath is the one GET that needs the right to write: the copy has all bodies. It takes longer than
// other requests.
const backupPath = Prefix + "/backup"

// backupStall is how long a client may take nothing of a backup. The write-ahead log grows meanwhile.
const backupStall = 30 * time.Second

// backup sends a copy of the database. Its length is known before, so that a copy which is cut short is
// noticed.
func (a *API) backup(c echo.Context) error {
	if _, err := (parameters{}).read(c.Request()); err != nil {
		return err
	}
	ctx, began := c.Request().Context(), time.Now()
	var size int64
	err := a.Store.Backup(ctx, func(bytes int64) io.Writer {
		size = bytes
		header := c.Response().Header()
		header.Set(echo.HeaderContentType, "application/vnd.sqlite3")
		header.Set(echo.HeaderContentLength, strconv.FormatInt(bytes, 10))
		c.Response().WriteHeader(http.StatusOK)
		return &patientWriter{w: c.Response(), control: http.NewResponseController(c.Response())}
	})
	switch {
	case errors.Is(err, store.ErrNoBackup):
		return fail(http.StatusConflict, "%s", store.ErrNoBackup)
	case err != nil && size == 0:
		return unavailable(err, "the database cannot be read: the log of buildbridge says why")
	case err != nil:
		a.Logger.LogAttrs(ctx, slog.LevelWarn, "a backup was cut short",
			slog.String("actor", by(c, "").Actor), slog.String("client", c.Request().RemoteAddr), slog.String("error", err.Error()))
		return nil // the answer has begun; the server closes the connection, because its length is wrong
	}
	a.Logger.LogAttrs(ctx, slog.LevelInfo, "a backup was taken",
		slog.String("actor", by(c, "").Actor), slog.String("client", c.Request().RemoteAddr), slog.Int64("bytes", size),
		slog.Float64("seconds", time.Since(began).Seconds()))
	return nil
}

// patientWriter gives the client new time for each MiB that it takes.
type patientWriter struct {
	w       io.Writer
	control *http.ResponseController
	left    int // bytes until the next deadline
}

func (p *patientWriter) Write(b []byte) (int, error) {
	if p.left <= 0 {
		p.left = 1 << 20
		if err := p.control.SetWriteDeadline(time.Now().Add(backupStall)); err != nil {
			return 0, err
		}
	}
	p.left -= len(b)
	return p.w.Write(b)
}
