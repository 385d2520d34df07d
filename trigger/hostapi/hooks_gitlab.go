package hostapi

import (
	"context"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// gitLabToken: https://docs.gitlab.com/api/personal_access_tokens/; tokens of projects and groups too.
func gitLabToken(ctx context.Context, w *Webhooks) (TokenInfo, error) {
	var token struct {
		Name      string   `json:"name"`
		Scopes    []string `json:"scopes"`
		ExpiresAt string   `json:"expires_at"`
	}
	if _, err := w.get(ctx, "the token", "/personal_access_tokens/self", nil, &token); err != nil {
		return TokenInfo{}, err
	}
	info := TokenInfo{Scopes: token.Scopes}
	info.Expires, _ = time.Parse(time.DateOnly, token.ExpiresAt)
	return info, nil
}

type gitLabHook struct {
	ID              json.Number `json:"id"`
	URL             string      `json:"url"`
	PushEvents      bool        `json:"push_events"`
	TagPushEvents   bool        `json:"tag_push_events"`
	BranchFilter    string      `json:"push_events_branch_filter"`
	FilterStrategy  string      `json:"branch_filter_strategy"`
	SSLVerification *bool       `json:"enable_ssl_verification"`
	AlertStatus     string      `json:"alert_status"`
	DisabledUntil   string      `json:"disabled_until"`
}

// gitLabHooks: https://docs.gitlab.com/api/project_webhooks/, https://docs.gitlab.com/api/group_webhooks/.
func gitLabHooks(ctx context.Context, w *Webhooks, repository string) (out RepositoryHooks, err error) {
	var project struct {
		Path      string `json:"path_with_namespace"`
		Namespace struct {
			Kind     string `json:"kind"`
			FullPath string `json:"full_path"`
		} `json:"namespace"`
	}
	path := at("projects", repository)
	if _, err := w.get(ctx, "the repository", path, nil, &project); err != nil {
		return out, err
	}
	out.Name = oneLine(project.Path, 300)
	read := func(what, path string) ([]Hook, error) {
		list, err := list[gitLabHook](ctx, w, what, path, 100, numbered("per_page", 100))
		hooks := make([]Hook, 0, len(list))
		for _, h := range list {
			hook := Hook{
				ID: h.ID.String(), URL: shown(h.URL), Push: h.PushEvents, Tag: h.TagPushEvents, path: path + at(h.ID.String()),
				Unchecked: h.SSLVerification != nil && !*h.SSLVerification,
			}
			if h.FilterStrategy != "all_branches" {
				hook.Branches = oneLine(h.BranchFilter, 100)
			}
			switch h.AlertStatus {
			case "disabled":
				hook.Off = "GitLab disabled it after many failures: a successful test enables it again"
			case "temporarily_disabled":
				hook.Off = "GitLab disabled it for a while after failures"
				if h.DisabledUntil != "" {
					hook.Off += ", until " + oneLine(h.DisabledUntil, 40)
				}
			}
			hooks = append(hooks, hook)
		}
		return hooks, err
	}
	if err := out.add(read("the repository's webhooks", path+"/hooks")); err != nil {
		return out, err
	}
	// The webhooks of a group send for its subgroups too.
	for group := project.Namespace.FullPath; project.Namespace.Kind == "group" && group != ""; {
		err := out.addWider(w, "the group "+group, func() ([]Hook, error) {
			return read("the group's webhooks", at("groups", group, "hooks"))
		})
		if err != nil {
			return out, err
		}
		group = group[:max(strings.LastIndexByte(group, '/'), 0)]
	}
	return out, nil
}

// gitLabDeliveries: since 17.3, kept for seven days.
func gitLabDeliveries(ctx context.Context, w *Webhooks, h Hook) ([]HookDelivery, error) {
	var list []struct {
		Trigger        string            `json:"trigger"`
		CreatedAt      time.Time         `json:"created_at"`
		ResponseStatus string            `json:"response_status"` // "200", or "internal error"
		RequestHeaders map[string]string `json:"request_headers"`
	}
	if _, err := w.get(ctx, "the webhook's deliveries", h.path+"/events", url.Values{"per_page": {"20"}}, &list); err != nil {
		return nil, err
	}
	var out []HookDelivery
	for _, d := range list {
		if d.Trigger != "" && !strings.Contains(d.Trigger, "push") {
			continue
		}
		status, _ := strconv.Atoi(d.ResponseStatus)
		out = append(out, HookDelivery{ID: d.RequestHeaders["Idempotency-Key"], At: d.CreatedAt, Status: status, Taken: status/100 == 2})
	}
	return out, nil
}
