package cli

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"unicode"

	"buildbridge"
	"buildbridge/handlers/codehost"
	"buildbridge/mapping"
	"buildbridge/mapping/printable"
	"buildbridge/mapping/rulestest"
)

type initCommand struct {
	Dir        string `arg:"" optional:"" help:"Folder to write into; it is made if it is not there. Default: the one you are in."`
	Provider   string `default:"github" placeholder:"NAME" help:"Code host, such as gitlab."`
	Repository string `placeholder:"OWNER/NAME" help:"Full name of the repository that is built. Default: an example."`
}

func (initCommand) Help() string {
	return `Writes rules.yaml with a rule for pushes and one for releases, its tests rules.test.yaml, and for editors the schemas
rules.schema.json and rules.test.schema.json, and prints what to do next. It asks nothing, and replaces no file.

The code hosts are ` + strings.Join(providerNames(), ", ") + `.

Examples:

    buildbridge init
    buildbridge init rules --provider gitlab --repository group/app`
}

//go:embed starter
var starterFiles embed.FS

// codeHost is how a code host calls things.
type codeHost struct {
	Host   string
	Hook   string // the variable of the secret of webhooks
	Basic  string // the user name, where the secret is the password of HTTP Basic
	API    string // the variable of the API's token
	URL    string // of the API, where the rules have to name it
	User   string // of the API, where its token is the password of one
	Where  string // webhooks are added
	Signs  bool   // Hook is better a key that signs than a token
	Full   string // the form of a repository's name, if not owner/name
	Events string // to be ticked there
}

// codeHosts are what docs/code-hosts.md says, by the provider.
var codeHosts = map[string]codeHost{
	"github": {
		Host: "GitHub", Hook: "GITHUB_WEBHOOK_SECRET", API: "GITHUB_TOKEN",
		Where: "Settings → Webhooks → Add webhook", Events: "just the push event; content type application/json",
	},
	"gitlab": {
		Host: "GitLab", Hook: "GITLAB_WEBHOOK_TOKEN", API: "GITLAB_TOKEN",
		Where: "Settings → Webhooks → Add new webhook (Secret token)", Events: "Push events (all branches), Tag push events",
	},
	"gitee": {
		Host: "Gitee", Hook: "GITEE_WEBHOOK_SECRET", API: "GITEE_TOKEN",
		Where: "管理 → WebHooks 管理 → 添加 WebHook", Events: "Push, Tag Push",
	},
	"gitea": {
		Host: "Gitea", Hook: "GITEA_WEBHOOK_SECRET", API: "GITEA_TOKEN", URL: "https://git.example.com",
		Where: "Settings → Webhooks → Add Webhook → Gitea", Events: "Push Events; content type application/json",
	},
	"forgejo": {
		Host: "Forgejo", Hook: "FORGEJO_WEBHOOK_SECRET", API: "FORGEJO_TOKEN", URL: "https://git.example.com",
		Where: "Settings → Webhooks → Add webhook → Forgejo", Events: "Push events; content type application/json",
	},
	"gogs": {
		Host: "Gogs", Hook: "GOGS_WEBHOOK_SECRET", API: "GOGS_TOKEN", URL: "https://git.example.com",
		Where: "Settings → Webhooks → Add a new webhook → Gogs", Events: "Create and Push; content type application/json",
	},
	"bitbucket": {
		Host: "Bitbucket", Hook: "BITBUCKET_WEBHOOK_SECRET", API: "BITBUCKET_TOKEN",
		Where: "Repository settings → Webhooks → Add webhook", Events: "Repository push",
	},
	"bitbucket-server": {
		Host: "Bitbucket Data Center", Hook: "BITBUCKET_WEBHOOK_SECRET", API: "BITBUCKET_TOKEN", URL: "https://git.example.com",
		Where: "Settings → Webhooks → Create webhook", Events: "Repository: Push",
	},
	"azure-devops": {
		Host: "Azure DevOps", Hook: "AZURE_HOOK_PASSWORD", Basic: "azure", API: "AZURE_TOKEN", URL: "https://dev.azure.com/ORGANISATION",
		Where: "Project settings → Service hooks → Create subscription → Web Hooks", Events: "Code pushed; resource details to send: All",
	},
	"codearts-repo": {
		Host: "CodeArts Repo", Hook: "CODEARTS_REPO_TOKEN", API: "CODEARTS_REPO_API_TOKEN", URL: "https://codehub.example.com",
		Where:  "Settings → Service Integration → Webhooks → New (token type X-Repo-Token)",
		Events: "Code push, with .* as the regular expression for branches; Tag push",
	},
	"gitcode": {
		Host: "GitCode", Hook: "GITCODE_SIGNATURE_KEY", Signs: true, API: "GITCODE_TOKEN",
		Where: "Project Settings → WebHook → Add New WebHook (signature key)", Events: "Push, Tag Push; content type application/json",
	},
	"codeup": {
		Host: "Codeup", Hook: "CODEUP_WEBHOOK_TOKEN", API: "CODEUP_TOKEN", Full: "0123456789abcdef01234567/acme/shop",
		Where: "设置 → WebHooks → 新建 WebHook (Secret Token)", Events: "推送事件 (push), 标签推送事件 (tag push)",
	},
	"tgit": {
		Host: "TGit", Hook: "TGIT_WEBHOOK_TOKEN", API: "TGIT_TOKEN",
		Where: "设置 → 高级设置 → 回调钩子 (token)", Events: "push events, tag push events",
	},
	"gerrit": {
		Host: "Gerrit", Hook: "GERRIT_WEBHOOK_SECRET", API: "GERRIT_PASSWORD", User: "ci", URL: "https://gerrit.example.com",
		Where: "webhooks.config in refs/meta/config of the project, with the plugin webhooks", Events: "event = ref-updated",
	},
}

