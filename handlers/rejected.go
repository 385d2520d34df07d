package handlers

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"buildbridge/handlers/codehost"
	"buildbridge/mapping/printable"
)

// Rejected is a call of a webhook that was rejected, for those who set up a webhook. It has
// neither the body nor a header that may be secret. A stranger may have written its texts:
// they are short, and fit to be shown.
type Rejected struct {
	ID         string // ours, a UUIDv7
	ReceivedAt time.Time
	Source     string // the name in the path, whether there is such a source or not
	Provider   string // of the source, "" if there is none
	Status     int    // of HTTP
	Reason     string
	Detail     string // why, as the log has it
	Client     string // its address
	UserAgent  string
	Event      string // as a header names it, "" if none does
	HostID     string // the same
}

const (
	maxRejected       = 1000 // calls that are kept, the newest
	maxNameless       = 100  // of them, those of no source: strangers must not push out the others
	maxRejectedText   = 200  // characters of a text
	maxRejectedDetail = 600  // characters of the detail
)

// rejectedLog has the newest calls that were rejected, at most maxRejected.
type rejectedLog struct {
	mu       sync.Mutex
	sources  ring // those of sources
	nameless ring // those of none
}

func (l *rejectedLog) add(r Rejected) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.Provider == "" {
		l.nameless.add(r, maxNameless)
	} else {
		l.sources.add(r, maxRejected-maxNameless)
	}
}

// ring has the newest calls.
type ring struct {
	kept []Rejected
	next int // where the next one goes, once it is full
}

func (l *ring) add(r Rejected, limit int) {
	if len(l.kept) < limit {
		l.kept = append(l.kept, r)
		return
	}
	l.kept[l.next] = r
	l.next = (l.next + 1) % limit
}

// Rejected gives the newest calls that were rejected since the start, the newest first: at
// most 900 of sources, and 100 of none.
func (s *Server) Rejected() []Rejected {
	l := &s.rejected
	l.mu.Lock()
	list := slices.Concat(l.sources.kept, l.nameless.kept)
	l.mu.Unlock()
	// Their ids are made in their order.
	slices.SortFunc(list, func(a, b Rejected) int { return strings.Compare(b.ID, a.ID) })
	return list
}

// reject keeps a call that was rejected.
func (s *Server) reject(r *http.Request, cl *call, a Answer, err error, at time.Time) {
	id, idErr := uuid.NewV7()
	if idErr != nil {
		return
	}
	kept := Rejected{
		ID: id.String(), ReceivedAt: at, Status: a.Status, Reason: a.Reason, Source: harmless(cl.name, maxRejectedText),
	}
	secret := ""
	if cl.source != nil {
		kept.Provider, secret = cl.source.Provider, cl.source.Keys.TokenHeader
	}
	if err != nil {
		kept.Detail = harmless(err.Error(), maxRejectedDetail)
	}
	if cl.client.IsValid() {
		kept.Client = cl.client.String()
	}
	header := r.Header.Clone()
	if secret != "" {
		header.Del(secret) // somebody may have named any
	}
	event, hostID := codehost.Named(header)
	kept.Event, kept.HostID = harmless(event, maxRejectedText), harmless(hostID, maxRejectedText)
	kept.UserAgent = harmless(header.Get("User-Agent"), maxRejectedText)
	s.rejected.add(kept)
}

// harmless is a text as it can be kept and shown. It holds no memory of a longer one.
func harmless(text string, limit int) string {
	return strings.Clone(printable.Clip(printable.Text(printable.Clip(text, limit)), limit))
}
