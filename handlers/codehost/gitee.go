package codehost

import (
	"crypto/hmac"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"buildbridge/mapping"
)

// gitee sends its password, or a signature of the time. Neither covers the body:
// https://help.gitee.com/webhook/how-to-verify-webhook-keys
var gitee = host{
	Provider:     mapping.Provider{Name: "gitee", Statuses: true},
	commitPath:   "/commit/",
	eventHeaders: []string{"X-Gitee-Event"},
	pingHeader:   "X-Gitee-Ping",
	forms:        true,
	secretFields: []string{"password", "sign"},
	proof:        token("X-Gitee-Token").or(proof{check: giteeSignature}),
	events:       map[string]LeftOut{giteePushHook: {}, giteeTagPushHook: {}},
	decode:       decodeGitee,
	guesses: []guess{
		{giteePushHook, "hook_name=push_hooks"},
		{giteeTagPushHook, "hook_name=tag_push_hooks"},
		{giteePushHook, "after ref"},
	},
}

// The values of X-Gitee-Event.
const (
	giteePushHook    = "Push Hook"
	giteeTagPushHook = "Tag Push Hook"
)

// giteeSkew is by how much the time of a signature may differ from now.
const giteeSkew = time.Hour

// giteeSignature checks the HMAC-SHA256 of "<milliseconds>\n<secret>" with the secret as
// its key, in base64, which may be URL-encoded.
func giteeSignature(r request) (string, error) {
	_, value, err := r.value("X-Gitee-Token")
	if err != nil {
		return "", err
	}
	_, stamp, err := r.value("X-Gitee-Timestamp")
	if err != nil {
		return "", err
	}
	millis, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return "", errors.New("header X-Gitee-Timestamp is not a number of milliseconds")
	}
	if r.now.Sub(time.UnixMilli(millis)).Abs() > giteeSkew {
		return "", fmt.Errorf("header X-Gitee-Timestamp is more than %s away", giteeSkew)
	}
	// PathUnescape keeps the + of base64, so it can also be used if nothing is encoded.
	if decoded, err := url.PathUnescape(value); err == nil {
		value = decoded
	}
	got, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		return "", errNoMatch
	}
	return r.matchSecret(func(s mapping.Secret) bool {
		return hmac.Equal(sum([]byte(s), []byte(stamp+"\n"+string(s))), got)
	})
}

type giteePush struct {
	Ref     string    `json:"ref"`
	Before  loose     `json:"before"`
	After   string    `json:"after"`
	Created looseBool `json:"created"`
	Deleted bool      `json:"deleted"`

	Commits            list[optional[pushedCommit]] `json:"commits"` // null for tags
	TotalCommits       total                        `json:"total_commits_count"`
	CommitsMoreThanTen looseBool                    `json:"commits_more_than_ten"` // a number in an old sample
	HeadCommit         optional[pushedCommit]       `json:"head_commit"`

	Repository giteeRepository           `json:"repository"`
	Project    optional[giteeRepository] `json:"project"` // repeats repository
	Pusher     optional[giteePusher]     `json:"pusher"`
	UserName   loose                     `json:"user_name"`
}

// giteeRepository has path_with_namespace in every version. Its full_name has the names
// that people see: https://help.gitee.com/webhook/gitee-webhook-push-data-format
type giteeRepository struct {
	PathWithNamespace loose `json:"path_with_namespace"`
	HTMLURL           loose `json:"html_url"`
	DefaultBranch     loose `json:"default_branch"`
}

type giteePusher struct {
	Username loose `json:"username"`
	UserName loose `json:"user_name"`
	Name     loose `json:"name"`
}

func decodeGitee(d *Delivery, body []byte) error {
	var p giteePush
	if err := unmarshal(body, &p); err != nil {
		return err
	}
	var touched files
	p.TotalCommits.compare(p.Commits.n, &touched)
	if p.CommitsMoreThanTen {
		touched.leave("there may be more commits than were sent")
	}
	head := touched.headOf(&p.Commits, &p.HeadCommit.v, p.After)
	project, pusher := p.Project.v, p.Pusher.v
	return d.add(change{
		ref:           p.Ref,
		before:        string(p.Before),
		after:         p.After,
		peeled:        string(p.HeadCommit.v.ID),
		created:       bool(p.Created),
		deleted:       p.Deleted,
		repository:    firstOf(p.Repository.PathWithNamespace, project.PathWithNamespace),
		url:           firstOf(p.Repository.HTMLURL, project.HTMLURL),
		defaultBranch: firstOf(p.Repository.DefaultBranch, project.DefaultBranch),
		pusher:        firstOf(pusher.Username, pusher.UserName, pusher.Name, p.UserName),
		head:          head,
		files:         touched,
		commits:       pushed(&p.Commits, p.After, newestLast),
		names:         fieldNames{"ref", "after", "repository.path_with_namespace"},
	})
}
