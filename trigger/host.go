package trigger

import (
	"context"

	"buildbridge/mapping"
	"buildbridge/trigger/hostapi"
)

// Host is the code host of one source of the rules, if statuses can be set there.
type Host struct {
	Source string
	API    HostAPI
}

// HostAPI is the API of a code host: a [*hostapi.Client], except in tests.
type HostAPI interface {
	Post(ctx context.Context, s hostapi.Status) (ref string, err error)
	SaysRunning() bool
	Limit() mapping.RateLimit
}
