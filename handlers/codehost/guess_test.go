package codehost

import (
	"errors"
	"net/http"
	"strings"
	"testing"
)

// The error of a body that was saved without its headers is about the body.
func TestSavedNamesWhatIsWrongWithTheBody(t *testing.T) {
	t.Parallel()
	const object = "payload=%7B%22after%22%3A1%7D"
	for phrase, c := range map[string]struct {
		kind, body string
		want       string // in the error
		forms      bool   // only from a host that sends none
	}{
		"empty":                 {body: "", want: "the body is empty"},
		"cut short":             {body: `{"ref":`, want: "not JSON at byte 7"},
		"text":                  {body: "hello", want: "the body is not a JSON object"},
		"an array":              {body: "[]", want: "the body is not a JSON object"},
		"gzip":                  {body: "\x1f\x8b\x08\x00", want: "compressed by gzip"},
		"a form":                {body: object, want: "a form body", forms: true},
		"a form that is none":   {body: "payload=%7", want: "malformed delivery"},
		"a form of another":     {body: "payload=hello", want: "malformed delivery"},
		"a form called JSON":    {kind: "application/json", body: object, want: "the body is not a JSON object"},
		"a form without a body": {kind: formType, body: "a=b", want: "malformed delivery"},
	} {
		for _, provider := range providerNames() {
			t.Run(provider+"/"+phrase, func(t *testing.T) {
				t.Parallel()
				header := http.Header{}
				if c.kind != "" {
					header.Set("Content-Type", c.kind)
				}
				host, err := hostOf(provider)
				if err != nil {
					t.Fatal(err)
				}
				_, err = Saved(provider, header, []byte(c.body))
				if c.forms && host.forms {
					if err != nil {
						t.Errorf("of a host that sends forms: %v", err)
					}
					return
				}
				if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("error %v, want %q in it", err, c.want)
				}
			})
		}
	}
}
