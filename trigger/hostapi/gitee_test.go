package hostapi_test

import (
	"net/http"
	"testing"
	"time"

	"buildbridge/trigger/hostapi"
	"buildbridge/trigger/hostapi/hostapitest"
)

// TestGiteeLostAnswer: the answer to the creation of a check run is lost, and no second one is
// made, whether it had ended or not.
func TestGiteeLostAnswer(t *testing.T) {
	for _, state := range []hostapi.State{hostapi.Pending, hostapi.Success} {
		t.Run(string(state), func(t *testing.T) {
			host := newHost(t, hostapitest.Options{})
			c := newClient(t, hostapi.Options{Provider: hostapitest.Gitee, URL: host.URL})
			s := status(state)
			s.Begun = time.Unix(1700000000, 0)
			if state != hostapi.Pending {
				s.Ended = time.Unix(1700000060, 0)
			}
			if err := host.AddFault(hostapitest.Fault{Method: "POST", Drop: hostapitest.DropAfter, Times: 1}); err != nil {
				t.Fatal(err)
			}
			if r := refusal(t, c, s); r.Fate != again || r.Code != "timeout" {
				t.Fatalf("%+v", r)
			}
			s.Previous = post(t, c, s)
			if first := host.Statuses()[0]; s.Previous != first.ID {
				t.Errorf("check run %s, want %s", s.Previous, first.ID)
			}
			if state == hostapi.Pending {
				s.State, s.Ended = hostapi.Success, time.Unix(1700000060, 0)
				post(t, c, s)
			}
			if shown := host.Shown(); len(shown) != 1 || shown[0].State != "success" {
				t.Errorf("shown: %+v", shown)
			}
		})
	}
}

// TestGiteeEnded: a check run that has ended does not change, so the next status has a new one;
// the same end twice does not.
func TestGiteeEnded(t *testing.T) {
	host := newHost(t, hostapitest.Options{})
	c := newClient(t, hostapi.Options{Provider: hostapitest.Gitee, URL: host.URL})
	s := status(hostapi.Error)
	s.Ended = time.Unix(1700000060, 0)
	first := post(t, c, s)
	s.Previous = first
	if got := post(t, c, s); got != first {
		t.Errorf("check run %s, want %s", got, first)
	}
	s.State, s.Ended = hostapi.Success, time.Unix(1700000120, 0)
	if got := post(t, c, s); got == first || got == "" {
		t.Errorf("check run %q", got)
	}
	if shown := host.Shown(); len(shown) != 1 || shown[0].State != "success" {
		t.Errorf("shown: %+v", shown)
	}
	s.Previous, s.State = "4711", hostapi.Failure // one that is gone
	post(t, c, s)
	if shown := host.Shown(); len(shown) != 1 || shown[0].State != "failure" {
		t.Errorf("shown: %+v", shown)
	}
}

// TestGiteeNoList: a host that does not let a client look for check runs gets new ones.
func TestGiteeNoList(t *testing.T) {
	for _, code := range []int{401, 403, 404} {
		host := newHost(t, hostapitest.Options{})
		c := newClient(t, hostapi.Options{Provider: hostapitest.Gitee, URL: host.URL})
		if err := host.AddFault(hostapitest.Fault{Method: "GET", Status: code}); err != nil {
			t.Fatal(err)
		}
		s := status(hostapi.Pending)
		s.Previous = post(t, c, s)
		s.State = hostapi.Success
		post(t, c, s)
		if shown := host.Shown(); len(shown) != 1 || shown[0].State != "success" {
			t.Errorf("%d, shown: %+v", code, shown)
		}
	}
}

// TestGiteeListFails: nobody knows whether a check run is there, so none is made.
func TestGiteeListFails(t *testing.T) {
	for name, test := range map[string]struct {
		fault hostapitest.Fault
		fate  hostapi.Fate
		code  string
	}{
		"dropped":   {hostapitest.Fault{Drop: hostapitest.DropBefore}, again, "timeout"},
		"408":       {hostapitest.Fault{Status: 408}, again, "408"},
		"429":       {hostapitest.Fault{Status: 429}, source, "429"},
		"403, rate": {hostapitest.Fault{Status: 403, RetryAfter: 5}, source, "403"},
		"502":       {hostapitest.Fault{Status: 502, Page: "<html>"}, again, "502"},
		"a page":    {hostapitest.Fault{Status: 200, Page: "<html>"}, source, "page"},
	} {
		t.Run(name, func(t *testing.T) {
			host := newHost(t, hostapitest.Options{})
			c := newClient(t, hostapi.Options{Provider: hostapitest.Gitee, URL: host.URL})
			test.fault.Method, test.fault.Times = "GET", 1
			if err := host.AddFault(test.fault); err != nil {
				t.Fatal(err)
			}
			if r := refusal(t, c, status(hostapi.Pending)); r.Fate != test.fate || r.Code != test.code {
				t.Errorf("%+v", r)
			}
			if told := host.Statuses(); len(told) != 0 {
				t.Errorf("told %+v", told)
			}
		})
	}
	c := newClient(t, hostapi.Options{Provider: hostapitest.Gitee, Transport: transport(func(*http.Request) (*http.Response, error) {
		return answer(200, `{"check_runs":[`), nil
	})})
	if r := refusal(t, c, status(hostapi.Pending)); r.Fate != again || r.Code != "page" {
		t.Errorf("%+v", r)
	}
}
