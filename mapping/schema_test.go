package mapping

import (
	"errors"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"buildbridge/mapping/internal/schemagen"
)

const schemaFile = "../rules.schema.json" // beside rules.yaml, whose first line names it

// TestSchemaFile checks that the schema shipped is the one generated.
func TestSchemaFile(t *testing.T) {
	got, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	schemagen.CheckFile(t, schemaFile, got, *update)
}

// parts of a good document, to break one at a time.
const (
	goodSources = "sources:\n  github: {provider: github, secrets: [{env: S}]}\n"
	goodTargets = "targets:\n  north: {region: cn-north-4, credentials: {chain: true}}\n"
	goodJob     = "{job_id: f9d6c8466d614a9788e9a0acf6c15f46}"
)

func ruleWith(fields string) string {
	return "version: 1\n" + goodSources + goodTargets + "rules:\n  - {" + fields + "}\n"
}

func sourceWith(fields string) string {
	return "version: 1\n" + goodTargets + "sources: {a: {" + fields + "}}\nrules: [{name: r, when: {push: }, jobs: [" + goodJob + "]}]\n"
}

func targetWith(fields string) string {
	return "version: 1\ntargets: {a: {" + fields + "}}\nrules: [{name: r, when: {push: }, jobs: [" + goodJob + "]}]\n"
}

func sourceRule(fields string) string {
	return "version: 1\nsources: {a: {provider: github, insecure: true, api: {token: {env: T}}}}\n" + goodTargets +
		"rules: [{name: r, when: {push: }, jobs: [" + goodJob + "], " + fields + "}]\n"
}

func jobWith(fields string) string {
	return ruleWith("name: a, when: {push: }, jobs: [{job_id: f9d6c8466d614a9788e9a0acf6c15f46, " + fields + "}]")
}

