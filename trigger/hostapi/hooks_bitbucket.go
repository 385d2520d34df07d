package hostapi

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

type bitbucketHook struct {
	UUID      string   `json:"uuid"`
	URL       string   `json:"url"`
	Active    bool     `json:"active"`
	Events    []string `json:"events"`
	SecretSet *bool    `json:"secret_set"`
	SkipCert  bool     `json:"skip_cert_verification"`
}

// bitbucketHooks: https://developer.atlassian.com/cloud/bitbucket/rest/api-group-repositories/.
func bitbucketHooks(ctx context.Context, w *Webhooks, repository string) (out RepositoryHooks, err error) {
	found, path, err := w.repository(ctx, "repositories", repository)
	if err != nil {
		return out, err
	}
	out.Name = oneLine(found.FullName, 300)
	read := func(what, path string) (hooks []Hook, err error) {
		for i := range maxHookPages {
			var page struct {
				Values []bitbucketHook `json:"values"`
				Next   string          `json:"next"`
			}
			if _, err := w.get(ctx, what, path, numbered("pagelen", 100)(i), &page); err != nil {
				return nil, err
			}
			for _, h := range page.Values {
				push := slices.Contains(h.Events, "repo:push")
				hook := Hook{ID: h.UUID, URL: shown(h.URL), Push: push, Tag: push, Unchecked: h.SkipCert}
				if !h.Active {
					hook.Off = "it is not active"
				}
				if h.SecretSet != nil {
					hook.Secret = yes(*h.SecretSet)
				}
				hooks = append(hooks, hook)
			}
			if page.Next == "" {
				break
			}
		}
		return hooks, nil
	}
	if err := out.add(read("the repository's webhooks", path+"/hooks")); err != nil {
		return out, err
	}
	workspace, _, _ := strings.Cut(repository, "/")
	err = out.addWider(w, "the workspace "+workspace, func() ([]Hook, error) {
		return read("the workspace's webhooks", at("workspaces", workspace, "hooks"))
	})
	return out, err
}

type bitbucketServerHook struct {
	ID            json.Number       `json:"id"`
	URL           string            `json:"url"`
	Active        bool              `json:"active"`
	Events        []string          `json:"events"`
	Configuration map[string]string `json:"configuration"`
	SSLRequired   *bool             `json:"sslVerificationRequired"`
}

// bitbucketServerHooks: https://developer.atlassian.com/server/bitbucket/rest/, "Repository", "Project".
func bitbucketServerHooks(ctx context.Context, w *Webhooks, repository string) (out RepositoryHooks, err error) {
	key, slug, err := split(repository)
	if err != nil {
		return out, err
	}
	project := at("api", "latest", "projects", key)
	path := project + at("repos", slug)
	var found struct {
		Slug    string `json:"slug"`
		Project struct {
			Key string `json:"key"`
		} `json:"project"`
	}
	if _, err := w.get(ctx, "the repository", path, nil, &found); err != nil {
		return out, err
	}
	out.Name = oneLine(found.Project.Key+"/"+found.Slug, 300)
	read := func(what, path string) (hooks []Hook, err error) {
		start := 0
		for range maxHookPages {
			var page struct {
				Values     []bitbucketServerHook `json:"values"`
				IsLastPage bool                  `json:"isLastPage"`
				Next       int                   `json:"nextPageStart"`
			}
			query := url.Values{"limit": {"100"}, "start": {strconv.Itoa(start)}}
			if _, err := w.get(ctx, what, path, query, &page); err != nil {
				return nil, err
			}
			for _, h := range page.Values {
				push := slices.Contains(h.Events, "repo:refs_changed")
				hook := Hook{
					ID: h.ID.String(), URL: shown(h.URL), Push: push, Tag: push, path: path + at(h.ID.String()),
					Unchecked: h.SSLRequired != nil && !*h.SSLRequired,
				}
				if !h.Active {
					hook.Off = "it is not active"
				}
				if h.Configuration["secret"] != "" {
					hook.Secret = Yes
				}
				hooks = append(hooks, hook)
			}
			if start = page.Next; page.IsLastPage || start == 0 {
				break
			}
		}
		return hooks, nil
	}
	if err := out.add(read("the repository's webhooks", path+"/webhooks")); err != nil {
		return out, err
	}
	err = out.addWider(w, "the project "+key, func() ([]Hook, error) { return read("the project's webhooks", project+"/webhooks") })
	return out, err
}

// bitbucketServerDeliveries has the last one only, without its id.
func bitbucketServerDeliveries(ctx context.Context, w *Webhooks, h Hook) ([]HookDelivery, error) {
	var last struct {
		Start  int64 `json:"start"` // in milliseconds
		Result *struct {
			Outcome     string `json:"outcome"`
			Description string `json:"description"` // the status, or what went wrong
		} `json:"result"`
	}
	_, err := w.get(ctx, "the webhook's last delivery", h.path+"/latest", url.Values{"event": {"repo:refs_changed"}}, &last)
	if err != nil || last.Result == nil {
		return nil, err
	}
	d := HookDelivery{Taken: last.Result.Outcome == "SUCCESS"}
	if last.Start > 0 {
		d.At = time.UnixMilli(last.Start)
	}
	d.Status, _ = strconv.Atoi(last.Result.Description)
	return []HookDelivery{d}, nil
}
