package codehost

import (
	"fmt"
	"strings"

	"buildbridge/mapping"
)

// bitbucketServerHost signs if the webhook has a secret, or sends HTTP Basic:
// https://confluence.atlassian.com/bitbucketserver/event-payload-938025882.html
func bitbucketServerHost() host {
	return host{
		provider:     mapping.BitbucketServer,
		eventHeaders: []string{"X-Event-Key"},
		idHeaders:    []string{"X-Request-Id"},
		authenticate: func(r request) (string, error) {
			return either(r, func(r request) (string, error) { return hubSignature(r, "X-Hub-Signature") }, basic)
		},
		decode: decodeBitbucketServer,
	}
}

type bitbucketServerPush struct {
	Changes list[struct {
		RefID string `json:"refId"`
		Ref   struct {
			ID string `json:"id"`
		} `json:"ref"`
		FromHash string `json:"fromHash"`
		ToHash   string `json:"toHash"`
		Type     string `json:"type"` // ADD, UPDATE, DELETE
	}] `json:"changes"`
	// ToCommit is what the only change leads to; since Bitbucket 7.
	ToCommit struct {
		ID      string `json:"id"`
		Message loose  `json:"message"`
		Author  struct {
			Name        loose `json:"name"`
			DisplayName loose `json:"displayName"`
		} `json:"author"`
	} `json:"toCommit"`
	Repository struct {
		Slug    string `json:"slug"`
		Project struct {
			Key string `json:"key"`
		} `json:"project"`
		Links struct {
			Self list[struct {
				Href loose `json:"href"`
			}] `json:"self"`
		} `json:"links"`
	} `json:"repository"`
	Actor struct {
		Name        loose `json:"name"`
		DisplayName loose `json:"displayName"`
	} `json:"actor"`
}

func decodeBitbucketServer(d *Delivery, body []byte) error {
	switch d.Event {
	case bitbucketServerPushEvent:
	case bitbucketPing:
		return d.leaveOutAll(body, mapping.ReasonPing, whyPing)
	default:
		return d.leaveOutEvent(body, d.Event)
	}

	var p bitbucketServerPush
	if err := unmarshal(body, &p); err != nil {
		return err
	}
	changes, err := p.Changes.all("changes")
	if err != nil {
		return err
	}
	if changes == nil {
		return missing("changes")
	}
	repository, url := "", ""
	if p.Repository.Project.Key != "" && p.Repository.Slug != "" {
		repository = p.Repository.Project.Key + "/" + p.Repository.Slug
	}
	if self := p.Repository.Links.Self.kept; len(self) > 0 {
		url = strings.TrimSuffix(string(self[0].Href), "/browse")
	}
	for i, c := range changes {
		at := fmt.Sprintf("changes[%d]", i)
		next := change{
			ref:        firstOf(c.RefID, c.Ref.ID),
			before:     c.FromHash,
			after:      c.ToHash,
			created:    c.Type == "ADD",
			deleted:    c.Type == "DELETE",
			repository: repository,
			url:        url,
			pusher:     firstOf(p.Actor.Name, p.Actor.DisplayName),
			names:      fieldNames{at + ".refId", at + ".toHash", "repository.project.key or repository.slug"},
		}
		if len(changes) == 1 {
			next.peeled = p.ToCommit.ID
			next.head = commit{
				message: string(p.ToCommit.Message),
				author:  firstOf(p.ToCommit.Author.DisplayName, p.ToCommit.Author.Name),
			}
		}
		if err := d.add(next); err != nil {
			return err
		}
	}
	return nil
}
