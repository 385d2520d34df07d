package codearts

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"buildbridge/trigger/internal/quoted"
)

func FuzzParseContent(f *testing.F) {
	for _, s := range []string{
		``, `null`, `{}`, `[]`, `"x"`, `<html><title>x</title>`, "<TITLE>\u0130</title>", `{"actual_build_number":"20"}`,
		`{"result":{"actual_build_number":20}}`, `{"error":{"code":1,"reason":"x"},"status":"error"}`,
		`"{\"error_code\":\"APIG.0308\"}"`, `{"error_code":"APIGW.0301","error_msg":"\u0000\u2028","request_id":"r"}`,
	} {
		f.Add(s, 200)
		f.Add(s, 500)
	}
	f.Fuzz(func(t *testing.T, body string, status int) {
		a := parseContent([]byte(body))
		e := reply{status: status, content: a}.error("run job")
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

// What is read of pipelines is clean and bounded, whatever the service answers.
func FuzzParsePipelines(f *testing.F) {
	for _, s := range []string{
		`{"error_code":"DEVPIPE.00011169","error":{"pipeline_run_id":"2f1c","queue_id":"17"}}`, `{"pipeline_run_id":7,"queue_id":"../"}`,
		`{"id":"r","status":"FAILED","start_time":1772337600000,"detail_url":"https://x/y","stages":[{"name":"s","jobs":[{"status":"FAILED","steps":[{"status":"FAILED","name":"a\nb"}]}]}]}`,
		`{"pipeline_run_id":"r","build_params":{"commit_id":"c"},"status":"PAUSED","stages":[{"status":"SUSPEND"}]}`, `[{"name":"a","value":1}]`, `[7]`,
		`{"name":"x","banned":"true","sources":[{"params":{"alias":"a"}}],"variables":[{"name":"V","is_runtime":1}]}`, `{"stages":{},"sources":[[]],"variables":null}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		a := parseContent([]byte(body))
		if id := a.run.QueueID; id != "" && !pathIDs.MatchString(id) {
			t.Errorf("queue id %q", id)
		}
		run, info := parseRun(a.object), parsePipelineInfo(a.object)
		queued, _ := parseQueuedRun(a.object)
		lines := []string{run.Status, run.Executor, run.Stage, run.Step, info.Name, queued.Status, queued.TriggerType}
		for _, b := range run.Built {
			lines = append(lines, b.Branch, b.Tag, b.Commit)
		}
		for _, v := range info.Variables {
			lines = append(lines, v.Name)
		}
		for _, s := range append(lines, info.Aliases...) {
			if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) || utf8.RuneCountInString(s) > 256 {
				t.Errorf("not one clean, short line: %q", s)
			}
		}
		if run.Step != "" && run.Outcome() != OutcomeFailed {
			t.Errorf("of a run that is %q the step %q failed", run.Status, run.Step)
		}
		if u := address(text(a.object, "detail_url"), nil); u != "" && !strings.HasPrefix(u, "http://") && !strings.HasPrefix(u, "https://") {
			t.Errorf("address %q", u)
		}
		if list, err := parseParameters("read variables", a.list); err == nil && len(list) != len(a.list) {
			t.Errorf("%d of %d parameters", len(list), len(a.list))
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
	a := parseContent([]byte(`{"a":" ","b":12345678901234567890,"c":"x"}`))
	if got := text(a.object, "missing", "a", "b", "c"); got != "12345678901234567890" {
		t.Errorf("got %q", got)
	}
	if got := quoted.Line(strings.Repeat("é", 600), 500); got != strings.Repeat("é", 500)+"…" {
		t.Errorf("cut to %d bytes", len(got))
	}
}

// If a service repeats the request that it got, in any spelling, no secret gets into an error, and no half of
// one.
func TestAnswerWithoutSecrets(t *testing.T) {
	const token, password = "MIIPAgYJKoZ/+x==", `pa<s"wor&d\one`
	reversed := func(s string) string {
		r := []rune(s)
		slices.Reverse(r)
		return string(r)
	}
	echoed := func(s string) string { // in the message of an error
		body, err := json.Marshal(map[string]string{"error_code": "X.1", "error_msg": s})
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	for name, body := range map[string]string{
		"in a message":               echoed("no: " + token),
		"in a message, escaped":      `{"error_code":"X.1","error_msg":"no: MIIPAgYJKoZ\/\u002bx=="}`,
		"in a code":                  `{"error_code":"MIIPAgYJKoZ/+x==","error_msg":"no"}`,
		"in a request id":            `{"error_code":"X.1","request_id":"MIIPAgYJKoZ/+x=="}`,
		"in an error object":         `{"error":{"code":"X.1","reason":"no: MIIPAgYJKoZ/+x=="}}`,
		"in a page":                  `<title>MIIPAgYJKoZ/+x==</title>`,
		"in text":                    `you sent MIIPAgYJKoZ/+x==`,
		"where text is cut":          strings.Repeat("x", 190) + ` MIIPAgYJKoZ/+x==`,
		"where a message is cut":     echoed(strings.Repeat("x", 490) + " " + token),
		"cut by the service":         echoed("no: " + token[:7]),
		"its end alone":              echoed("no: ..." + token[5:]),
		"with dots":                  echoed("no: " + strings.Join(strings.Split(token, ""), ".")),
		"reversed":                   echoed("no: " + reversed(token)),
		"in lower case":              echoed("no: " + strings.ToLower(token)),
		"in base64":                  echoed(base64.StdEncoding.EncodeToString([]byte(token))),
		"in base64, behind a letter": echoed(base64.RawURLEncoding.EncodeToString([]byte("x" + token + "yz"))),
		"in base64, behind two":      echoed(base64.StdEncoding.EncodeToString([]byte("xy" + token))),
		"in hexadecimal":             echoed(hex.EncodeToString([]byte(token))),
		"a piece in hexadecimal":     echoed("no: " + hex.EncodeToString([]byte(token[2:8]))),
		"in a URL":                   echoed("/login?token=" + url.QueryEscape(token)),
		"a password as it is":        echoed(password),
		"a password within JSON":     echoed(`{"password":"pa<s\"wor&d\\one"}`),
		"a password of Java's JSON":  echoed(`{"password":"pa\u003cs\"wor\u0026d\\one"}`),
		"a password of PHP's JSON":   echoed(`{"password":"pa\u003Cs\u0022wor\u0026d\\one"}`),
		"a password of JavaScript's": echoed(`pa\x3cs\x22wor\u{26}d\\one`),
		"a password in octal":        echoed(`pa\074s\042wor\046d\134one`),
		"a password in HTML":         echoed("pa&lt;s&quot;wor&amp;d\\one"),
		"a password in HTML twice":   echoed("pa&amp;lt;s&amp;#34;wor&amp;amp;d\\one"),
		"a password in a URL":        echoed(url.QueryEscape(password)),
		"a password in text":         password,
	} {
		t.Run(name, func(t *testing.T) {
			a := parseContent([]byte(body), token, password)
			for _, text := range []string{a.code, a.message, a.requestID} {
				for _, secret := range []string{token, password, reversed(token)} {
					for i := range len(secret) - 4 {
						if strings.Contains(strings.ToLower(text), strings.ToLower(secret[i:i+4])) {
							t.Errorf("%q holds a piece of a secret", text)
						}
					}
				}
				if text != "" && text != quoted.Hidden && !slices.Contains([]string{"X.1", "no", "a page instead of JSON", "something else than a JSON object"}, text) {
					t.Errorf("%q was kept", text)
				}
			}
		})
	}
	for phrase, c := range map[string]struct{ message, secret string }{
		"a short text is no secret":                              {"no 1", "1"},
		"nor is an empty one":                                    {"no 1", ""},
		"what is usual is kept":                                  {"Incorrect IAM authentication information: verify aksk signature fail, 2026-03-01", token},
		"a piece of five is none":                                {"no: MIIPA", token},
		"nor is what looks like three characters in hexadecimal": {"the job f9d64d49496c615f46 does not exist", token},
	} {
		t.Run(phrase, func(t *testing.T) {
			if a := parseContent([]byte(echoed(c.message)), c.secret); a.code != "X.1" || a.message != c.message {
				t.Errorf("code %q, message %q", a.code, a.message)
			}
		})
	}
}