// TestSchemaAgrees checks, for every structural fault, that the schema and the
// loader both refuse it, and that both take what is sound.
func TestSchemaAgrees(t *testing.T) {
	tests := map[string]struct {
		document string
		sound    bool
	}{
		"smallest":              {"version: 1\n", true},
		"a rule":                {ruleWith("name: a, when: {push: }, jobs: [" + goodJob + "]"), true},
		"every field of a rule": {ruleWith("name: a, source: [github], repository: ['acme/*', '!acme/x'], when: {push: {branches: main, paths: [a], paths_ignore: b, unknown_paths: skip}, tag: {tags: 'v*', semver: '>=1.0.0'}}, if: event.forced, jobs: [{job_id: f9d6c8466d614a9788e9a0acf6c15f46, target: north, parameters: {a: '', b: '${event.tag}'}, build_type: auto, marker: m, name: 'a job'}], concurrency: newest, report: false"), true},
		"constants": {"vars: {j: " + jobA + ", b: main}\n" + ruleWith("name: a, when: {push: {branches: '${vars.b}'}}, "+
			"description: '${vars.b}', jobs: [{job_id: '${vars.j}', marker: 'm_${vars.b}', name: '${vars.b}'}], report: false"), true},
		"a constant that is a number":       {"vars: {j: 1}\n" + ruleWith("name: a, when: {push: }, jobs: ["+goodJob+"]"), false},
		"a constant without a name":         {"vars: {a-b: x}\n" + ruleWith("name: a, when: {push: }, jobs: ["+goodJob+"]"), false},
		"concurrency as a map":              {ruleWith("name: a, when: {push: }, jobs: [" + goodJob + "], concurrency: {replace: running, max_running: 1, settle: 10s}"), true},
		"a report":                          {sourceRule("report: {context: ci/cart}"), true},
		"a report that is only true":        {sourceRule("report: true"), true},
		"every field of a source":           {sourceWith("provider: gitlab, secrets: [{env: A}, {file: /b}], signing_tokens: [{env: C}], max_body: 10MB, allow_from: [10.0.0.0/8, '::1'], rate_limit: {per_second: 0.5, burst: 3}"), true},
		"a source without secrets":          {sourceWith("provider: gitea, insecure: true, max_body: 4096, allow_from: 10.0.0.1"), true},
		"a secret of Gerrit":                {sourceWith("provider: gerrit, secrets: [{env: A}], allow_from: 192.0.2.1"), true},
		"addresses alone of Gerrit":         {sourceWith("provider: gerrit, allow_from: [192.0.2.1]"), true},
		"addresses alone, of another":       {sourceWith("provider: gitea, allow_from: [192.0.2.1]"), false},
		"nothing of Gerrit":                 {sourceWith("provider: gerrit"), false},
		"basic":                             {sourceWith("provider: azure-devops, basic: [{username: a, password: {env: P}}]"), true},
		"a header of Azure's":               {sourceWith("provider: azure-devops, token_header: X-Token, secrets: [{env: A}]"), true},
		"a header of CodeArts Repo's":       {sourceWith("provider: codearts-repo, token_header: X-Auth-Token, secrets: [{env: A}]"), true},
		"every field of a target":           {targetWith("endpoint: 'http://127.0.0.1:8090/', credentials: {access_key: {env: A}, secret_key: {env: B}, security_token: {file: c}}, rate_limit: {per_second: 5}, timeout: 10s, retry_for: 1d12h, reconcile: {window: 0s, patience: 90s, time_zone: UTC}"), true},
		"an IAM user":                       {targetWith("endpoint: https://a.example, credentials: {iam_user: {domain: d, name: n, project: p, password: {env: P}}, iam_endpoint: https://iam.example}"), true},
		"an IAM user of a region":           {targetWith("region: cn-north-4, credentials: {iam_user: {domain: d, name: n, password: {env: P}}}"), true},
		"a token":                           {targetWith("region: cn-north-4, credentials: {token: {file: /t}}"), true},
		"no version":                        {"rules: []\n", false},
		"a version with a point":            {"version: 1.0\n", true},
		"whole numbers with a point":        {sourceWith("provider: gitea, insecure: true, max_body: 2048.0, rate_limit: {per_second: 2.0, burst: 1.0}"), true},
		"another version":                   {"version: 2\n", false},
		"version as text":                   {"version: '1'\n", false},
		"a list":                            {"- version: 1\n", false},
		"text":                              {"version\n", false},
		"an unknown field":                  {"version: 1\nrule: []\n", false},
		"sources is a list":                 {"version: 1\nsources: []\n", false},
		"sources is empty":                  {"version: 1\nsources:\n", false},
		"rules is a map":                    {"version: 1\nrules: {}\n", false},
		"a source name with a slash":        {"version: 1\nsources: {a/b: {provider: gitea, insecure: true}}\n", false},
		"a source name that is too long":    {"version: 1\nsources: {" + strings.Repeat("a", 65) + ": {provider: gitea, insecure: true}}\n", false},
		"a target name with a space":        {"version: 1\ntargets: {a b: {region: cn-north-4, credentials: {chain: true}}}\n", false},
		"no provider":                       {sourceWith("insecure: true"), false},
		"an unknown provider":               {sourceWith("provider: githb, insecure: true"), false},
		"an unknown field of a source":      {sourceWith("provider: github, insecure: true, secret: x"), false},
		"no secret":                         {sourceWith("provider: github"), false},
		"no secret and not insecure":        {sourceWith("provider: github, insecure: false"), false},
		"insecure with secrets":             {sourceWith("provider: github, insecure: true, secrets: [{env: A}]"), false},
		"insecure as text":                  {sourceWith("provider: github, insecure: 'true'"), false},
		"a literal secret":                  {sourceWith("provider: github, secrets: [hunter2]"), false},
		"secrets that is text":              {sourceWith("provider: github, secrets: hunter2"), false},
		"no element of secrets":             {sourceWith("provider: github, secrets: []"), false},
		"a secret with env and file":        {sourceWith("provider: github, secrets: [{env: A, file: b}]"), false},
		"a secret with neither":             {sourceWith("provider: github, secrets: [{}]"), false},
		"a bad variable name":               {sourceWith("provider: github, secrets: [{env: A-B}]"), false},
		"an empty path":                     {sourceWith("provider: github, secrets: [{file: ''}]"), false},
		"signing tokens of another":         {sourceWith("provider: github, signing_tokens: [{env: A}]"), false},
		"basic of another":                  {sourceWith("provider: github, basic: [{username: a, password: {env: P}}]"), false},
		"basic without a password":          {sourceWith("provider: azure-devops, basic: [{username: a}]"), false},
		"a user name with a colon":          {sourceWith("provider: azure-devops, basic: [{username: 'a:b', password: {env: P}}]"), false},
		"token header of another":           {sourceWith("provider: github, token_header: X-Token, secrets: [{env: A}]"), false},
		"a bad token header":                {sourceWith("provider: codearts-repo, token_header: 'X Token', secrets: [{env: A}]"), false},
		"secrets of Azure without a header": {sourceWith("provider: azure-devops, secrets: [{env: A}]"), false},
		"header of Azure without secrets":   {sourceWith("provider: azure-devops, token_header: X-A, basic: [{username: a, password: {env: P}}]"), false},
		"max_body too small":                {sourceWith("provider: gitea, insecure: true, max_body: 1023"), false},
		"max_body too large":                {sourceWith("provider: gitea, insecure: true, max_body: 104857601"), false},
		"max_body with an odd unit":         {sourceWith("provider: gitea, insecure: true, max_body: 1GiB"), false},
		"max_body with a fraction":          {sourceWith("provider: gitea, insecure: true, max_body: 2048.5"), false},
		"allow_from that is a name":         {sourceWith("provider: gitea, insecure: true, allow_from: [localhost]"), false},
		"allow_from without an element":     {sourceWith("provider: gitea, insecure: true, allow_from: []"), false},
		"a rate without per_second":         {sourceWith("provider: gitea, insecure: true, rate_limit: {burst: 1}"), false},
		"a rate of nothing":                 {sourceWith("provider: gitea, insecure: true, rate_limit: {per_second: 0}"), false},
		"a rate that is a number":           {sourceWith("provider: gitea, insecure: true, rate_limit: 5"), false},
		"a burst of nothing":                {sourceWith("provider: gitea, insecure: true, rate_limit: {per_second: 1, burst: 0}"), false},
		"a burst with a fraction":           {sourceWith("provider: gitea, insecure: true, rate_limit: {per_second: 1, burst: 1.5}"), false},
		"no region":                         {targetWith("credentials: {chain: true}"), false},
		"region and endpoint":               {targetWith("region: cn-north-4, endpoint: https://a.example, credentials: {chain: true}"), false},
		"a region in capitals":              {targetWith("region: CN, credentials: {chain: true}"), false},
		"an endpoint with a path":           {targetWith("endpoint: https://a.example/v3, credentials: {chain: true}"), false},
		"an endpoint with a query":          {targetWith("endpoint: 'https://a.example?x', credentials: {chain: true}"), false},
		"an endpoint with a user":           {targetWith("endpoint: https://u@a.example, credentials: {chain: true}"), false},
		"an endpoint without a scheme":      {targetWith("endpoint: a.example, credentials: {chain: true}"), false},
		"an endpoint of another scheme":     {targetWith("endpoint: ftp://a.example, credentials: {chain: true}"), false},
		"no credentials":                    {targetWith("region: cn-north-4"), false},
		"empty credentials":                 {targetWith("region: cn-north-4, credentials: {}"), false},
		"two kinds of credentials":          {targetWith("region: cn-north-4, credentials: {chain: true, token: {env: T}}"), false},
		"an access key alone":               {targetWith("region: cn-north-4, credentials: {access_key: {env: A}}"), false},
		"a secret key alone":                {targetWith("region: cn-north-4, credentials: {secret_key: {env: A}}"), false},
		"a security token alone":            {targetWith("region: cn-north-4, credentials: {security_token: {env: A}}"), false},
		"a security token with a token":     {targetWith("region: cn-north-4, credentials: {token: {env: T}, security_token: {env: A}}"), false},
		"chain: false":                      {targetWith("region: cn-north-4, credentials: {chain: false}"), false},
		"an IAM endpoint alone":             {targetWith("region: cn-north-4, credentials: {token: {env: T}, iam_endpoint: https://iam.example}"), false},
		"an IAM user without a name":        {targetWith("region: cn-north-4, credentials: {iam_user: {domain: d, password: {env: P}}}"), false},
		"an IAM user without IAM":           {targetWith("endpoint: https://a.example, credentials: {iam_user: {domain: d, name: n, project: p, password: {env: P}}}"), false},
		"an IAM user without a project":     {targetWith("endpoint: https://a.example, credentials: {iam_user: {domain: d, name: n, password: {env: P}}, iam_endpoint: https://iam.example}"), false},
		"a literal password":                {targetWith("region: cn-north-4, credentials: {iam_user: {domain: d, name: n, password: x}}"), false},
		"a timeout without a unit":          {targetWith("region: cn-north-4, credentials: {chain: true}, timeout: 30"), false},
		"a timeout that is a word":          {targetWith("region: cn-north-4, credentials: {chain: true}, timeout: soon"), false},
		"a negative window":                 {targetWith("region: cn-north-4, credentials: {chain: true}, reconcile: {window: -5m}"), false},
		"an unknown field of reconcile":     {targetWith("region: cn-north-4, credentials: {chain: true}, reconcile: {after: 5m}"), false},
		"no name":                           {ruleWith("when: {push: }, jobs: [" + goodJob + "]"), false},
		"an empty name":                     {ruleWith("name: '', when: {push: }, jobs: [" + goodJob + "]"), false},
		"a name with a line break":          {ruleWith(`name: "a\nb", when: {push: }, jobs: [` + goodJob + "]"), false},
		"a name with spaces around":         {ruleWith("name: ' a ', when: {push: }, jobs: [" + goodJob + "]"), false},
		"a name that is too long":           {ruleWith("name: " + strings.Repeat("é", 129) + ", when: {push: }, jobs: [" + goodJob + "]"), false},
		"a name that is a number":           {ruleWith("name: 12, when: {push: }, jobs: [" + goodJob + "]"), false},
		"no when":                           {ruleWith("name: a, jobs: [" + goodJob + "]"), false},
		"an empty when":                     {ruleWith("name: a, when: {}, jobs: [" + goodJob + "]"), false},
		"when is text":                      {ruleWith("name: a, when: push, jobs: [" + goodJob + "]"), false},
		"on instead of when":                {ruleWith("name: a, 'on': {push: }, when: {push: }, jobs: [" + goodJob + "]"), false},
		"an unknown kind":                   {ruleWith("name: a, when: {pull: }, jobs: [" + goodJob + "]"), false},
		"push is text":                      {ruleWith("name: a, when: {push: main}, jobs: [" + goodJob + "]"), false},
		"no branch in the list":             {ruleWith("name: a, when: {push: {branches: []}}, jobs: [" + goodJob + "]"), false},
		"a branch that is a number":         {ruleWith("name: a, when: {push: {branches: [1.0]}}, jobs: [" + goodJob + "]"), false},
		"an empty branch":                   {ruleWith("name: a, when: {push: {branches: ''}}, jobs: [" + goodJob + "]"), false},
		"an unknown unknown_paths":          {ruleWith("name: a, when: {push: {paths: a, unknown_paths: run}}, jobs: [" + goodJob + "]"), false},
		"branches of a tag":                 {ruleWith("name: a, when: {tag: {branches: main}}, jobs: [" + goodJob + "]"), false},
		"an empty condition":                {ruleWith("name: a, when: {push: }, if: '', jobs: [" + goodJob + "]"), false},
		"a condition that is a boolean":     {ruleWith("name: a, when: {push: }, if: true, jobs: [" + goodJob + "]"), false},
		"no jobs":                           {ruleWith("name: a, when: {push: }"), false},
		"no job in the list":                {ruleWith("name: a, when: {push: }, jobs: []"), false},
		"jobs is a map":                     {ruleWith("name: a, when: {push: }, jobs: " + goodJob), false},
		"no job id":                         {ruleWith("name: a, when: {push: }, jobs: [{target: north}]"), false},
		"a short job id":                    {ruleWith("name: a, when: {push: }, jobs: [{job_id: f9d6}]"), false},
		"a job id in capitals":              {ruleWith("name: a, when: {push: }, jobs: [{job_id: F9D6C8466D614A9788E9A0ACF6C15F46}]"), false},
		"an unknown field of a job":         {jobWith("parameter: {}"), false},
		"parameters is a list":              {jobWith("parameters: [a]"), false},
		"a parameter that is a number":      {jobWith("parameters: {a: 1}"), false},
		"a parameter that leaves one out":   {"defaults: {parameters: {a: x}}\n" + jobWith("parameters: {a: }"), true},
		"a default that is null":            {"defaults: {parameters: {a: }}\n" + jobWith("parameters: {}"), false},
		"every default": {"defaults: {source: github, repository: 'acme/*', unknown_paths: skip, skip_marks: true, if: event.forced, target: north, " +
			"parameters: {a: x}, build_type: auto, marker: m, concurrency: {settle: 10s}, once: commit, report: false, owner: carts}\n" + jobWith("parameters: {}"), true},
		"for each":                           {ruleWith("name: a, for_each: {repository: {acme/a: {job: " + jobA + ", b: ''}, acme/b: {job: " + jobB + ", b: x}}}, when: {push: }, jobs: [{job_id: '${each.job}', name: 'a${each.b}'}]"), true},
		"for each without a repository":      {ruleWith("name: a, for_each: {}, when: {push: }, jobs: [" + goodJob + "]"), false},
		"for each of no repository":          {ruleWith("name: a, for_each: {repository: {}}, when: {push: }, jobs: [" + goodJob + "]"), false},
		"for each of a list":                 {ruleWith("name: a, for_each: {repository: [acme/a]}, when: {push: }, jobs: [" + goodJob + "]"), false},
		"for each with a name that is none":  {ruleWith("name: a, for_each: {repository: {acme/a: {a-b: x}}}, when: {push: }, jobs: [" + goodJob + "]"), false},
		"for each beside a repository":       {ruleWith("name: a, repository: acme/a, for_each: {repository: {acme/a: {b: x}}}, when: {push: }, jobs: [" + goodJob + "]"), false},
		"jobs as a default":                  {"defaults: {jobs: [" + goodJob + "]}\n" + jobWith("parameters: {}"), false},
		"no concurrency":                     {ruleWith("name: a, when: {push: }, jobs: [" + goodJob + "], concurrency: none, once: never"), true},
		"a parameter that is a list":         {jobWith("parameters: {a: [b]}"), false},
		"a parameter name with a hyphen":     {jobWith("parameters: {a-b: c}"), false},
		"a parameter name that is too long":  {jobWith("parameters: {" + strings.Repeat("a", 129) + ": c}"), false},
		"a forbidden parameter":              {jobWith("parameters: {LD_PRELOAD: c}"), false},
		"a predefined parameter":             {jobWith("parameters: {COMMIT_ID: c}"), false},
		"an unknown build type":              {jobWith("build_type: tag"), false},
		"a marker with a hyphen":             {jobWith("marker: a-b"), false},
		"a predefined marker":                {jobWith("marker: WORKSPACE"), false},
		"a concurrency that is empty":        {ruleWith("name: a, when: {push: }, jobs: [" + goodJob + "], concurrency: {}"), false},
		"a concurrency that is null":         {ruleWith("name: a, when: {push: }, jobs: [" + goodJob + "], concurrency: "), false},
		"a concurrency that is a list":       {ruleWith("name: a, when: {push: }, jobs: [" + goodJob + "], concurrency: [newest]"), false},
		"an unknown field of a concurrency":  {ruleWith("name: a, when: {push: }, jobs: [" + goodJob + "], concurrency: {max: 1}"), false},
		"an unknown replace":                 {ruleWith("name: a, when: {push: }, jobs: [" + goodJob + "], concurrency: {replace: newest}"), false},
		"no build may run":                   {ruleWith("name: a, when: {push: }, jobs: [" + goodJob + "], concurrency: {max_running: 0}"), false},
		"a settle without a unit":            {ruleWith("name: a, when: {push: }, jobs: [" + goodJob + "], concurrency: {settle: 10}"), false},
		"a report that is text":              {sourceRule("report: ci/cart"), false},
		"a report that is empty":             {sourceRule("report: {}"), false},
		"a report without a context":         {sourceRule("report: {context: }"), false},
		"a context with a space at its end":  {sourceRule("report: {context: 'a '}"), false},
		"a context with a slash at its end":  {sourceRule("report: {context: ci/}"), false},
		"a context that is a slash":          {sourceRule("report: {context: /}"), false},
		"a context with slashes inside":      {sourceRule("report: {context: ci/a//b}"), true},
		"a context that is too long":         {sourceRule("report: {context: " + strings.Repeat("a", 256) + "}"), false},
		"a job name that is too long":        {jobWith("name: " + strings.Repeat("a", 65)), false},
		"a job name that is empty":           {jobWith("name: ''"), false},
		"an api":                             {sourceWith("provider: github, insecure: true, api: {token: {env: T}, username: bot, url: 'https://git.example.com:8443/sub/'}, report: true"), true},
		"an api of one's own server":         {sourceWith("provider: gogs, insecure: true, api: {token: {file: t}, url: https://git.example.com}, report: false"), true},
		"an api without a url of its own":    {sourceWith("provider: gitea, insecure: true, api: {token: {env: T}}"), false},
		"an api without a token":             {sourceWith("provider: github, insecure: true, api: {url: https://git.example.com}"), false},
		"an api with a literal token":        {sourceWith("provider: github, insecure: true, api: {token: x}"), false},
		"an api with a query":                {sourceWith("provider: github, insecure: true, api: {token: {env: T}, url: 'https://git.example.com?a=b'}"), false},
		"an api with a user in its url":      {sourceWith("provider: github, insecure: true, api: {token: {env: T}, url: 'https://a@git.example.com'}"), false},
		"an unknown field of an api":         {sourceWith("provider: github, insecure: true, api: {token: {env: T}, key: a}"), false},
		"a report without an api":            {sourceWith("provider: github, insecure: true, report: true"), false},
		"no report without an api":           {sourceWith("provider: github, insecure: true, report: false"), true},
		"catch_up":                           {sourceWith("provider: github, insecure: true, api: {token: {env: T}}, catch_up: {every: 15m, missed: build}"), true},
		"catch_up by default":                {sourceWith("provider: github, insecure: true, api: {token: {env: T}}, catch_up: {}"), true},
		"catch_up without an api":            {sourceWith("provider: github, insecure: true, catch_up: {every: 15m}"), false},
		"catch_up that is true":              {sourceWith("provider: github, insecure: true, api: {token: {env: T}}, catch_up: true"), false},
		"an unknown missed":                  {sourceWith("provider: github, insecure: true, api: {token: {env: T}}, catch_up: {missed: notify}"), false},
		"an unknown field of catch_up":       {sourceWith("provider: github, insecure: true, api: {token: {env: T}}, catch_up: {after: 15m}"), false},
		"a rule that is paused":              {ruleWith("name: a, when: {push: }, jobs: [" + goodJob + "], paused: until the freeze ends"), true},
		"paused without a reason":            {ruleWith("name: a, when: {push: }, jobs: [" + goodJob + "], paused: true"), false},
		"paused by the text true":            {ruleWith("name: a, when: {push: }, jobs: [" + goodJob + "], paused: 'true'"), false},
		"paused by nothing":                  {ruleWith("name: a, when: {push: }, jobs: [" + goodJob + "], paused: "), false},
		"a reason with a line break":         {ruleWith(`name: a, when: {push: }, jobs: [` + goodJob + `], paused: "a\nb"`), false},
		"a reason that is too long":          {ruleWith("name: a, when: {push: }, jobs: [" + goodJob + "], paused: " + strings.Repeat("a", 201)), false},
		"an api of CodeArts Repo":            {sourceWith("provider: codearts-repo, insecure: true, api: {token: {env: T}, url: https://codehub.example}"), true},
		"an api of no region":                {sourceWith("provider: codearts-repo, insecure: true, api: {token: {env: T}}"), false},
		"a report of Gogs":                   {sourceWith("provider: gogs, insecure: true, api: {token: {env: T}, url: https://git.example.com}, report: true"), false},
		"a report of GitCode":                {sourceWith("provider: gitcode, insecure: true, api: {token: {env: T}}, report: true"), false},
		"an api of GitCode":                  {sourceWith("provider: gitcode, signing_tokens: [{env: A}], api: {token: {env: T}}"), true},
		"a report of CodeArts Repo":          {sourceWith("provider: codearts-repo, insecure: true, api: {token: {env: T}, url: https://codehub.example}, report: true"), false},
		"a report of a source as a map":      {sourceWith("provider: github, insecure: true, api: {token: {env: T}}, report: {context: a}"), false},
		"a console":                          {targetWith("region: cn-north-4, credentials: {chain: true}, follow: false, console_url: 'https://a.example/{job_id}'"), true},
		"a console without a scheme":         {targetWith("region: cn-north-4, credentials: {chain: true}, console_url: 'a.example/{job_id}'"), false},
		"a console that is too long":         {targetWith("region: cn-north-4, credentials: {chain: true}, console_url: 'https://a.example/" + strings.Repeat("a", 2048) + "'"), false},
		"follow as text":                     {targetWith("region: cn-north-4, credentials: {chain: true}, follow: 'no'"), false},
		"a pipeline":                         {pipelineWith("variables: {A: '${event.commit}'}, choose_stages: [a], pin_commit: true, sources: [{git_type: github, branch: main}, {}], marker: B"), true},
		"a pipeline without sources":         {pipelineWith("sources: []"), true},
		"a pipeline and a job":               {pipelineWith("job_id: " + jobA), false},
		"a pipeline with parameters":         {pipelineWith("parameters: {A: b}"), false},
		"a pipeline with a build type":       {pipelineWith("build_type: auto"), false},
		"a pipeline with a reserved name":    {pipelineWith("variables: {MERGE_ID: b}"), false},
		"a source with branch and tag":       {pipelineWith("sources: [{branch: main, tag: v1}]"), false},
		"a pipeline without a project":       {ruleWith("name: a, when: {push: }, jobs: [{pipeline_id: " + pipelineA + "}]"), false},
		"a job with a project":               {jobWith("project_id: " + projectA), false},
		"a job with variables":               {jobWith("variables: {A: b}"), false},
		"neither a job nor a pipeline":       {ruleWith("name: a, when: {push: }, jobs: [{name: x}]"), false},
		"a job with scm":                     {jobWith("scm: {branch: auto, repo_id: '21', url: 'https://a.example/b.git'}"), true},
		"a job with an empty scm":            {jobWith("scm: {}"), false},
		"an unknown concurrency":             {ruleWith("name: a, when: {push: }, jobs: [" + goodJob + "], concurrency: oldest"), false},
		"a source that is a map":             {ruleWith("name: a, source: {github: }, when: {push: }, jobs: [" + goodJob + "]"), false},
		"no source in the list":              {ruleWith("name: a, source: [], when: {push: }, jobs: [" + goodJob + "]"), false},
		"a constraint that is a number":      {ruleWith("name: a, when: {tag: {semver: 2}}, jobs: [" + goodJob + "]"), false},
		"a repository in a list in the list": {ruleWith("name: a, repository: [[acme/shop]], when: {push: }, jobs: [" + goodJob + "]"), false},
	}
	schema := compileSchema(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, _, err := Parse(testProviders, File{Name: "rules.yaml", Data: []byte(test.document)})
			if (err == nil) != test.sound {
				t.Errorf("loader: %v, want sound: %v\n%s", err, test.sound, test.document)
			}
			if err := schema.Validate(schemagen.Decode(t, test.document)); (err == nil) != test.sound {
				t.Errorf("schema: %v, want sound: %v\n%s", err, test.sound, test.document)
			}
		})
	}
}

