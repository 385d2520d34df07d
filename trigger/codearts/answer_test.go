package codearts

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

func FuzzParseAnswer(f *testing.F) {
	for _, s := range []string{
		``, `null`, `{}`, `[]`, `"x"`, `<html><title>x</title>`, "<TITLE>\u0130</title>", `{"actual_build_number":"20"}`,
		`{"result":{"actual_build_number":20}}`, `{"error":{"code":1,"reason":"x"},"status":"error"}`,
		`"{\"error_code\":\"APIG.0308\"}"`, `{"error_code":"APIGW.0301","error_msg":"\u0000\u2028","request_id":"r"}`,
	} {
		f.Add(s, 200)
		f.Add(s, 500)
	}
	f.Fuzz(func(t *testing.T, body string, status int) {
		a := parseAnswer([]byte(body))
		e := answered("run job", status, a, "", 0)
		if s := e.Error(); !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) || len(s) > 4<<10 {
			t.Errorf("error is not one clean, short line: %q", s)
		}
		if a.buildNumber != "" && a.object == nil {
			t.Errorf("build number %q out of no object", a.buildNumber)
		}
		if a.buildNumber != strings.TrimSpace(a.buildNumber) {
			t.Errorf("build number %q has blanks", a.buildNumber)
		}
		if a.code == "" && a.object == nil && !a.failed() {
			t.Error("what is no object is no success")
		}
		if status >= 500 && a.code == "" && e.Fate != FateUnknown {
			t.Errorf("a failure without a code is %v", e.Fate)
		}
	})
}

func TestParseTime(t *testing.T) {
	zone := time.FixedZone("+8", 8*60*60)
	want := time.Date(2026, 3, 1, 4, 5, 6, 0, time.UTC)
	tests := map[string]struct {
		text string
		want time.Time
	}{
		"wall clock":   {"2026-03-01 12:05:06", want},
		"milliseconds": {"1772337906000", want},
		"seconds":      {"1772337906", want},
		"with a zone":  {"2026-03-01T04:05:06Z", want},
		"nothing":      {"", time.Time{}},
		"zero":         {"0", time.Time{}},
		"negative":     {"-1", time.Time{}},
		"words":        {"yesterday", time.Time{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got, _ := parseTime(test.text, zone); !got.Equal(test.want) {
				t.Errorf("%q is %v, want %v", test.text, got, test.want)
			}
		})
	}
}

func TestText(t *testing.T) {
	a := parseAnswer([]byte(`{"a":" ","b":12345678901234567890,"c":"x"}`))
	if got := text(a.object, "missing", "a", "b", "c"); got != "12345678901234567890" {
		t.Errorf("got %q", got)
	}
	if got := oneLine(strings.Repeat("é", 600), 500); got != strings.Repeat("é", 500)+"…" {
		t.Errorf("cut to %d bytes", len(got))
	}
}

// What a service tells of the request it got does not get into an error, and
// what is cut does not leave half a secret behind.
func TestAnswerWithoutSecrets(t *testing.T) {
	const token, password = "MIIPAgYJKoZ/+x==", `pass"word\one`
	for name, body := range map[string]string{
		"in a message":              `{"error_code":"X.1","error_msg":"no: MIIPAgYJKoZ/+x=="}`,
		"in a message, escaped":     `{"error_code":"X.1","error_msg":"no: MIIPAgYJKoZ\/\u002bx=="}`,
		"in a code":                 `{"error_code":"MIIPAgYJKoZ/+x==","error_msg":"no"}`,
		"in a request id":           `{"error_code":"X.1","request_id":"MIIPAgYJKoZ/+x=="}`,
		"in an error object":        `{"error":{"code":"X.1","reason":"no: MIIPAgYJKoZ/+x=="}}`,
		"in a page":                 `<title>MIIPAgYJKoZ/+x==</title>`,
		"in text":                   `you sent MIIPAgYJKoZ/+x==`,
		"where text is cut":         strings.Repeat("x", 190) + ` MIIPAgYJKoZ/+x==`,
		"where a message is cut":    `{"error_code":"X.1","error_msg":"` + strings.Repeat("x", 490) + ` MIIPAgYJKoZ/+x=="}`,
		"a password within JSON":    `{"error_code":"X.1","error_msg":"{\"password\":\"pass\\\"word\\\\one\"}"}`,
		"a password as it is":       `pass"word\one`,
		"a password, in an object ": `{"error":{"code":"X.1","message":"pass\"word\\one"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			a := parseAnswer([]byte(body), token, password)
			for _, text := range []string{a.code, a.message, a.requestID} {
				if strings.Contains(text, "MII") || strings.Contains(text, "word") && strings.Contains(text, "one") {
					t.Errorf("%q holds a secret", text)
				}
			}
		})
	}
	if a := parseAnswer([]byte(`{"error_code":"X.1","error_msg":"no 1"}`), "1", ""); a.code != "X.1" || a.message != "no 1" {
		t.Errorf("code %q, message %q: a short text is taken for a secret", a.code, a.message)
	}
}
