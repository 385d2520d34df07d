package codehost

import "buildbridge/mapping"

// tgit is Tencent's 工蜂: it sends a token, GitLab's headers beside its own, and a body like
// GitLab's without the project. Its X-Trace-Id is no id here: nobody says that it is kept when a
// delivery is sent again, and the body tells pushes apart by their time.
// https://git.tencent.com/help/menu/manual/git_webhooks.html
var tgit = host{
	Provider:     mapping.Provider{Name: "tgit"},
	commitPath:   "/commit/",
	eventHeaders: []string{"X-Event", "X-Gitlab-Event"},
	ownHeaders:   []string{"X-Event"},
	eventInBody:  true,
	pingHeader:   "X-Source-Type",
	proof:        token("X-Token"),
	decode:       decodeTGit,
	guesses:      gitlabGuesses,
}

func decodeTGit(d *Delivery, body []byte) error {
	var about objectKind
	if err := unmarshal(body, &about); err != nil {
		return err
	}
	return d.addIfPush(about, body, d.addTGitPush)
}

func (d *Delivery) addTGitPush(body []byte) error {
	var p struct {
		gitlabPush
		// Operation is what became of the ref. The before of a new tag need not be zeros.
		Operation loose `json:"operation_kind"`
	}
	if err := unmarshal(body, &p); err != nil {
		return err
	}
	c := p.changeByAddress(newestFirst)
	c.created = p.Operation == "create"
	c.deleted = p.Operation == "delete"
	c.forced = p.Operation == "update_nonfastforward"
	return d.add(c)
}
