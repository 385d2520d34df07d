package codehost

import "buildbridge/mapping"

// codeArtsRepo sends its token in a header of the owner's choice,
// X-Repo-Token if the owner chose none, and a body like GitLab's:
// https://support.huaweicloud.com/intl/en-us/usermanual-codeartsrepo/codeartsrepo_03_0023.html
var codeArtsRepo = host{ //nolint:gochecknoglobals // a row of hosts
	Provider:     mapping.Provider{Name: "codearts-repo", TokenHeader: true},
	eventHeaders: []string{"X-Codehub-Event", "X-Devcloud-Event"},
	eventInBody:  true,
	idOfPush:     true, // nothing says whether uuid is new for each ref
	ownHeaders:   []string{"X-Codehub-Event", "X-Devcloud-Event"},
	proof:        codeArtsProof{token{header: "X-Repo-Token"}},
	decode:       decodeCodeArtsRepo,
	guess:        guessGitLab,
}

// codeArtsProof is the token, in the configured header if there is one.
type codeArtsProof struct{ token }

func (p codeArtsProof) check(r request) (string, error) {
	return token{header: firstOf(r.keys.TokenHeader, p.header)}.check(r)
}

func decodeCodeArtsRepo(d *Delivery, body []byte) error {
	// The body is sure to say what it is, the header is not.
	var about struct {
		objectKind
		UUID loose `json:"uuid"`
	}
	if err := unmarshal(body, &about); err != nil {
		return err
	}
	d.HostID = string(about.UUID)
	push, err := about.isPush()
	switch d.Event {
	case "":
		d.Event = about.name()
	case "Push Hook", "Tag Push Hook":
		push, err = push || err != nil, nil // a body without object_kind
	default:
		err = nil // it says what it is, and that it is no push
	}
	switch {
	case err != nil:
		return err
	case !push:
		return d.leaveOutEvent(body, firstOf(about.name(), d.Event))
	}
	return d.addGitLabPush(body)
}
