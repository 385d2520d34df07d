package admin

import (
	"cmp"
	"context"
	"errors"
	"sync"

	"buildbridge/handlers/codehost"
	"buildbridge/mapping"
	"buildbridge/trigger/store"
)

// Origin is what a build came of, as its delivery says. It is empty if that is not kept any more.
type Origin struct {
	Source   string `json:"source,omitempty"`
	Provider string `json:"provider,omitempty"`
	Event    string `json:"event,omitempty"` // as its code host calls it
	Author   string `json:"author,omitempty"`

	// Origin is manual or catch_up; unset if its code host sent it.
	Origin mapping.Origin `json:"origin,omitempty"`

	RepositoryURL string `json:"repository_url,omitempty"` // a web address, as the delivery has it; http or https
	CommitURL     string `json:"commit_url,omitempty"`     // of the commit, or the one that the tag is on; unset if it is not known
}

const (
	// maxOrigins is how many origins are remembered: each takes a body to read and decode, and never changes.
	maxOrigins = 1000
	// DecodedAtMost is the size in bytes of bodies that are decoded unasked to show something: that takes about 4 ms
	// for each MB.
	DecodedAtMost = 1 << 20
)

// origins remembers what builds came of.
type origins struct {
	mu    sync.Mutex
	known map[builtOf]Origin
}

// builtOf is what builds of the same origin have in common.
type builtOf struct{ delivery, ref string }

// originOf reads what a build came of.
func (a *API) originOf(ctx context.Context, b *store.Build) (o Origin, err error) {
	of := builtOf{b.Delivery, b.Ref}
	a.origins.mu.Lock()
	o, known := a.origins.known[of]
	a.origins.mu.Unlock()
	if known {
		return o, nil
	}
	d, err := a.Store.Delivery(ctx, b.Delivery)
	if errors.Is(err, store.ErrNotFound) {
		return Origin{}, nil
	}
	if err != nil {
		return o, err
	}
	o = Origin{Source: d.Source, Provider: d.Provider, Event: d.Event}
	if !d.Origin.IsZero() {
		o.Origin = d.Origin
	}
	if len(d.Body) <= DecodedAtMost {
		event := a.Deliveries.EventOf(d.Delivery, b.Ref)
		if event == nil { // by the rules of now: others may know its source again
			return o, nil
		}
		o.Author = event.Author
		o.RepositoryURL = codehost.RepositoryAddress(event.URL)
		o.CommitURL = codehost.CommitAddress(d.Provider, event.URL, cmp.Or(b.Commit, b.TagCommit))
	}
	a.origins.mu.Lock()
	defer a.origins.mu.Unlock()
	if len(a.origins.known) >= maxOrigins || a.origins.known == nil {
		a.origins.known = map[builtOf]Origin{}
	}
	a.origins.known[of] = o
	return o, nil
}