func providerNames() (names []string) {
	for _, p := range codehost.Providers() {
		names = append(names, p.Name)
	}
	slices.Sort(names)
	return names
}

// Run writes the files.
func (c *initCommand) Run(env *Environment) error {
	c.Dir = cmp.Or(c.Dir, ".")
	host, known := codeHosts[c.Provider]
	if !known {
		return usageError(fmt.Sprintf("--provider: there is no code host %q%s; known are %s",
			c.Provider, mapping.Suggest(c.Provider, providerNames()), strings.Join(providerNames(), ", ")))
	}
	c.Repository = cmp.Or(c.Repository, host.Full, "acme/shop")
	if !isRepository(c.Repository) {
		return usageError(fmt.Sprintf("--repository: %q is not the full name of one repository: want owner/name", c.Repository))
	}
	providers := codehost.Providers()
	name := printable.Clip(path.Base(c.Repository), 100) // names of rules are short
	data := struct {
		codeHost

		Provider, Repository, Name, Release string
		Statuses, PathSecret                bool
		Files, Rules, Flag                  string
	}{codeHost: host, Provider: c.Provider, Repository: plainOrQuoted(c.Repository)}
	data.Name, data.Release = plainOrQuoted(name), plainOrQuoted(name+"-release")
	provider := providers[slices.IndexFunc(providers, func(p mapping.Provider) bool { return p.Name == c.Provider })]
	data.Statuses, data.PathSecret = provider.Statuses, provider.PathSecret

	templates := template.Must(template.ParseFS(starterFiles, "starter/*.tmpl"))
	filled := func(name string) []byte {
		var text bytes.Buffer
		if err := templates.ExecuteTemplate(&text, name+".tmpl", data); err != nil {
			panic("cli: " + err.Error()) // the data has every field that the templates name
		}
		return text.Bytes()
	}
	files := []newFile{
		{filepath.Join(c.Dir, defaultRules), filled("rules.yaml")},
		{filepath.Join(c.Dir, "rules.test.yaml"), filled("rules.test.yaml")},
		{filepath.Join(c.Dir, "rules.schema.json"), buildbridge.Schema},
		{filepath.Join(c.Dir, "rules.test.schema.json"), buildbridge.TestSchema},
	}
	if err := writeNew(c.Dir, files); err != nil {
		return err
	}
	data.Rules = printable.Text(files[0].path)
	data.Files = printable.Text(fmt.Sprintf("%s, %s, %s and %s", files[0].path, files[1].path, files[2].path, files[3].path))
	if c.Dir != "." {
		data.Flag = " --rules " + printable.Text(shellWord(files[0].path))
	}
	env.printf("%s", filled("next.txt"))
	return nil
}

// isRepository says whether a text is the full name of a repository, no glob and no expression.
func isRepository(name string) bool {
	return rulestest.IsRepository(name) && !strings.ContainsAny(name, `*?[]{}!\`) &&
		!strings.ContainsFunc(name, unicode.IsControl) && len(name) <= 256
}

// plainText is text that no reader of YAML takes for something else.
var plainText = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._-]*/?[A-Za-z0-9._/-]+$`)

// plainOrQuoted is a text as YAML writes it.
func plainOrQuoted(text string) string {
	if plainText.MatchString(text) && !slices.Contains([]string{"true", "false", "null", "yes", "no", "on", "off"}, strings.ToLower(text)) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}

// newFile is a file to be written.
type newFile struct {
	path string
	data []byte
}

// writeNew writes files that are not there yet into a folder: all of them or none.
func writeNew(folder string, files []newFile) error {
	var there []string
	for _, f := range files {
		if _, err := os.Lstat(f.path); err == nil {
			there = append(there, f.path)
		}
	}
	if len(there) > 0 {
		return fmt.Errorf("there is %s already: nothing was written. Give another folder, such as: buildbridge init new",
			strings.Join(there, ", "))
	}
	if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // as mkdir does
		return err
	}
	for i, f := range files {
		if err := writeOne(f); err != nil {
			for _, written := range files[:i] {
				err = errors.Join(err, os.Remove(written.path))
			}
			return err
		}
	}
	return nil
}

// writeOne writes a file, and leaves none behind if it fails.
func writeOne(f newFile) (err error) {
	file, err := os.OpenFile(f.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fs.FileMode(0o644))
	if err != nil {
		return err
	}
	_, err = file.Write(f.data)
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(err, os.Remove(f.path))
	}
	return nil
}
