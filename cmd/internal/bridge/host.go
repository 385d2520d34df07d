package bridge

import (
	"fmt"
	"log/slog"
	"reflect"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"buildbridge/cmd/internal/secret"
	"buildbridge/handlers/codehost"
	"buildbridge/mapping"
	"buildbridge/trigger"
	"buildbridge/trigger/hostapi"
)

// TakesStatuses reports whether a source has an api at a code host that takes statuses.
func TakesStatuses(s *mapping.Source) bool {
	return s.API != nil && slices.ContainsFunc(codehost.Providers(), func(p mapping.Provider) bool {
		return p.Name == s.Provider && p.Statuses
	})
}

// NewHost makes the client of the code host of a source that has an api, after checking that its
// token can be read. The doubts are warnings about it. The client reads the
// token again for each request. NewHost makes no request. log and requests, which is told of
// each request, may be nil.
func NewHost(s *mapping.Source, log *slog.Logger, requests func(call, code string)) (_ *hostapi.Client, doubts []string, err error) {
	r := resolver{place: fmt.Sprintf("source %q", s.Name)}
	r.resolve("api.token", &s.API.Token)
	if err := r.err(); err != nil {
		return nil, nil, err
	}
	client, err := hostapi.New(hostapi.Options{
		Provider: s.Provider,
		URL:      s.API.URL,
		Username: s.API.Username,
		Token:    func() (mapping.Secret, error) { return secret.Resolve(s.API.Token) },
		Logger:   log,
		Requests: requests,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("source %q: api: %w", s.Name, err)
	}
	return client, r.doubts, nil
}

// hostRequests counts the requests to the APIs of code hosts.
func hostRequests(registry *prometheus.Registry) *prometheus.CounterVec {
	return promauto.With(registry).NewCounterVec(prometheus.CounterOpts{
		Name: "buildbridge_host_api_requests_total",
		Help: "Requests to the APIs of code hosts, by HTTP status, or timeout (sent, and no answer came) or not_sent.",
	}, []string{"source", "call", "code"})
}

// countRequests gives what counts the requests for a source. Its series are there from the
// start.
func (b *Bridge) countRequests(s *mapping.Source) func(call, code string) {
	calls := map[string]string{hostapi.CallRefs: "200"} // the code of success
	if TakesStatuses(s) {
		calls[hostapi.CallStatus] = "201"
	}
	for call, success := range calls {
		for _, code := range []string{success, hostapi.CodeTimeout, hostapi.CodeNotSent} {
			b.hostRequests.WithLabelValues(s.Name, call, code)
		}
	}
	return func(call, code string) { b.hostRequests.WithLabelValues(s.Name, call, code).Inc() }
}

// host is the code host of a source with an api.
type host struct {
	trigger.Host

	source *mapping.Source
}

// same reports whether the host of a source is still reached in the same way.
func (h host) same(s *mapping.Source) bool {
	return h.source.Provider == s.Provider && reflect.DeepEqual(h.source.API, s.API)
}
