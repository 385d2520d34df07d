package hostapi_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"buildbridge/mapping"
	"buildbridge/trigger/hostapi"
	"buildbridge/trigger/hostapi/hostapitest"
)

// TestHostDown: nothing of the source will be taken while nobody listens; a connection that
// breaks concerns one status only.
func TestHostDown(t *testing.T) {
	for _, provider := range providers {
		t.Run(provider, func(t *testing.T) {
			host := newHost(t, hostapitest.Options{Forgejo: provider == hostapitest.Forgejo})
			c := newClient(t, hostapi.Options{Provider: provider, URL: host.URL})
			s := status(hostapi.Pending)
			s.Previous = post(t, c, s)
			s.State = hostapi.Success

			host.SetDown(true)
			c.Close() // a connection that is kept would break
			if r := refusal(t, c, s); r.Fate != source || r.Code != "not_sent" || !strings.Contains(r.Error(), "cannot be reached at "+host.URL) {
				t.Errorf("down: %+v", r)
			}
			host.SetDown(false)

			if err := host.AddFault(hostapitest.Fault{Drop: hostapitest.DropBefore, Times: 1}); err != nil {
				t.Fatal(err)
			}
			if r := refusal(t, c, s); r.Fate != again || r.Code != "timeout" {
				t.Errorf("dropped: %+v", r)
			}
			post(t, c, s)
			if shown := host.Shown(); len(shown) != 1 || slices.Contains([]string{"pending", "queued", "INPROGRESS"}, shown[0].State) {
				t.Errorf("shown: %+v", shown)
			}
		})
	}
}

// TestDeadline: a request has 10 s, or less if its caller does not wait.
func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, hostapi.Options{Provider: hostapitest.GitHub, Transport: transport(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})})
		began := time.Now()
		r := refusal(t, c, status(hostapi.Success))
		if r.Fate != source || !errors.Is(r, context.DeadlineExceeded) || time.Since(began) != 10*time.Second {
			t.Errorf("%+v after %v", r, time.Since(began))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := c.Post(ctx, status(hostapi.Success))
		// That this process ends says nothing about the host.
		if r, ok := errors.AsType[*hostapi.Refusal](err); !ok || r.Fate != again || !errors.Is(err, context.Canceled) {
			t.Errorf("%+v", err)
		}
	})
}

// TestDeadlineOfAll: however many requests a status takes, the caller's deadline holds for all.
func TestDeadlineOfAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		c := newClient(t, hostapi.Options{Provider: hostapitest.Gitee, Transport: transport(func(r *http.Request) (*http.Response, error) {
			sent++
			select {
			case <-time.After(6 * time.Second):
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
			if r.Method == http.MethodGet {
				return answer(200, `{"check_runs":[]}`), nil
			}
			return answer(404, `{}`), nil // of the PATCH
		})})
		s := status(hostapi.Success)
		s.Previous = "7"
		ctx, cancel := context.WithTimeout(t.Context(), 17*time.Second)
		defer cancel()
		began := time.Now()
		_, err := c.Post(ctx, s)
		if r, ok := errors.AsType[*hostapi.Refusal](err); !ok || r.Fate != again || sent != 3 || time.Since(began) != 17*time.Second {
			t.Errorf("%+v after %v and %d requests", err, time.Since(began), sent)
		}
	})
}

