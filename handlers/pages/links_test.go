package pages_test

import (
	"net/url"
	"testing"

	"buildbridge/handlers/pages"
)

func TestLinks(t *testing.T) {
	set := pages.Links{External: "https://ci.example.com/bb", Trace: "https://jaeger.example.com/trace/{trace_id}?x={trace_id}", Dashboard: "https://grafana.example.com"}
	var unset pages.Links
	for want, got := range map[string][3]string{
		"https://ci.example.com/bb/builds/0197":                        {set.Build("0197"), unset.Build("0197"), set.Build("")},
		"https://ci.example.com/bb/deliveries/a%2F..%2F%3Fb":           {set.Delivery("a/../?b"), unset.Delivery("x"), set.Delivery("")},
		"https://jaeger.example.com/trace/4bf9?x=4bf9":                 {set.TraceOf("4bf9"), unset.TraceOf("4bf9"), set.TraceOf("")},
		"https://grafana.example.com/d/buildbridge-rule?var-rule=a%26": {set.DashboardOf("buildbridge-rule", url.Values{"var-rule": {"a&"}}), unset.DashboardOf("x", nil), ""},
		"https://grafana.example.com/d/x":                              {set.DashboardOf("x", nil), "", ""},
	} {
		if got[0] != want || got[1] != "" || got[2] != "" {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
