package hostapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// gitHubToken: classic tokens have their scopes in a header,
// https://docs.github.com/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps.
func gitHubToken(ctx context.Context, w *Webhooks) (TokenInfo, error) {
	var user struct {
		Login string `json:"login"`
	}
	header, err := w.get(ctx, "the token's user", "/user", nil, &user)
	if err != nil {
		return TokenInfo{}, err
	}
	info := TokenInfo{User: oneLine(user.Login, 100)}
	if scopes, ok := header["X-Oauth-Scopes"]; ok {
		info.Scopes = []string{}
		for scope := range strings.SplitSeq(strings.Join(scopes, ","), ",") {
			if scope = oneLine(scope, 100); scope != "" {
				info.Scopes = append(info.Scopes, scope)
			}
		}
	}
	return info, nil
}

type gitHubHook struct {
	ID     json.Number `json:"id"`
	Active bool        `json:"active"`
	Events []string    `json:"events"`
	Config struct {
		URL         string `json:"url"`
		InsecureSSL any    `json:"insecure_ssl"` // "1", "0", or a number
		Secret      string `json:"secret"`       // asterisks
	} `json:"config"`
	LastResponse struct {
		Code int `json:"code"`
	} `json:"last_response"`
}

// gitHubHooks: https://docs.github.com/rest/repos/webhooks, https://docs.github.com/rest/orgs/webhooks.
func gitHubHooks(ctx context.Context, w *Webhooks, repository string) (out RepositoryHooks, err error) {
	found, path, err := w.repository(ctx, "repos", repository)
	if err != nil {
		return out, err
	}
	out.Name = oneLine(found.FullName, 300)
	read := func(what, path string) ([]Hook, error) {
		list, err := list[gitHubHook](ctx, w, what, path, 100, numbered("per_page", 100))
		hooks := make([]Hook, 0, len(list))
		for _, h := range list {
			push := slices.Contains(h.Events, "push") || slices.Contains(h.Events, "*")
			hook := Hook{
				ID: h.ID.String(), URL: shown(h.Config.URL), Push: push, Tag: push, path: path + at(h.ID.String()),
				Unchecked: fmt.Sprint(h.Config.InsecureSSL) == "1",
			}
			if !h.Active {
				hook.Off = "it is not active"
			}
			if h.Config.Secret != "" {
				hook.Secret = Yes
			}
			if h.LastResponse.Code != 0 {
				hook.Last = &HookDelivery{Status: h.LastResponse.Code, Taken: h.LastResponse.Code/100 == 2}
			}
			hooks = append(hooks, hook)
		}
		return hooks, err
	}
	if err := out.add(read("the repository's webhooks", path+"/hooks")); err != nil {
		return out, err
	}
	if found.Owner.Type != "Organization" {
		return out, nil
	}
	err = out.addWider(w, "the organisation "+found.Owner.Login, func() ([]Hook, error) {
		return read("the organisation's webhooks", at("orgs", found.Owner.Login, "hooks"))
	})
	return out, err
}

// gitHubDeliveries: kept for three days.
func gitHubDeliveries(ctx context.Context, w *Webhooks, h Hook) ([]HookDelivery, error) {
	var list []struct {
		GUID        string    `json:"guid"`
		DeliveredAt time.Time `json:"delivered_at"`
		StatusCode  int       `json:"status_code"` // 0 if there was no answer
		Event       string    `json:"event"`
	}
	if _, err := w.get(ctx, "the webhook's deliveries", h.path+"/deliveries", url.Values{"per_page": {"50"}}, &list); err != nil {
		return nil, err
	}
	var out []HookDelivery
	for _, d := range list {
		if d.Event == "push" {
			out = append(out, HookDelivery{ID: d.GUID, At: d.DeliveredAt, Status: d.StatusCode, Taken: d.StatusCode/100 == 2})
		}
	}
	return out, nil
}
