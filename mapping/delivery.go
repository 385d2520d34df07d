package mapping

import (
	"errors"
	"time"
)

// Delivery is one authenticated and decoded call of a code host. handlers makes it, and
// trigger keeps it.
type Delivery struct {
	ID         string // ours, a UUIDv7
	Source     string
	Provider   string
	HostID     string // the host's own delivery id, "" where it has none
	Event      string // the host's name of the event: "push", "Tag Push Hook"
	ReceivedAt time.Time

	// DuplicateKey is equal for deliveries that say the same thing: it is the host's id
	// of the delivery, else a digest of the body. Two deliveries are duplicates only
	// within DuplicateWindow; 0 means as long as the first one is kept.
	DuplicateKey    string
	DuplicateWindow time.Duration

	// Header and Body are decoded again when the delivery is replayed: the headers that
	// name the event, and the JSON without secrets.
	Header map[string]string
	Body   []byte

	Events []Event

	Origin Origin // "" means OriginWebhook
	By     By     // who asked for it, if a person did

	// ReplayOf is the id of the delivery that this one replays because a person asked for
	// it; "" if a code host sent it. A replay is never a duplicate.
	ReplayOf string
}

// By is who asked for something, and why. The zero value means that no person did.
type By struct {
	Actor string // the name of the token of the admin API
	Why   string // as they wrote it, "" for no reason
}

// Reason says why a delivery built nothing.
type Reason string

// The reasons of an ignored delivery.
const (
	ReasonPing    Reason = "ping"     // a test call of the host
	ReasonEvent   Reason = "event"    // an event that is neither push nor tag
	ReasonDeleted Reason = "deleted"  // the ref was deleted
	ReasonNoRule  Reason = "no_rule"  // no rule names the repository
	ReasonNoMatch Reason = "no_match" // rules name it, and a clause of each failed
	ReasonMissed  Reason = "missed"   // catch-up found a push whose delivery never came, and only reports it
)

// Words is the reason in words, "" for one that is not known.
func (r Reason) Words() string {
	switch r {
	case ReasonPing:
		return "a test call of the code host"
	case ReasonEvent:
		return "neither a push of a branch nor a tag"
	case ReasonDeleted:
		return "the branch or tag was deleted"
	case ReasonNoRule:
		return "no rule names the repository"
	case ReasonNoMatch:
		return "every rule that names the repository has a clause that does not match"
	case ReasonMissed:
		return "its delivery never came, and catch-up only reports it"
	}
	return ""
}

// Receipt tells what became of a delivery that rules matched.
type Receipt struct {
	// DuplicateOf is the id of the delivery whose builds were committed before;
	// "" if this one's were committed now.
	DuplicateOf string
	Builds      []BuildReceipt
}

// ErrFull means that too many builds wait already: the delivery was not kept, and may
// come again later.
var ErrFull = errors.New("too many builds wait already")

// ErrNoHead means that the newest commit of a branch or tag cannot be known: there is no such ref
// or repository, or no way to the code host is configured. To ask again gives the same.
var ErrNoHead = errors.New("no newest commit")

// BuildReceipt names one committed build.
type BuildReceipt struct {
	ID     string `json:"id"`
	Rule   string `json:"rule"`
	Action Action `json:"action,omitzero"`
	JobID  string `json:"job_id"`           // of the job, or of the pipeline
	Reason string `json:"reason,omitempty"` // why it was dead on arrival, or is superseded

	// SupersededBy is the build that makes this one needless: catch-up made it of the same push
	// before, or it is of the same commit, if Once is true.
	SupersededBy string `json:"superseded_by,omitempty"`
	Once         bool   `json:"-"`
}
