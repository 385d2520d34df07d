package codehost

import (
	"crypto/hmac"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	webhook "github.com/go-playground/webhooks/v6/gitlab"

	"buildbridge/mapping"
)

// gitlab sends a token, or signs with a signing token:
// https://docs.gitlab.com/user/project/integrations/webhooks/
var gitlab = host{
	Provider:     mapping.Provider{Name: "gitlab", SigningTokens: true, Statuses: true},
	commitPath:   "/-/commit/",
	eventHeaders: []string{"X-Gitlab-Event"},
	eventInBody:  true,
	// X-Gitlab-Webhook-UUID is another one for each attempt.
	idHeaders:    []string{"Webhook-Id", "Idempotency-Key"},
	proof:        token("X-Gitlab-Token").unlessSigned(webhookSignature),
	signingToken: checkWebhookKey,
	decode:       decodeGitLab,
	guesses:      gitlabGuesses,
}

// gitlabGuesses are for other hosts with GitLab's bodies too.
var gitlabGuesses = []guess{
	{string(webhook.PushEvents), "object_kind=push"},
	{string(webhook.TagEvents), "object_kind=tag_push"},
	{string(webhook.SystemHookEvents), "event_name"},
	{string(webhook.PushEvents), "after"},
}

// signatureSkew is by how much the time of a signature may differ from now.
const signatureSkew = 5 * time.Minute

// webhookSignature checks the signature of Standard Webhooks:
// https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
func webhookSignature(r request) (string, error) {
	_, list, err := r.value("Webhook-Signature")
	if err != nil {
		return "", err
	}
	_, id, err := r.value("Webhook-Id")
	if err != nil {
		return "", err
	}
	_, stamp, err := r.value("Webhook-Timestamp")
	if err != nil {
		return "", err
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return "", errors.New("header Webhook-Timestamp is not a number of seconds")
	}
	if r.now.Sub(time.Unix(seconds, 0)).Abs() > signatureSkew {
		return "", fmt.Errorf("header Webhook-Timestamp is more than %s away", signatureSkew)
	}
	var got [][]byte
	for signature := range strings.FieldsSeq(list) {
		encoded, ok := strings.CutPrefix(signature, "v1,")
		if !ok {
			continue
		}
		if mac, err := base64.StdEncoding.DecodeString(encoded); err == nil {
			got = append(got, mac)
		}
	}
	if len(got) == 0 {
		return "", errors.New("header Webhook-Signature holds no v1 signature in base64")
	}
	signed := r.signed()
	return r.matchSigningToken(func(t mapping.Secret) bool {
		key, err := webhookKey(t)
		if err != nil {
			return false
		}
		want, equal := sum(key, []byte(id+"."+stamp+"."), signed), false
		for _, mac := range got {
			equal = hmac.Equal(mac, want) || equal
		}
		return equal
	})
}

const (
	webhookKeyPrefix = "whsec_"
	webhookKeyBytes  = 32
)

func checkWebhookKey(token mapping.Secret) error {
	_, err := webhookKey(token)
	return err
}

// webhookKey is the key that a signing token of GitLab holds.
func webhookKey(token mapping.Secret) ([]byte, error) {
	encoded, ok := strings.CutPrefix(string(token), webhookKeyPrefix)
	if !ok {
		return nil, errors.New("a signing token begins with " + webhookKeyPrefix)
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, errors.New("a signing token is base64 after " + webhookKeyPrefix)
	}
	if len(key) != webhookKeyBytes {
		return nil, fmt.Errorf("a signing token holds %d bytes, not %d", len(key), webhookKeyBytes)
	}
	return key, nil
}

// gitlabPush is the library's payload of a push, without decoding the fields that are not
// read. A tag push and a System Hook have the same fields, and so have the hosts whose bodies
// are made after GitLab's.
type gitlabPush struct {
	webhook.PushEventPayload
	Project struct {
		PathWithNamespace string `json:"path_with_namespace"`
		WebURL            loose  `json:"web_url"`
		DefaultBranch     loose  `json:"default_branch"`
	} `json:"project"`
	ObjectKind   unread                       `json:"object_kind"`
	Before       loose                        `json:"before"`
	CheckoutSHA  loose                        `json:"checkout_sha"`
	Commits      list[optional[pushedCommit]] `json:"commits"`
	TotalCommits total                        `json:"total_commits_count"`
	Repository   optional[struct {
		Homepage   loose `json:"homepage"`
		GitHTTPURL loose `json:"git_http_url"`
	}] `json:"repository"`
	UserID       unread `json:"user_id"`
	UserName     loose  `json:"user_name"`
	UserUsername loose  `json:"user_username"`
	UserEmail    unread `json:"user_email"`
	UserAvatar   unread `json:"user_avatar"`
	ProjectID    unread `json:"project_id"`
}

func decodeGitLab(d *Delivery, body []byte) error {
	switch webhook.Event(d.Event) {
	case webhook.PushEvents, webhook.TagEvents:
	case webhook.SystemHookEvents, "":
		var about objectKind
		if err := unmarshal(body, &about); err != nil {
			return err
		}
		d.Event = firstOf(d.Event, about.name())
		switch push, err := about.isPush(); {
		case err != nil:
			return err
		case !push:
			return d.leaveOutEvent(body, about.name())
		}
	default:
		return d.leaveOutEvent(body, d.Event)
	}
	return d.addGitLabPush(body)
}