// TestSchemaPointsInside checks that a fault below push or tag is shown at its
// own place, and not as one of several things that push could be instead.
func TestSchemaPointsInside(t *testing.T) {
	schema := compileSchema(t)
	for name, test := range map[string]struct{ when, want string }{
		"an unknown field":         {"push: {branchs: main}", "/rules/0/when/push"}, // and names it
		"an unknown unknown_paths": {"push: {unknown_paths: run}", "/rules/0/when/push/unknown_paths"},
		"a constraint that is one": {"tag: {semver: 2}", "/rules/0/when/tag/semver"},
		"text":                     {"tag: v1", "/rules/0/when/tag"},
	} {
		t.Run(name, func(t *testing.T) {
			err := schema.Validate(schemagen.Decode(t, ruleWith("name: a, when: {"+test.when+"}, jobs: ["+goodJob+"]")))
			invalid, ok := errors.AsType[*jsonschema.ValidationError](err)
			if !ok {
				t.Fatalf("it is taken: %v", err)
			}
			for len(invalid.Causes) == 1 {
				invalid = invalid.Causes[0]
			}
			if got := "/" + strings.Join(invalid.InstanceLocation, "/"); got != test.want || len(invalid.Causes) > 0 {
				t.Errorf("the fault is at %s, want %s: %v", got, test.want, err)
			}
		})
	}
}

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	return schemagen.Compile(t, text)
}
