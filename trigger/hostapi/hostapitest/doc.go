// Package hostapitest is a simulator of the code hosts' APIs for statuses on commits, and of what
// Git asks them for a repository's refs, for tests and demonstrations. All hosts are under one root, each at its usual paths.
//
// [NewServer] starts one on a free port, as httptest does; [New] gives its handler. It has
//
//	POST  /api/v3/repos/{owner}/{name}/statuses/{commit}                       GitHub
//	POST  /api/v4/projects/{path}/statuses/{commit}                            GitLab
//	POST  /api/v5/repos/{owner}/{name}/check-runs                              Gitee
//	PATCH /api/v5/repos/{owner}/{name}/check-runs/{id}
//	GET   /api/v5/repos/{owner}/{name}/commits/{commit}/check-runs
//	POST  /api/v1/repos/{owner}/{name}/statuses/{commit}                       Gitea, Forgejo
//	POST  /2.0/repositories/{workspace}/{name}/commit/{commit}/statuses/build  Bitbucket Cloud
//	POST  /rest/api/latest/projects/{key}/repos/{name}/commits/{commit}/builds Bitbucket Data Center
//	POST  /rest/build-status/1.0/commits/{commit}                              its older versions
//	POST  [/{organisation}]/{project}/_apis/git/repositories/{name}/commits/{commit}/statuses
//	                                                                           Azure DevOps
//
//	GET   …/info/refs, POST …/git-upload-pack                                  branches and tags
//
// and GETs of the token or its user, of repositories, of webhooks and of their deliveries, and calls of
// its own:
//
//	GET  /_statuses  every status taken, as a JSON array of [Status], the newest last
//	POST /_refs      set the branches and tags of a repository: {"repository": "acme/shop",
//	                 "refs": {"refs/heads/main": "<commit>"}}, in place of those that it had
//	POST /_hooks     add a [Hook], or several in an array; DELETE removes them
//	POST /_faults    add a [Fault], or several in an array; GET lists, DELETE removes them
//
// It is as strict as the hosts are known to be: tokens, lengths, states, what may follow what,
// how often. Faults come before all that, as those of a gateway do.
//
// A repository has refs once they were set. Git reads them in versions 2 and 0 of the smart HTTP
// protocol, and can read nothing else. Real repositories are in package gittest.
//
// Sources: the API references of the hosts, the source of GitLab (create_commit_status_service.rb)
// and Gitea, and what users of the APIs report. Guessed are many texts of errors, and in which
// order things that are wrong are found. Nothing was compared with the live services.
package hostapitest
