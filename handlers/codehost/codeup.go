package codehost

import "buildbridge/mapping"

// codeup sends a token if the webhook has one, and a body like that of an old GitLab, without the
// project, the files and an id. Its documentation names Codeup-Event; X-Codeup-Event was seen:
// https://help.aliyun.com/document_detail/206885.html
var codeup = host{
	Provider:     mapping.Provider{Name: "codeup"},
	eventHeaders: []string{"X-Codeup-Event", "Codeup-Event"},
	eventInBody:  true,
	proof:        token("X-Codeup-Token"),
	decode:       decodeCodeup,
	guesses:      gitlabGuesses,
}

func decodeCodeup(d *Delivery, body []byte) error {
	var about struct {
		objectKind
		Ref        loose   `json:"ref"`
		After      loose   `json:"after"`
		Repository written `json:"repository"`
	}
	if err := unmarshal(body, &about); err != nil {
		return err
	}
	if about.After != "" && about.name() == "" && about.Ref == "" && about.Repository == "" {
		// The test button sends nothing but before and after.
		d.leaveOut("", testCall)
		return nil
	}
	return d.addIfPush(about.objectKind, body, d.addPushByAddress)
}
