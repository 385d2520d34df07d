package admin_test

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"buildbridge/handlers/admin"
	"buildbridge/trigger/store"
)

func TestStop(t *testing.T) {
	a := writable(t)
	d, started := a.accept(ref("refs/heads/started"), state(store.Started))
	_, waiting := a.accept(ref("refs/heads/waiting"))
	const unknown = "0197f3c2-7d5e-7b0a-9d0e-1f2a3b4c5d6e"
	for name, test := range map[string]struct {
		id, token, body string
		status          int
		says            string // the reason, or the error
	}{
		"without a reason":            {started.ID, writeToken, "", 202, ""},
		"with none in the body":       {started.ID, writeToken, `{"reason":" "}`, 202, ""},
		"with a reason":               {started.ID, writeToken, `{"reason":"wrong <branch>"}`, 202, "wrong <branch>"},
		"one that waits":              {waiting.ID, writeToken, "", 409, "it does not run: it is waiting"},
		"one that nobody knows":       {unknown, writeToken, "", 404, "no build has the id"},
		"a delivery":                  {d.ID, writeToken, "", 404, "it is the id of a delivery"},
		"no id":                       {"x", writeToken, "", 404, "an id is a UUID"},
		"without a token":             {started.ID, "", "", 401, "operating needs a token"},
		"a body that is none":         {started.ID, writeToken, "reason", 400, "the body is not such as"},
		"two bodies":                  {started.ID, writeToken, "{}{}", 400, "the body is not such as"},
		"a misspelt field":            {started.ID, writeToken, `{"reasons":"x"}`, 400, "the body is not such as"},
		"a reason in lines":           {started.ID, writeToken, `{"reason":"a\nb"}`, 400, "one line"},
		"a reason that is long":       {started.ID, writeToken, `{"reason":"` + strings.Repeat("a", 1025) + `"}`, 400, "1024 bytes"},
		"a body that is far too long": {started.ID, writeToken, `{"reason":"` + strings.Repeat("a", 1<<20) + `"}`, 400, "the body is not such as"},
	} {
		t.Run(name, func(t *testing.T) {
			a.t, a.stopped = t, nil
			r := request(http.MethodPost, admin.Prefix+"/builds/"+test.id+"/stop", test.token)
			r.Body = io.NopCloser(strings.NewReader(test.body))
			w := a.serve(r)
			if w.Code != test.status {
				t.Fatalf("got %d %s, want %d", w.Code, w.Body, test.status)
			}
			if test.status != http.StatusAccepted {
				if !strings.Contains(w.Body.String(), test.says) || len(a.stopped) > 0 {
					t.Errorf("it says %s, want %q; stopped is %q", w.Body, test.says, a.stopped)
				}
				return
			}
			var got admin.Build
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if got.ID != test.id || got.Stop != test.says || !slices.Equal(a.stopped, []string{test.says}) {
				t.Errorf("got %+v, stopped is %q", got, a.stopped)
			}
		})
	}
}
