package codehost

import (
	"fmt"
	"net/url"
	"strings"

	"buildbridge/mapping"
)

// azureDevOps sends HTTP Basic, or a header that the user chooses, and names event and
// delivery in the body:
// https://learn.microsoft.com/en-us/azure/devops/service-hooks/events#git.push
var azureDevOps = host{
	Provider: mapping.Provider{
		Name: "azure-devops", Basic: true, TokenHeader: true, NeedsTokenHeader: true, Statuses: true,
		URLForm: "https://dev.azure.com/ORGANISATION, https://ORGANISATION.visualstudio.com or https://HOST/ROOT/COLLECTION",
	},
	commitPath:  "/commit/",
	eventInBody: true,
	proof:       token("").or(basic),
	decode:      decodeAzureDevOps,
}

// azurePush is the resource of a git.push.
type azurePush struct {
	RefUpdates list[struct {
		Name        string `json:"name"`
		OldObjectID loose  `json:"oldObjectId"`
		NewObjectID string `json:"newObjectId"`
	}] `json:"refUpdates"`
	Commits    list[optional[azureCommit]] `json:"commits"`
	Repository struct {
		Name    string `json:"name"`
		Project struct {
			Name string `json:"name"`
		} `json:"project"`
		DefaultBranch loose `json:"defaultBranch"`
		RemoteURL     loose `json:"remoteUrl"`
	} `json:"repository"`
	PushedBy optional[azurePusher] `json:"pushedBy"`
}

type azureCommit struct {
	CommitID loose            `json:"commitId"`
	Comment  loose            `json:"comment"`
	Author   optional[person] `json:"author"`
}

func (c *azureCommit) about() commit {
	return commit{message: string(c.Comment), author: string(c.Author.v.Name)}
}

type azurePusher struct {
	UniqueName  loose `json:"uniqueName"`
	DisplayName loose `json:"displayName"`
}

func decodeAzureDevOps(d *Delivery, body []byte) error {
	var event struct {
		ID        loose  `json:"id"`
		EventType string `json:"eventType"`
	}
	if err := unmarshal(body, &event); err != nil {
		return err
	}
	d.Event, d.HostID = event.EventType, string(event.ID)
	switch event.EventType {
	case "git.push":
	case "":
		return missing("eventType")
	default:
		return d.leaveOutEvent(body, d.Event)
	}

	// Only now: the resource of other events has other fields.
	var push struct {
		Resource azurePush `json:"resource"`
	}
	if err := unmarshal(body, &push); err != nil {
		return err
	}
	r := push.Resource
	if r.RefUpdates.kept == nil && r.RefUpdates.odd == 0 {
		return malformed("resource.refUpdates is missing: set the subscription's resource details to send to All")
	}
	updates, err := r.RefUpdates.all("resource.refUpdates")
	if err != nil {
		return err
	}
	repository := ""
	if r.Repository.Project.Name != "" && r.Repository.Name != "" {
		repository = r.Repository.Project.Name + "/" + r.Repository.Name
	}
	heads := make(map[string]list[optional[azureCommit]], len(r.Commits.kept))
	for i, c := range r.Commits.kept {
		heads[string(c.v.CommitID)] = list[optional[azureCommit]]{kept: r.Commits.kept[i : i+1]}
	}
	for i, u := range updates {
		at := fmt.Sprintf("resource.refUpdates[%d]", i)
		// The commits of several refs are not told apart: each has its newest one then.
		sent := heads[u.NewObjectID]
		var head commit
		if len(sent.kept) > 0 {
			head = sent.kept[0].v.about()
		}
		if len(updates) == 1 {
			sent = r.Commits
		}
		err := d.add(change{
			ref:    u.Name,
			before: string(u.OldObjectID),
			after:  u.NewObjectID,
			// No peeled: newObjectId of a tag may be the id of a tag object.
			repository:    repository,
			url:           withoutUser(string(r.Repository.RemoteURL)),
			defaultBranch: strings.TrimPrefix(string(r.Repository.DefaultBranch), branchPrefix),
			pusher:        firstOf(r.PushedBy.v.UniqueName, r.PushedBy.v.DisplayName),
			head:          head,
			commits: commitsOf(&sent, u.NewObjectID, newestFirst, func(c *azureCommit) (string, commit) {
				return string(c.CommitID), c.about()
			}),
			names: fieldNames{
				at + ".name", at + ".newObjectId", "resource.repository.project.name or resource.repository.name",
			},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// withoutUser drops the user of an address: Azure puts the organisation there.
func withoutUser(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	u.User = nil
	return u.String()
}
