package codehost

import (
	"fmt"
	"strings"

	"buildbridge/mapping"
)

// bitbucketServer signs if the webhook has a secret, or sends HTTP Basic:
// https://confluence.atlassian.com/bitbucketserver/event-payload-938025882.html
var bitbucketServer = host{
	Provider:     mapping.Provider{Name: "bitbucket-server", Basic: true, Statuses: true, URLForm: ownServer},
	commitPath:   "/commits/",
	eventHeaders: []string{"X-Event-Key"},
	idHeaders:    []string{"X-Request-Id"},
	proof:        signature("sha256=", "X-Hub-Signature").or(basic),
	events:       map[string]LeftOut{bitbucketServerPushEvent: {}, bitbucketPing: testCall},
	decode:       decodeBitbucketServer,
	guesses:      []guess{{"", "eventKey"}, {bitbucketServerPushEvent, "changes"}, {bitbucketPing, "test"}},
}

type bitbucketServerPush struct {
	Changes list[struct {
		RefID string `json:"refId"`
		Ref   optional[struct {
			ID loose `json:"id"`
		}] `json:"ref"`
		FromHash loose  `json:"fromHash"`
		ToHash   string `json:"toHash"`
		Type     string `json:"type"` // ADD, UPDATE, DELETE
	}] `json:"changes"`
	// ToCommit is the new commit, if there is one change; since Bitbucket 7.
	ToCommit optional[bitbucketServerCommit] `json:"toCommit"`
	// Commits are those of all changes together.
	Commits    list[optional[bitbucketServerCommit]] `json:"commits"`
	Repository struct {
		Slug    string `json:"slug"`
		Project struct {
			Key string `json:"key"`
		} `json:"project"`
		Links optional[struct {
			Self list[optional[link]] `json:"self"`
		}] `json:"links"`
	} `json:"repository"`
	Actor optional[bitbucketServerUser] `json:"actor"`
}

type bitbucketServerCommit struct {
	ID      loose                         `json:"id"`
	Message loose                         `json:"message"`
	Author  optional[bitbucketServerUser] `json:"author"`
}

func (c *bitbucketServerCommit) about() commit {
	return commit{message: string(c.Message), author: firstOf(c.Author.v.DisplayName, c.Author.v.Name)}
}

type bitbucketServerUser struct {
	Name        loose `json:"name"`
	DisplayName loose `json:"displayName"`
}

func decodeBitbucketServer(d *Delivery, body []byte) error {
	var p bitbucketServerPush
	if err := unmarshal(body, &p); err != nil {
		return err
	}
	changes, err := p.Changes.all("changes")
	if err != nil {
		return err
	}
	repository, url := "", ""
	if p.Repository.Project.Key != "" && p.Repository.Slug != "" {
		repository = p.Repository.Project.Key + "/" + p.Repository.Slug
	}
	if self := p.Repository.Links.v.Self.kept; len(self) > 0 {
		url = strings.TrimSuffix(string(self[0].v.Href), "/browse")
	}
	for i, c := range changes {
		at := fmt.Sprintf("changes[%d]", i)
		next := change{
			ref:        firstOf(c.RefID, string(c.Ref.v.ID)),
			before:     string(c.FromHash),
			after:      c.ToHash,
			created:    c.Type == "ADD",
			deleted:    c.Type == "DELETE",
			repository: repository,
			url:        url,
			pusher:     firstOf(p.Actor.v.Name, p.Actor.v.DisplayName),
			names:      fieldNames{at + ".refId", at + ".toHash", "repository.project.key or repository.slug"},
		}
		if len(changes) == 1 {
			to := &p.ToCommit.v
			next.peeled, next.head = string(to.ID), to.about()
			if p.Commits.n == 0 && to.ID != "" {
				p.Commits.kept = []optional[bitbucketServerCommit]{p.ToCommit}
			}
			next.commits = commitsOf(&p.Commits, c.ToHash, newestFirst, func(c *bitbucketServerCommit) (string, commit) {
				return string(c.ID), c.about()
			})
		}
		if err := d.add(next); err != nil {
			return err
		}
	}
	return nil
}
