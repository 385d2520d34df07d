package codehost

import "buildbridge/mapping"

// codeArtsRepo sends its token in a header that the user chooses, by default
// X-Repo-Token, and a body like GitLab's. Its API has an address for each region:
// https://support.huaweicloud.com/intl/en-us/usermanual-codeartsrepo/codeartsrepo_03_0023.html
var codeArtsRepo = host{
	Provider: mapping.Provider{
		Name: "codearts-repo", TokenHeader: true,
		URLForm: "scheme and host of the address that the console shows for clones by HTTPS: it is that of your region",
	},
	eventHeaders: []string{"X-Codehub-Event", "X-Devcloud-Event"},
	eventInBody:  true,
	idOfPush:     true, // it is not documented whether each ref has its own uuid
	proof:        token("X-Repo-Token"),
	decode:       decodeCodeArtsRepo,
	guesses:      gitlabGuesses,
}

// The body always names the event, the header may be missing.
func decodeCodeArtsRepo(d *Delivery, body []byte) error { return d.addWithUUID(body, d.addGitLabPush) }
