package mapping

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fenced is a file of a team, with its fence, beside the sources and targets of everybody.
func fenced(fence, team string) []File {
	return []File{
		{Name: "bridge.yaml", Data: []byte("version: 1\n" +
			"sources: {github: {provider: github, insecure: true}, gitlab: {provider: gitlab, insecure: true}}\n" +
			"targets: {north: {region: cn-north-4, credentials: {chain: true}}, south: {region: cn-south-1, credentials: {chain: true}}}\n")},
		{Name: "team.yaml", Data: []byte("version: 1\n" + team), Fence: &File{Name: "fence.yaml", Data: []byte(fence)}},
	}
}

const goodFence = "sources: [github]\nrepositories: ['acme/shop-*', 'acme/cart', '!acme/shop-secret']\ntargets: [north]\njobs: [" + jobA + "]\n"

func TestFences(t *testing.T) {
	const head = "rules:\n- name: a\n  source: github\n  repository: acme/cart\n"
	const tail = "  when: {push: {}}\n  jobs: [{job_id: " + jobA + ", target: north, parameters: {b: '${event.branch}'}}]\n"
	rule := func(fields string) string { return "rules:\n- name: a\n" + fields + tail }
	for name, test := range map[string]struct{ fence, team, want string }{
		"inside": {goodFence, head + tail, ""},
		"another team's job": {
			goodFence, head + "  when: {push: {}}\n  jobs:\n  - {job_id: " + jobA + ", target: north, parameters: {b: '${event.branch}'}}\n" +
				"  - job_id: " + jobB + "\n    target: north\n    parameters: {b: '${event.branch}'}\n",
			`team.yaml:9:13: rule "a": jobs[1].job_id: "` + jobB + `" is outside of the fence fence.yaml, which allows jobs [` + jobA + "]",
		},
		"other code than its own job and pipeline build": {
			strings.Replace(goodFence, jobA, jobA+", "+pipelineA, 1), head + "  when: {push: {}}\n  jobs:\n" +
				"  - {job_id: " + jobA + ", target: north, scm: {branch: auto, repo_id: b-1, url: 'https://h.example/b.git'}}\n" +
				"  - {pipeline_id: " + pipelineA + ", project_id: " + projectA + ", target: north, choose_stages: [deploy, x],\n" +
				"    sources: [{alias: a}, {git_type: github, git_url: 'https://h.example/b.git', codehub_id: '2', endpoint_id: e, branch: main}]}\n",
			strings.NewReplacer("THE FENCE", "the file has the fence fence.yaml, so the ",
				"ITSELF", " builds what it is set to: leave this out, or write the rule in a file without a fence").Replace(
				`team.yaml:8:92: rule "a": jobs[0].scm.repo_id: THE FENCEjobITSELF` + "\n" +
					`team.yaml:8:102: rule "a": jobs[0].scm.url: THE FENCEjobITSELF` + "\n" +
					`team.yaml:9:130: rule "a": jobs[1].choose_stages: THE FENCEpipelineITSELF` + "\n" +
					`team.yaml:10:55: rule "a": jobs[1].sources[1].git_url: THE FENCEpipelineITSELF` + "\n" +
					`team.yaml:10:94: rule "a": jobs[1].sources[1].codehub_id: THE FENCEpipelineITSELF` + "\n" +
					`team.yaml:10:112: rule "a": jobs[1].sources[1].endpoint_id: THE FENCEpipelineITSELF`),
		},
		"an anchor": {
			"sources: &s [github]\nrepositories: acme/cart\ntargets: *s\n", head + tail,
			"fence.yaml:1:10: sources: anchors (&s) are not part of this language: write the value out\n" +
				"fence.yaml:3:10: targets: aliases are not part of this language: write the value out; if it is text, quote it: '*s'",
		},
		"another target": {
			goodFence, head + strings.Replace(tail, "north", "south", 1),
			`team.yaml:7:61: rule "a": jobs[0].target: "south" is outside of the fence fence.yaml, which allows targets [north]`,
		},
		"another source": {
			goodFence, rule("  source: [github, gitlab]\n  repository: acme/cart\n"),
			`team.yaml:4:20: rule "a": source: "gitlab" is outside of the fence fence.yaml, which allows sources [github]`,
		},
		"a source that is not there": {
			goodFence, rule("  source: githbu\n  repository: acme/cart\n"),
			`team.yaml:4:11: rule "a": source: there is no source "githbu"; did you mean "github"?`,
		},
		"every source, and every repository": {
			goodFence, rule(""),
			`team.yaml:3:3: rule "a": source: required here: a rule without source is for every one, and outside of ` +
				"the fence fence.yaml, which allows sources [github]\n" +
				`team.yaml:3:3: rule "a": repository: required here: a rule without repository is for every one, and outside of ` +
				"the fence fence.yaml, which allows repositories [acme/shop-*, acme/cart, !acme/shop-secret]",
		},
		"repositories inside, without case": {
			goodFence, rule("  source: github\n  repository: [Acme/Cart, 'acme/shop-web-*', '!acme/shop-secret', acme/SHOP-ui]\n"),
			"",
		},
		"repositories outside": {
			goodFence, rule("  source: github\n  repository: [acme/cart, beta/cart, 'acme/shop-?', 'acme/shop-s*', acme/shop-secret]\n"),
			`team.yaml:5:27: rule "a": repository[1]: "beta/cart" is outside of FENCE` + "\n" +
				`team.yaml:5:53: rule "a": repository[3]: "acme/shop-s*" may match repositories that are outside of FENCE` + "\n" +
				`team.yaml:5:69: rule "a": repository[4]: "acme/shop-secret" is outside of FENCE`,
		},
		"a list that begins with all": {
			goodFence, rule("  source: github\n  repository: '!acme/shop-secret'\n"),
			`team.yaml:5:15: rule "a": repository: a list that begins with ! has every other repository: it is outside of FENCE`,
		},
		"definitions of its own": {
			goodFence, "sources: {lab: {provider: gitea, insecure: true}}\ntargets: {west: {region: cn-west-1, credentials: {chain: true}}}\n" + head + tail,
			"team.yaml:2:11: sources.lab: this file may not define the source: it is outside of the fence fence.yaml, which allows sources [github]\n" +
				"team.yaml:3:11: targets.west: this file may not define the target: it is outside of the fence fence.yaml, which allows targets [north]",
		},
		"a target of its own, which it names": {
			goodFence, "targets: {west: {region: cn-west-1, credentials: {chain: true}, timeout: 1}}\n" + head + strings.Replace(tail, "north", "west", 1),
			"team.yaml:2:11: targets.west: this file may not define the target: it is outside of the fence fence.yaml, which allows targets [north]\n" +
				"team.yaml:2:74: targets.west.timeout: 1 has no unit: want a duration such as 30s, 5m, 24h or 1d12h",
		},
		"definitions that are allowed": {
			strings.NewReplacer("github", "github, lab", "north", "north, west").Replace(goodFence),
			"sources: {lab: {provider: gitea, insecure: true}}\ntargets: {west: {region: cn-west-1, credentials: {chain: true}}}\n" + head + tail, "",
		},
		"a fence that allows nothing": {
			"{}", head + tail,
			`team.yaml:4:11: rule "a": source: "github" is outside of the fence fence.yaml, which allows no sources` + "\n" +
				`team.yaml:5:15: rule "a": repository: "acme/cart" is outside of the fence fence.yaml, which allows no repositories` + "\n" +
				`team.yaml:7:19: rule "a": jobs[0].job_id: "` + jobA + `" is outside of the fence fence.yaml, which allows no jobs` + "\n" +
				`team.yaml:7:61: rule "a": jobs[0].target: "north" is outside of the fence fence.yaml, which allows no targets`,
		},
		"all repositories": {
			strings.Replace(goodFence, "'acme/shop-*'", "'**'", 1), rule("  source: github\n  repository: '!acme/shop-*'\n"), "",
		},
		"a fence with faults": {
			"source: [github]\nrepositories: ['acme/[z-a]', acme]\njobs: [a]\ntargets: []\n", head + tail,
			`fence.yaml:1:1: source: unknown field; did you mean "sources"?` + "\n" +
				`fence.yaml:2:16: repositories[0]: "acme/[z-a]" is not a valid pattern: nothing is in the range z-a` + "\n" +
				"fence.yaml:3:8: jobs[0]: \"a\" is not a job id: 32 characters of a-z and 0-9, behind /detail/history/ in the job's URL in the console\n" +
				"fence.yaml:4:10: targets: the list is empty: leave the field out to mean none",
		},
		"a fence that names what is not there": {
			"sources: [github, githbu]\nrepositories: [acme/cart]\ntargets: [north, nroth]\njobs: [" + jobA + "]\n", head + tail,
			`fence.yaml:1:19: sources[1]: there is no source "githbu"; did you mean "github"?` + "\n" +
				`fence.yaml:3:18: targets[1]: there is no target "nroth"; did you mean "north"?`,
		},
		"an empty fence":    {"# nothing\n", head + tail, "fence.yaml:1:1: the file is empty: a fence names what is allowed under sources, repositories, targets and jobs"},
		"rules for a fence": {"version: 1\n", head + tail, "fence.yaml:1:1: version: unknown field; this is a fence, not a rules file: it has sources, repositories, targets and jobs"},
		"a large fence":     {strings.Repeat("#", MaxFile+1), head + tail, "fence.yaml:1:1: the fence is larger than 1 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := Parse(testProviders, fenced(test.fence, test.team)...)
			got := ""
			if err != nil {
				got = err.Error()
			}
			all := "the fence fence.yaml, which allows repositories [acme/shop-*, acme/cart, !acme/shop-secret]"
			if diff := cmp.Diff(strings.ReplaceAll(test.want, "FENCE", all), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// The only target need not be named. It is named by the rule all the same.
func TestFenceOfTheOnlyTarget(t *testing.T) {
	team := "rules: [{name: a, source: github, repository: c/d, when: {push: {}}, jobs: [{job_id: " + jobA + "}]}]\n"
	files := []File{
		{Name: "bridge.yaml", Data: []byte("version: 1\n" + goodSources + goodTargets)},
		{Name: "team.yaml", Data: []byte("version: 1\n" + team), Fence: &File{
			Name: "fence.yaml", Data: []byte("{sources: [github], repositories: ['c/*'], jobs: [" + jobA + "]}"),
		}},
	}
	_, _, err := Parse(testProviders, files...)
	want := `team.yaml:2:77: rule "a": jobs[0].target: the only target, "north", is outside of the fence fence.yaml, which allows no targets`
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

// What a fenced file may not define is its own fault, and none of what other files say.
func TestForbiddenDefinitionsCountNowhere(t *testing.T) {
	bridge := "version: 1\n%ssources: {github: {provider: github, insecure: true}}\n" +
		"rules: [{name: a, when: {push: {}}, jobs: [{job_id: " + jobA + "}]}]\n"
	team := File{
		Name:  "team.yaml",
		Data:  []byte("version: 1\ntargets: {mine: {region: cn-south-1, credentials: {chain: true}}, north: {region: cn-north-1, credentials: {chain: true}}}\n"),
		Fence: &File{Name: "fence.yaml", Data: []byte("sources: [github]\n")},
	}
	for name, targets := range map[string]string{
		"beside one target": "targets: {north: {region: cn-north-4, credentials: {chain: true}}}\n",
		"beside none":       "",
	} {
		for _, first := range []bool{false, true} {
			files := []File{{Name: "bridge.yaml", Data: fmt.Appendf(nil, bridge, targets)}, team}
			if first {
				slices.Reverse(files)
			}
			_, _, err := Parse(testProviders, files...)
			want := "team.yaml:2:11: targets.mine: this file may not define the target: it is outside of the fence fence.yaml, which allows no targets\n" +
				"team.yaml:2:67: targets.north: this file may not define the target: it is outside of the fence fence.yaml, which allows no targets"
			if err == nil || err.Error() != want {
				t.Errorf("%s: %v, want\n%s", name, err, want)
			}
		}
	}
}

// A fence that cannot be read is one fault, and not a fence that allows everything.
func TestFenceThatCannotBeRead(t *testing.T) {
	files := fenced("", "")
	files[1].Fence.Err = errors.New("no such file")
	_, _, err := Parse(testProviders, files...)
	if want := "fence.yaml:1:1: the fence cannot be read: no such file"; err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestCover(t *testing.T) {
	for name, test := range map[string]struct {
		fence, list []string
		want        bool
	}{
		"the same":                          {[]string{"acme/[ab]*"}, []string{"acme/[ab]*"}, true},
		"a literal":                         {[]string{"acme/{shop,cart}"}, []string{"acme/cart"}, true},
		"another literal":                   {[]string{"acme/{shop,cart}"}, []string{"acme/pay"}, false},
		"a glob in a segment":               {[]string{"acme/*"}, []string{"acme/shop-*"}, true},
		"a glob in a part of it":            {[]string{"acme/shop-*"}, []string{"acme/shop-?b*"}, true},
		"a glob of two segments":            {[]string{"acme/*"}, []string{"acme/*/*"}, false},
		"two stars in one":                  {[]string{"acme/*"}, []string{"acme/**"}, false},
		"a class that may match a slash":    {[]string{"acme/*"}, []string{"acme/[^a]b"}, false},
		"a range that may match a slash":    {[]string{"acme/*"}, []string{"acme/[+-9]b"}, false},
		"a folder":                          {[]string{"acme/**"}, []string{"acme/sub/**/x-{a,b}"}, true},
		"a folder of that name":             {[]string{"acme/**"}, []string{"acme/**"}, true},
		"another folder of such a name":     {[]string{"acme/**"}, []string{"acme*/x"}, false},
		"a part of the folder's name":       {[]string{"acme/**"}, []string{"ac*/x"}, false},
		"a literal folder":                  {[]string{"acme/**"}, []string{"acme/shop"}, true},
		"all":                               {[]string{"**"}, []string{"**"}, true},
		"all but some":                      {[]string{"!acme/secret"}, []string{"acme/*", "!acme/secret"}, true},
		"all but some, not excluded":        {[]string{"!acme/secret"}, []string{"acme/*"}, false},
		"all but some elsewhere":            {[]string{"!beta/**"}, []string{"acme/*"}, true},
		"excluded too early":                {[]string{"!acme/secret"}, []string{"!acme/secret", "acme/*"}, false},
		"excluded, and taken back":          {[]string{"**", "!acme/secret"}, []string{"acme/*", "!acme/secret", "acme/secret"}, false},
		"excluded, and taken back in both":  {[]string{"**", "!acme/s*", "acme/secret"}, []string{"acme/*", "!acme/s*", "acme/secret"}, true},
		"excluded by more":                  {[]string{"acme/*", "!acme/s-x-*"}, []string{"acme/*", "!acme/s-*"}, true},
		"excluded by less":                  {[]string{"acme/*", "!acme/s-*"}, []string{"acme/*", "!acme/s-x-*"}, false},
		"excluded before it is allowed":     {[]string{"!acme/secret", "acme/*"}, []string{"acme/*"}, true},
		"a literal that is excluded":        {[]string{"acme/*", "!acme/s*"}, []string{"acme/secret"}, false},
		"a list that begins with exclusion": {[]string{"acme/*"}, []string{"!beta/*", "acme/x"}, false},
		"nothing":                           {nil, []string{"acme/x"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := covers(mustGlobs(t, test.fence...), mustGlobs(t, test.list...)); got != test.want {
				t.Errorf("%v covers %v: %v", test.fence, test.list, got)
			}
		})
	}
}

// covers says of a whole list what checkRepositories says of its patterns.
func covers(fence, list globs) bool {
	if list.startsFromAll() {
		list = append(globs{{pattern: "**"}}, list...)
	}
	for i := range list {
		if !list[i].exclude && !fence.cover(list, i) {
			return false
		}
	}
	return true
}

// FuzzCover checks that no name that a list takes is outside of a fence that covers it.
func FuzzCover(f *testing.F) {
	f.Add("acme/*\n!acme/s*", "acme/x?", "acme/xa")
	f.Add("!a/b", "a/**", "a/b")
	f.Add("a/**", "a/**/b", "a")
	f.Fuzz(func(t *testing.T, fence, list, name string) {
		a, b := parsedGlobs(fence), parsedGlobs(list)
		name = strings.ToLower(name)
		if len(a) > 0 && covers(a, b) && b.match(name) && !a.match(name) {
			t.Errorf("%q is taken by %v, and outside of %v, which covers it", name, b, a)
		}
	})
}

func parsedGlobs(lines string) globs {
	var list globs
	for line := range strings.SplitSeq(lines, "\n") {
		if g, err := newFoldedGlob(line); err == nil {
			list = append(list, g)
		}
	}
	return list
}

// Small lists of small patterns, compared with every small name: what a fuzzer takes long to find.
func TestCoverIsCertain(t *testing.T) {
	names := []string{""}
	for from, length := 0, 0; length < 6; length++ {
		to := len(names)
		for _, n := range names[from:to] {
			for _, c := range []string{"a", "b", "/"} {
				names = append(names, n+c)
			}
		}
		from = to
	}
	parts := []string{"a", "b", "/", "/", "*", "*", "**", "/**", "**/", "?", "[ab]", "[^a]", "[.-a]", "{a,b}", "{**,a}", "{a/,*}", `\a`, `\*`}
	r := rand.New(rand.NewPCG(1, 2))
	list := func() globs {
		var list globs
		for range 1 + r.IntN(3) {
			pattern := []string{"", "", "!"}[r.IntN(3)]
			for range 1 + r.IntN(4) {
				pattern += parts[r.IntN(len(parts))]
			}
			if g, err := newFoldedGlob(pattern); err == nil {
				list = append(list, g)
			}
		}
		return list
	}
	covered := 0
	for range 50_000 {
		fence, rule := list(), list()
		if len(fence) == 0 || !covers(fence, rule) {
			continue
		}
		covered++
		for _, name := range names {
			if rule.match(name) && !fence.match(name) {
				t.Fatalf("%q is taken by %v, and outside of %v, which covers it", name, rule, fence)
			}
		}
	}
	if covered < 500 {
		t.Errorf("only %d lists were covered", covered)
	}
}

// A variable of a fenced file is for files with the same fence: a team must not choose the job
// of a rule that it may not write.
func TestVariablesOfFences(t *testing.T) {
	const rule = "rules:\n- name: %s\n  source: github\n  repository: acme/cart\n  when: {push: {}}\n" +
		"  if: vars.%s != ''\n  jobs: [{job_id: '${vars.job}', target: north, parameters: {b: '${event.branch + vars.%[2]s}'}}]\n"
	parse := func(common, other string, fence *File) string {
		files := fenced(goodFence, "vars: {ours: x, prod: "+jobA+"}\n"+fmt.Sprintf(rule, "ours", "ours"))
		files[0].Data = append(files[0].Data, common+"vars: {job: "+jobA+"}\n"...)
		if fence == nil {
			fence = files[1].Fence
		}
		files = append(files, File{Name: "other.yaml", Data: []byte("version: 1\n" + other), Fence: fence})
		_, _, err := Parse(testProviders, files...)
		if err == nil {
			return ""
		}
		return err.Error()
	}
	held := func(place, rule, field, name, at string) string {
		return fmt.Sprintf(`%s: %s%s: the variable %q is defined at team.yaml:2:%s, and the fence fence.yaml holds it back: `+
			"only files with that fence may use it", place, rule, field, name, at)
	}
	other := fmt.Sprintf(rule, "theirs", "ours")
	if got := parse("", other, nil); got != "" {
		t.Errorf("a file with the same fence: %s", got)
	}
	want := held("other.yaml:7:7", `rule "theirs": `, "if", "ours", "8") + "\n" +
		held("other.yaml:8:83", `rule "theirs": `, "jobs[0].parameters.b", "ours", "8")
	if diff := cmp.Diff(want, parse("", other, &File{Name: "b.yaml", Data: []byte(goodFence)})); diff != "" {
		t.Errorf("another fence: -want +got:\n%s", diff)
	}
	common := "defaults: {parameters: {p: '${vars.prod}'}}\nrules: [{name: a, when: {push: {}}, jobs: [{job_id: '${vars.prod}', target: north}]}]\n"
	want = held("bridge.yaml:4:31", "", "defaults.parameters.p", "prod", "17") + "\n" +
		held("bridge.yaml:5:56", `rule "a": `, "jobs[0].job_id", "prod", "17")
	if diff := cmp.Diff(want, parse(common, fmt.Sprintf(rule, "b", "ours"), nil)); diff != "" {
		t.Errorf("no fence: -want +got:\n%s", diff)
	}
}
