package codehost

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/go-playground/webhooks/v6/gitea"
	"github.com/go-playground/webhooks/v6/github"
	"github.com/go-playground/webhooks/v6/gitlab"

	"buildbridge/mapping"
)

// Saved is [Trust] for a body that was saved, perhaps without its headers: one
// that begins as a form is taken for a form, and the event is that of
// [WithEvent]. A body that nothing can be guessed from is [ErrMalformed] for what
// it is, not for the header it lacks.
func Saved(provider string, h http.Header, body []byte) (*Message, error) {
	host, err := hostOf(provider)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(body, []byte("\x1f\x8b")) {
		return nil, fmt.Errorf("%s: %w", provider, malformed("the body is compressed by gzip, which no host does; unpack it"))
	}
	if h.Get("Content-Type") == "" && bytes.HasPrefix(body, []byte("payload=")) {
		h = with(h, "Content-Type", formType)
	}
	payload, err := host.unwrap(h, body)
	if err != nil {
		return nil, err
	}
	if err := ignoreBody(payload); err != nil {
		return nil, fmt.Errorf("%s: %w", provider, err)
	}
	return newMessage(host, "", WithEvent(provider, h, body), payload), nil
}

// with gives the headers with another one.
func with(h http.Header, name, value string) http.Header {
	if h = h.Clone(); h == nil {
		h = make(http.Header)
	}
	h.Set(name, value)
	return h
}

// WithEvent gives the headers of a body that was saved without them: where none
// names the event, it is guessed from the fields of the body. A body that says
// nothing gets no header. It is for explaining, never for what came by network:
// there the host names its event.
func WithEvent(provider string, h http.Header, body []byte) http.Header {
	host, err := hostOf(provider)
	if err != nil || len(host.eventHeaders) == 0 {
		return h
	}
	for _, name := range host.eventHeaders {
		if h.Get(name) != "" {
			return h
		}
	}
	payload, err := host.unwrap(h, body)
	if err != nil {
		return h
	}
	event := guessEvent(provider, payload)
	if event == "" {
		return h
	}
	return with(h, host.eventHeaders[0], event)
}

// mistaken is what our log is told where the headers are those of another host: most
// often the source has the wrong provider. It is "" where they may be this host's.
// Azure DevOps has none.
func (h *host) mistaken(header http.Header) string {
	// Forgejo also sends Gitea's names, both send Gogs', and all three GitHub's. The
	// two Bitbuckets share a name.
	for _, sent := range [...]struct{ provider, name string }{
		{mapping.Forgejo, "X-Forgejo-Event"},
		{mapping.Gitea, "X-Gitea-Event"},
		{mapping.Gogs, "X-Gogs-Event"},
		{mapping.GitHub, "X-GitHub-Event"},
		{mapping.GitLab, "X-Gitlab-Event"},
		{mapping.Gitee, "X-Gitee-Event"},
		{mapping.CodeArtsRepo, "X-Codehub-Event"},
		{mapping.CodeArtsRepo, "X-Devcloud-Event"},
		{mapping.Bitbucket, "X-Hook-UUID"},
		{mapping.BitbucketServer, "X-Event-Key"},
	} {
		switch {
		case header.Get(sent.name) == "":
		case sent.provider == h.provider, sent.provider == mapping.Gitea && h.provider == mapping.Forgejo: // an old Forgejo
			return ""
		default:
			return fmt.Sprintf("; %s came: is the provider %s?", sent.name, sent.provider)
		}
	}
	return ""
}

// guessEvent names the event of a body by the fields that only it has.
func guessEvent(provider string, body []byte) string {
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil {
		return ""
	}
	has := func(name string) bool { _, ok := fields[name]; return ok }
	text := func(name string) string {
		var s string
		if json.Unmarshal(fields[name], &s) != nil {
			return ""
		}
		return s
	}
	switch provider {
	case mapping.GitHub:
		switch {
		case has("after") && has("ref"):
			return string(github.PushEvent)
		case has("zen"):
			return string(github.PingEvent)
		case has("ref_type") && has("master_branch"):
			return string(github.CreateEvent)
		case has("ref_type"):
			return string(github.DeleteEvent)
		}
	case mapping.Gitea, mapping.Forgejo, mapping.Gogs:
		switch {
		case has("after") && has("ref"):
			return string(gitea.PushEvent)
		case has("ref_type") && has("pusher_type"):
			return string(gitea.DeleteEvent)
		case has("ref_type"):
			return string(gitea.CreateEvent)
		}
	case mapping.GitLab, mapping.CodeArtsRepo:
		switch {
		case text("object_kind") == "push":
			return string(gitlab.PushEvents)
		case text("object_kind") == "tag_push":
			return string(gitlab.TagEvents)
		case has("event_name"):
			return string(gitlab.SystemHookEvents)
		case has("after"):
			return string(gitlab.PushEvents)
		}
	case mapping.Gitee:
		switch text("hook_name") {
		case "push_hooks":
			return giteePushHook
		case "tag_push_hooks":
			return giteeTagPushHook
		}
		if has("after") && has("ref") {
			return giteePushHook
		}
	case mapping.Bitbucket:
		if has("push") {
			return bitbucketPushEvent
		}
	case mapping.BitbucketServer:
		switch {
		case text("eventKey") != "":
			return text("eventKey")
		case has("changes"):
			return bitbucketServerPushEvent
		case has("test"):
			return bitbucketPing
		}
	}
	return ""
}
