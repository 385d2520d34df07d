package admin_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"buildbridge/handlers/admin"
)

func TestLogLevel(t *testing.T) {
	var (
		level slog.LevelVar
		log   strings.Builder
	)
	a := &api{t: t, store: open(t)}
	h, err := admin.New(admin.Options{
		Store: a.store, Builds: builds{a}, Deliveries: deliveries{a}, LogLevel: &level,
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: &level})),
		Access: admin.Access{Tokens: []admin.Token{token(admin.Read, readToken), token(admin.Operate, operateToken), token(admin.Write, writeToken)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		method, query, token string
		status               int
		answer               string
		level                slog.Level
	}{
		{http.MethodGet, "", readToken, 200, `{"level":"info"}`, slog.LevelInfo},
		{http.MethodPut, "?level=debug", readToken, 403, "with the role write", slog.LevelInfo},
		{http.MethodPut, "?level=debug", operateToken, 403, "has the role operate; writing needs a token with the role write", slog.LevelInfo},
		{http.MethodPut, "?level=debug", writeToken, 200, `{"level":"debug"}`, slog.LevelDebug},
		{http.MethodPut, "?level=loud", writeToken, 400, `level: \"loud\" is none of debug, info, warn, error`, slog.LevelDebug},
		{http.MethodPut, "?level=info%2B1", writeToken, 400, "none of", slog.LevelDebug},
		{http.MethodPut, "", writeToken, 400, "level: missing", slog.LevelDebug},
		{http.MethodPut, "?level=error", writeToken, 200, `{"level":"error"}`, slog.LevelError},
		{http.MethodPut, "?level=warn", writeToken, 200, `{"level":"warn"}`, slog.LevelWarn},
		{http.MethodGet, "", readToken, 200, `{"level":"warn"}`, slog.LevelWarn},
		{http.MethodPost, "?level=info", writeToken, 405, "POST is not for this path", slog.LevelWarn},
	} {
		r := httptest.NewRequest(step.method, admin.Prefix+"/log-level"+step.query, nil)
		r.Header.Set("Authorization", "Bearer "+step.token)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != step.status || !strings.Contains(w.Body.String(), step.answer) || level.Level() != step.level {
			t.Errorf("%s %s: %d %s, level %s; want %d %s, level %s", step.method, step.query, w.Code, w.Body, level.Level(), step.status, step.answer, step.level)
		}
	}
	for _, line := range []string{"level=debug before=info actor=write", "level=error before=debug", "level=warn before=error"} {
		if !strings.Contains(log.String(), line) {
			t.Errorf("the log does not tell of %s:\n%s", line, &log)
		}
	}
}
