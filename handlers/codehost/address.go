package codehost

import (
	"net/url"
	"strings"
)

// RepositoryAddress gives the web address of a repository, as its host sent it ([mapping.Event.URL]), for
// a link: "" for what is no http or https address. It has no user, query or fragment.
func RepositoryAddress(sent string) string {
	u, err := url.Parse(sent)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Opaque != "" {
		return ""
	}
	u.User, u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = nil, "", false, "", ""
	return strings.TrimRight(u.String(), "/")
}

// CommitAddress gives the web address of a commit of a repository of a provider, whose own address
// is as its host sent it: "" if there is none to link to. CodeArts Repo has none that follows from these:
// its address has a number that only its API tells.
func CommitAddress(provider, repository, commit string) string {
	h, err := hostOf(provider)
	address := RepositoryAddress(repository)
	if err != nil || h.commitPath == "" || address == "" || commit == "" {
		return ""
	}
	return address + h.commitPath + url.PathEscape(commit)
}
