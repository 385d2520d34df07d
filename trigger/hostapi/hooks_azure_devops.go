package hostapi

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"
)

// version asks with the version of the API that the service has, or that an older server names.
func (w *Webhooks) version(ctx context.Context, what, path string, query url.Values, into any) error {
	query.Set("api-version", azureDevOpsVersion)
	_, err := w.get(ctx, what, path, query, into)
	if r, ok := errors.AsType[*Refusal](err); ok {
		if m := azureDevOpsSupports.FindStringSubmatch(r.Reason); m != nil {
			query.Set("api-version", m[1])
			_, err = w.get(ctx, what, path, query, into)
		}
	}
	return err
}

// azureDevOpsHooks: https://learn.microsoft.com/rest/api/azure/devops/hooks/subscriptions. All are the
// organisation's, and say which project, repository and branch they are for, if not for all.
func azureDevOpsHooks(ctx context.Context, w *Webhooks, repository string) (out RepositoryHooks, err error) {
	project, name, err := split(repository)
	if err != nil {
		return out, err
	}
	var found struct {
		ID      string `json:"id"`
		Name    string `json:"name"`
		Project struct {
			ID   string `json:"id"`
			Name string `json:"name"`
		} `json:"project"`
	}
	if err := w.version(ctx, "the repository", at(project, "_apis", "git", "repositories", name), url.Values{}, &found); err != nil {
		return out, err
	}
	out.Name = oneLine(found.Project.Name+"/"+found.Name, 300)
	var all RepositoryHooks
	const of = "the organisation"
	if err := all.addWider(w, of, func() ([]Hook, error) { return azureDevOpsSubscriptions(ctx, w) }); err != nil {
		return out, err
	}
	if all.unseen != nil {
		return out, out.add(nil, all.unseen)
	}
	for _, h := range all.Hooks {
		projectID, repositoryID, _ := strings.Cut(h.path, "/")
		if (projectID == "" || strings.EqualFold(projectID, found.Project.ID)) &&
			(repositoryID == "" || strings.EqualFold(repositoryID, found.ID)) {
			h.Of, h.path = "", ""
			out.Hooks = append(out.Hooks, h)
		}
	}
	return out, nil
}

// azureDevOpsSubscriptions gives them with the ids of project and repository for the path.
func azureDevOpsSubscriptions(ctx context.Context, w *Webhooks) ([]Hook, error) {
	var list struct {
		Value []struct {
			ID             string            `json:"id"`
			Status         string            `json:"status"`
			ConsumerInputs map[string]string `json:"consumerInputs"`
			PublisherInput map[string]string `json:"publisherInputs"`
		} `json:"value"`
	}
	query := url.Values{"publisherId": {"tfs"}, "eventType": {"git.push"}, "consumerId": {"webHooks"}}
	if err := w.version(ctx, "the organisation's subscriptions", "/_apis/hooks/subscriptions", query, &list); err != nil {
		return nil, err
	}
	hooks := make([]Hook, 0, len(list.Value))
	for _, s := range list.Value {
		in := s.ConsumerInputs
		hook := Hook{
			ID: oneLine(s.ID, 64), URL: shown(in["url"]), Push: true, Tag: true,
			path: s.PublisherInput["projectId"] + "/" + s.PublisherInput["repository"], Branches: oneLine(s.PublisherInput["branch"], 100),
			Unchecked: strings.EqualFold(in["acceptUntrustedCerts"], "true"),
		}
		if in["basicAuthPassword"] != "" || in["httpHeaders"] != "" {
			hook.Secret = Yes
		}
		switch details := in["resourceDetailsToSend"]; {
		case s.Status != "" && s.Status != "enabled" && s.Status != "onProbation":
			hook.Off = "its status is " + oneLine(s.Status, 64) + ": enable it"
		case s.Status == "onProbation":
			hook.Off = "it is on probation after failures, and sends seldom"
		case details != "" && !strings.EqualFold(details, "all"):
			hook.Off = "it does not send what is needed: set \"Resource details to send\" to All"
		}
		hooks = append(hooks, hook)
	}
	return hooks, nil
}

// azureDevOpsDeliveries: the answers that the bridge gave are not read.
func azureDevOpsDeliveries(ctx context.Context, w *Webhooks, h Hook) ([]HookDelivery, error) {
	var list struct {
		Value []struct {
			EventID string    `json:"eventId"`
			Result  string    `json:"result"`
			Created time.Time `json:"createdDate"`
		} `json:"value"`
	}
	path := at("_apis", "hooks", "subscriptions", h.ID, "notifications")
	if err := w.version(ctx, "the subscription's notifications", path, url.Values{"maxResults": {"50"}}, &list); err != nil {
		return nil, err
	}
	var out []HookDelivery
	for _, n := range list.Value {
		if n.Result == "succeeded" || n.Result == "failed" {
			out = append(out, HookDelivery{ID: n.EventID, At: n.Created, Taken: n.Result == "succeeded"})
		}
	}
	slices.SortStableFunc(out, func(a, b HookDelivery) int { return b.At.Compare(a.At) })
	return out, nil
}
