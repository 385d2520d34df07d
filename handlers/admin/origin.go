package admin

import (
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

// maxOrigins is how many origins are remembered: each takes a body to decode, and never changes.
const maxOrigins = 1000

// origins remembers what builds came of, by their ids.
type origins struct {
	mu   sync.Mutex
	byID map[string]Origin
}

// originOf reads what a build came of.
func (a *API) originOf(ctx context.Context, b *store.Build) (o Origin, err error) {
	a.origins.mu.Lock()
	o, known := a.origins.byID[b.ID]
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
	event := a.Deliveries.EventOf(d.Delivery, b.Ref)
	if event == nil { // by the rules of now: others may know its source again
		return o, nil
	}
	commit := b.Commit
	if commit == "" {
		commit = b.TagCommit
	}
	o.Author = event.Author
	o.RepositoryURL, o.CommitURL = codehost.RepositoryAddress(event.URL), codehost.CommitAddress(d.Provider, event.URL, commit)
	a.origins.mu.Lock()
	defer a.origins.mu.Unlock()
	if len(a.origins.byID) >= maxOrigins || a.origins.byID == nil {
		a.origins.byID = map[string]Origin{}
	}
	a.origins.byID[b.ID] = o
	return o, nil
}
