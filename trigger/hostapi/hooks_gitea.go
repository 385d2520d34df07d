package hostapi

import (
	"context"
	"encoding/json"
	"slices"
)

// giteeHooks: https://gitee.com/api/v5/swagger. The password comes in clear, and is not kept.
func giteeHooks(ctx context.Context, w *Webhooks, repository string) (out RepositoryHooks, err error) {
	found, path, err := w.repository(ctx, "repos", repository)
	if err != nil {
		return out, err
	}
	out.Name = oneLine(found.FullName, 300)
	list, err := list[struct {
		ID            json.Number `json:"id"`
		URL           string      `json:"url"`
		Password      *string     `json:"password"`
		PushEvents    bool        `json:"push_events"`
		TagPushEvents bool        `json:"tag_push_events"`
		ResultCode    int         `json:"result_code"`
	}](ctx, w, "the repository's webhooks", path+"/hooks", 100, numbered("per_page", 100))
	hooks := make([]Hook, 0, len(list))
	for _, h := range list {
		hook := Hook{ID: h.ID.String(), URL: shown(h.URL), Push: h.PushEvents, Tag: h.TagPushEvents}
		if h.Password != nil {
			hook.Secret = yes(*h.Password != "")
		}
		if h.ResultCode != 0 {
			hook.Last = &HookDelivery{Status: h.ResultCode, Taken: h.ResultCode/100 == 2}
		}
		hooks = append(hooks, hook)
	}
	return out, out.add(hooks, err)
}

type giteaHook struct {
	ID           json.Number `json:"id"`
	Active       bool        `json:"active"`
	Events       []string    `json:"events"`
	BranchFilter string      `json:"branch_filter"`
	Config       struct {
		URL string `json:"url"`
	} `json:"config"`
}

func (h giteaHook) hook() Hook {
	push := slices.Contains(h.Events, "push")
	hook := Hook{ID: h.ID.String(), URL: shown(h.Config.URL), Push: push, Tag: push}
	if !h.Active {
		hook.Off = "it is not active"
	}
	if h.BranchFilter != "*" && h.BranchFilter != "**" {
		hook.Branches = oneLine(h.BranchFilter, 100)
	}
	return hook
}

// giteaHooks: https://docs.gitea.com/api (repoListHooks, orgListHooks). Its event push is of tags too.
func giteaHooks(ctx context.Context, w *Webhooks, repository string) (out RepositoryHooks, err error) {
	found, path, err := w.repository(ctx, "repos", repository)
	if err != nil {
		return out, err
	}
	out.Name = oneLine(found.FullName, 300)
	read := func(what, path string) ([]Hook, error) {
		list, err := list[giteaHook](ctx, w, what, path, 50, numbered("limit", 50))
		hooks := make([]Hook, len(list))
		for i, h := range list {
			hooks[i] = h.hook()
		}
		return hooks, err
	}
	if err := out.add(read("the repository's webhooks", path+"/hooks")); err != nil {
		return out, err
	}
	owner := found.Owner.Login
	err = out.addWider(w, "the owner "+owner, func() ([]Hook, error) {
		return read("the owner's webhooks", at("orgs", owner, "hooks"))
	})
	return out, err
}

// gogsHooks has all webhooks in one page. A tag is an event of its own, create.
func gogsHooks(ctx context.Context, w *Webhooks, repository string) (out RepositoryHooks, err error) {
	found, path, err := w.repository(ctx, "repos", repository)
	if err != nil {
		return out, err
	}
	out.Name = oneLine(found.FullName, 300)
	var list []giteaHook
	_, err = w.get(ctx, "the repository's webhooks", path+"/hooks", nil, &list)
	hooks := make([]Hook, len(list))
	for i, h := range list {
		hooks[i] = h.hook()
		hooks[i].Tag = slices.Contains(h.Events, "create")
	}
	return out, out.add(hooks, err)
}
