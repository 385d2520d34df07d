package codehost

import (
	"bytes"
	"net/url"
	"testing"
)

// curl calls every body a form by default.
func TestUnwrapTakesAnObjectForWhatItIs(t *testing.T) {
	t.Parallel()
	for phrase, c := range map[string]struct {
		kind, body, want string
	}{
		"a form":                  {formType, "payload=%7B%22a%22%3A1%7D", `{"a":1}`},
		"an object called a form": {formType, "\n {\"payload=\":1}", "\n {\"payload=\":1}"},
		"an object":               {"application/json", `{"a":1}`, `{"a":1}`},
		"no content type":         {"", "payload=1", "payload=1"},
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			got, err := github.unwrap(c.kind, []byte(c.body))
			if err != nil || string(got) != c.want {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
		})
	}
}

// The JSON is taken out of a form before the authentication: it must not take much more
// memory than the form.
func TestFormPayloadCopiesOnce(t *testing.T) {
	raw := append([]byte("payload="), bytes.Repeat([]byte("%7B+a"), 1<<20)...)
	got := testing.AllocsPerRun(10, func() {
		if _, err := formPayload(raw); err != nil {
			t.Error(err)
		}
	})
	if got > 1 {
		t.Errorf("%v copies", got)
	}
}

func FuzzUnescape(f *testing.F) {
	for _, s := range []string{"", "a+b", "%7B%22a%22%3A1%7D", "%", "%7", "%zz", "%2", "a%00b", "%C3%A9", "%+1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want, wantErr := url.QueryUnescape(s)
		got, err := unescape([]byte(s))
		if (err != nil) != (wantErr != nil) || err == nil && string(got) != want {
			t.Errorf("%q: got %q, %v, want %q, %v", s, got, err, want, wantErr)
		}
	})
}