// TestAnswerBreaksOff: a status that may have been set is set again.
func TestAnswerBreaksOff(t *testing.T) {
	c := newClient(t, hostapi.Options{Provider: hostapitest.GitHub, Transport: transport(func(*http.Request) (*http.Response, error) {
		res := answer(201, "")
		res.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"state":`), failing{}))
		return res, nil
	})})
	if r := refusal(t, c, status(hostapi.Success)); r.Fate != again || r.Code != "timeout" {
		t.Errorf("%+v", r)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// TestLargeAnswer: of an answer no more than 1 MiB is read.
func TestLargeAnswer(t *testing.T) {
	for _, code := range []int{201, 500} {
		body := &endless{}
		c := newClient(t, hostapi.Options{Provider: hostapitest.GitLab, Transport: transport(func(*http.Request) (*http.Response, error) {
			res := answer(code, "")
			res.Body = io.NopCloser(body)
			return res, nil
		})})
		if r := refusal(t, c, status(hostapi.Success)); r.Fate != again || body.read > 2<<20 {
			t.Errorf("%d: %+v, %d bytes read", code, r, body.read)
		}
	}
}

type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	e.read += len(p)
	return len(p), nil
}

// TestRedirect: no redirect is followed, so that nothing goes where it leads, least of all the
// token.
func TestRedirect(t *testing.T) {
	for _, provider := range providers {
		for _, code := range []int{301, 302, 303, 307, 308} {
			var asked atomic.Int32
			elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
			defer elsewhere.Close()
			host := newHost(t, hostapitest.Options{})
			if err := host.AddFault(hostapitest.Fault{Status: code, Header: map[string]string{"Location": elsewhere.URL + "/x"}}); err != nil {
				t.Fatal(err)
			}
			r := refusal(t, newClient(t, hostapi.Options{Provider: provider, URL: host.URL}), status(hostapi.Success))
			if r.Fate != source || asked.Load() != 0 {
				t.Errorf("%s, %d: %+v, asked %d times", provider, code, r, asked.Load())
			}
		}
	}
}

// TestTokenRotates: the token is read for each request.
func TestTokenRotates(t *testing.T) {
	host := newHost(t, hostapitest.Options{Token: "the-s3cond"})
	current := "the-f1rst"
	c := newClient(t, hostapi.Options{Provider: hostapitest.GitHub, URL: host.URL, Token: func() (mapping.Secret, error) { return mapping.Secret(current), nil }})
	if r := refusal(t, c, status(hostapi.Success)); r.Code != "401" {
		t.Errorf("%+v", r)
	}
	current = "the-s3cond\n"
	post(t, c, status(hostapi.Success))
}

func backwards(text string) string {
	runes := []rune(text)
	slices.Reverse(runes)
	return string(runes)
}

// TestTokenIsNotShown: neither errors nor log lines have the token, not even if the host, or the
// transport, repeats it.
func TestTokenIsNotShown(t *testing.T) {
	basic := base64.StdEncoding.EncodeToString([]byte("me:" + token))
	repeats := map[string]func() (*http.Response, error){
		"in a message": func() (*http.Response, error) { return answer(422, `{"message":"bad token `+token+`"}`), nil },
		"in part": func() (*http.Response, error) {
			return answer(401, `{"message":"bad token `+strings.ToUpper(token[:9])+`"}`), nil
		},
		"in base64": func() (*http.Response, error) { return answer(403, `{"message":"bad header Basic `+basic+`"}`), nil },
		"in a redirect": func() (*http.Response, error) {
			return answer(302, `{}`, "Location", "https://elsewhere.example.com/"+token), nil
		},
		"backwards": func() (*http.Response, error) {
			return answer(401, `{"message":"bad token `+backwards(token)+`"}`), nil
		},
		"in an error": func() (*http.Response, error) { return nil, errors.New("malformed response " + token) },
		"nowhere":     func() (*http.Response, error) { return answer(201, `{"id":1}`), nil },
	}
	for _, provider := range providers {
		for name, repeat := range repeats {
			if name == "in base64" && !slices.Contains([]string{hostapitest.Bitbucket, hostapitest.BitbucketServer, hostapitest.AzureDevOps}, provider) {
				continue // it was not sent so
			}
			t.Run(provider+" "+name, func(t *testing.T) {
				var log bytes.Buffer
				c := newClient(t, hostapi.Options{
					Provider: provider, URL: "https://git.example.com", Username: "me",
					Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
					Transport: transport(func(r *http.Request) (*http.Response, error) {
						if r.Method == http.MethodGet && name == "nowhere" {
							return answer(200, `{}`), nil
						}
						return repeat()
					}),
				})
				_, err := c.Post(t.Context(), status(hostapi.Success))
				if (err == nil) != (name == "nowhere" && provider != hostapitest.BitbucketServer) {
					t.Fatal(err)
				}
				text := log.String()
				if !strings.Contains(text, `msg="request to the code host"`) || !strings.Contains(text, "call=") {
					t.Errorf("log %s", text)
				}
				if err != nil {
					text += err.Error()
				}
				for _, part := range []string{token[:9], backwards(token)[:9], basic[8:16], url.QueryEscape(token)} {
					if strings.Contains(strings.ToLower(text), strings.ToLower(part)) {
						t.Errorf("it has %s: %s", part, text)
					}
				}
			})
		}
	}
}

// TestRequests: every request is told, with its code.
func TestRequests(t *testing.T) {
	var told []string
	options := func(provider, url string) hostapi.Options {
		return hostapi.Options{Provider: provider, URL: url, Requests: func(call, code string) { told = append(told, call+" "+code) }}
	}
	host := newHost(t, hostapitest.Options{Commits: []string{commit}})
	c := newClient(t, options(hostapitest.Gitee, host.URL))
	s := status(hostapi.Pending)
	s.Previous = post(t, c, s)
	post(t, c, s)
	if err := host.AddFault(hostapitest.Fault{Drop: hostapitest.DropAfter, Times: 1}); err != nil {
		t.Fatal(err)
	}
	_ = refusal(t, c, s)
	c = newClient(t, options(hostapitest.GitHub, host.URL))
	s.Commit = other
	_ = refusal(t, c, s)
	host.SetDown(true)
	c.Close()
	_ = refusal(t, c, s)
	if want := []string{"check_runs 200", "status 201", "status 200", "status timeout", "status 422", "status not_sent"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}
