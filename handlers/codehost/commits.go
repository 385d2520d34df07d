package codehost

import (
	"slices"

	"buildbridge/mapping"
)

// maxCommits is how many commits of a push an event has: the newest.
const maxCommits = 1000

// Hosts list the commits of a push from the oldest to the newest, or the other way round:
//   - GitHub, GitLab, Gitee, CodeArts Repo, GitCode and Codeup end with the newest;
//   - Gitea, Forgejo and Gogs, whose lists come from git log, both Bitbucket, Azure DevOps and TGit
//     begin with it.
type order bool

const (
	newestLast  order = false
	newestFirst order = true
)

// commitsOf gives the commits of a push, the newest last. What a host was seen to send counts for
// more than its order: head is the commit that the branch is at now.
func commitsOf[T any](list *list[optional[T]], head string, sent order, read func(*T) (id string, c commit)) []mapping.Commit {
	kept := list.kept
	if len(kept) == 0 {
		return nil
	}
	first, _ := read(&kept[0].v)
	last, _ := read(&kept[len(kept)-1].v)
	if (first == head) != (last == head) {
		sent = order(first == head)
	}
	if sent == newestFirst {
		kept = kept[:min(len(kept), maxCommits)]
	} else {
		kept = kept[max(0, len(kept)-maxCommits):]
	}
	out := make([]mapping.Commit, len(kept))
	for i := range kept {
		id, c := read(&kept[i].v)
		out[i] = mapping.NewCommit(id, c.message, c.author)
	}
	if sent == newestFirst {
		slices.Reverse(out)
	}
	return out
}

// pushed is commitsOf for the form that all hosts but Bitbucket and Azure DevOps send.
func pushed(commits *list[optional[pushedCommit]], head string, sent order) []mapping.Commit {
	return commitsOf(commits, head, sent, func(c *pushedCommit) (string, commit) { return string(c.ID), c.about() })
}