// objectKind is the event that a body in GitLab's form names.
type objectKind struct {
	ObjectKind loose `json:"object_kind"`
	EventName  loose `json:"event_name"` // of a System Hook
}

func (o objectKind) name() string { return firstOf(o.ObjectKind, o.EventName) }

// isPush reports whether the event is the push of a branch or of a tag.
func (o objectKind) isPush() (bool, error) {
	switch o.name() {
	case "push", "tag_push":
		return true, nil
	case "":
		return false, missing("object_kind")
	}
	return false, nil
}

// addIfPush adds a push, for hosts whose bodies name the event more reliably than their headers,
// which may be missing. Another event is left out.
func (d *Delivery) addIfPush(about objectKind, body []byte, add func(body []byte) error) error {
	push, err := about.isPush()
	switch d.Event {
	case "":
		d.Event = about.name()
	case string(webhook.PushEvents), string(webhook.TagEvents):
		push, err = push || err != nil, nil // err: the body has no object_kind
	default:
		err = nil // the header names an event that is not a push
	}
	switch {
	case err != nil:
		return err
	case !push:
		return d.leaveOutEvent(body, firstOf(about.name(), d.Event))
	}
	return add(body)
}

// isSample reports whether it is the invented push by which GitLab tests a System Hook, or
// the webhook of an empty repository. In older versions it has no project:
// https://gitlab.com/gitlab-org/gitlab/-/blob/master/lib/gitlab/data_builder/push.rb
func (p *gitlabPush) isSample() bool {
	return p.Before == "95790bf891e76fee5e1747ab589903a6a1f80f22" && p.After == "da1560886d4f094c3e6c9ef40349f7d38b5d27d7" &&
		(p.Project.PathWithNamespace == "gitlab/gitlab" || p.Project.PathWithNamespace == "")
}

// addGitLabPush adds the push of a body in GitLab's form.
func (d *Delivery) addGitLabPush(body []byte) error {
	var p gitlabPush
	if err := unmarshal(body, &p); err != nil {
		return err
	}
	if p.isSample() {
		d.leaveOut(p.Ref, testCall)
		return nil
	}
	c := p.change(newestLast)
	c.peeled = string(p.CheckoutSHA)
	return d.add(c)
}

// addWithUUID is addIfPush for hosts whose bodies hold an id of the delivery. It counts before that of a
// header, which no signature covers.
func (d *Delivery) addWithUUID(body []byte, add func(body []byte) error) error {
	var about struct {
		objectKind
		UUID loose `json:"uuid"`
	}
	if err := unmarshal(body, &about); err != nil {
		return err
	}
	d.HostID = firstOf(string(about.UUID), d.HostID)
	return d.addIfPush(about.objectKind, body, add)
}

// addPushByAddress is addGitLabPush for hosts of changeByAddress.
func (d *Delivery) addPushByAddress(body []byte) error {
	var p gitlabPush
	if err := unmarshal(body, &p); err != nil {
		return err
	}
	return d.add(p.changeByAddress(newestLast))
}

// change is what a push says, in a body that has its commits in this order, but for the commit of
// a tag, which hosts have in different fields.
func (p *gitlabPush) change(sent order) change {
	var touched files
	p.TotalCommits.compare(p.Commits.n, &touched)
	head := touched.read(&p.Commits, firstOf(string(p.CheckoutSHA), p.After))
	if touched.added {
		// GitLab lists a renamed file with its new path only, as added (repo_changes in its
		// app/models/commit.rb). Hosts that are made after it may do the same.
		touched.leave("a renamed file may be sent as added alone")
	}
	return change{
		ref:           p.Ref,
		before:        string(p.Before),
		after:         p.After,
		repository:    p.Project.PathWithNamespace,
		url:           string(p.Project.WebURL),
		defaultBranch: string(p.Project.DefaultBranch),
		pusher:        firstOf(p.UserUsername, p.UserName),
		head:          head,
		files:         touched,
		commits:       pushed(&p.Commits, p.After, sent),
		names:         fieldNames{"ref", "after", "project.path_with_namespace"},
	}
}

// changeByAddress is change for hosts that may send no project, but addresses, whose path is that of
// the repository. (At CodeArts Repo it is another.) They send the commit of a tag as its only commit,
// if at all: checkout_sha may be the id of a tag object, and of several commits it is not known which is the tag's.
func (p *gitlabPush) changeByAddress(sent order) change {
	c := p.change(sent)
	if p.Commits.n == 1 {
		c.peeled = string(p.Commits.kept[0].v.ID)
	}
	if c.repository != "" {
		return c
	}
	at := p.Repository.v
	c.url = string(at.Homepage)
	c.repository, c.names.repository = pathOf(at.Homepage), "repository.homepage"
	if c.repository == "" {
		c.repository, c.names.repository = strings.TrimSuffix(pathOf(at.GitHTTPURL), ".git"), "repository.homepage or repository.git_http_url"
	}
	return c
}

// pathOf is the path of a web address, "" for what is none.
func pathOf(address loose) string {
	u, err := url.Parse(RepositoryAddress(string(address)))
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(u.Path, "/")
}
