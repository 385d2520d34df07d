package doctor

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"buildbridge/trigger/codearts/codeartstest"
)

// rulesOf has a rule for each of n jobs of a target.
func rulesOf(url string, n int, timeout time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "version: 1\nsources: {hub: {provider: github, insecure: true}}\n"+
		"targets: {north: {endpoint: '%s', credentials: {access_key: {env: DOCTOR_AK}, secret_key: {env: DOCTOR_SK}}, timeout: %v}}\nrules:\n", url, timeout)
	for i := range n {
		fmt.Fprintf(&b, "  - {name: r%[1]d, repository: acme/r%[1]d, when: {push: {}}, jobs: [{job_id: a%031[2]x, parameters: {codeBranch: x}}]}\n", i, i+1)
	}
	return b.String()
}

func key(t *testing.T) []codeartstest.Key {
	t.Setenv("DOCTOR_AK", "AK")
	t.Setenv("DOCTOR_SK", "SK")
	return []codeartstest.Key{{AccessKey: "AK", SecretKey: "SK"}}
}

func TestTarget(t *testing.T) {
	const head = `target "north": job ` + jobID
	declared := []codeartstest.JobParameter{{Name: "codeBranch"}, {Name: "BRIDGE"}}
	for name, test := range map[string]struct {
		job   codeartstest.Job
		fault codeartstest.Fault
		ahead time.Duration // the service's clock
		rule  string
		want  string // a part of what is found
		fails bool
		blind bool // nor may it ask whether the job is disabled
	}{
		"well":              {job: codeartstest.Job{Name: "cart build", Parameters: declared}, want: head + " (cart build) of cart: ok: the job exists, and the credentials may read it, at "},
		"its clock":         {want: `target "north": ok: the clocks of the service and of this machine agree`},
		"disabled":          {job: codeartstest.Job{Disabled: true}, want: "of cart: FAILED: the job is disabled by person, and starts nothing: enable it in the console", fails: true},
		"disabled, and why": {job: codeartstest.Job{Disabled: true, DisabledReason: "moved"}, want: `FAILED: the job is disabled by person ("moved"), and starts`, fails: true},
		"disabled, and no more": {
			job: codeartstest.Job{Disabled: true}, fault: codeartstest.Fault{Path: codeartstest.PathJobDisabled, Status: 403},
			want: "of cart: FAILED: the job is disabled, and starts nothing: enable it in the console", fails: true,
		},
		"may not run":   {job: codeartstest.Job{NoRun: true}, want: "of cart: FAILED: the credentials may see the job, and not start it", fails: true},
		"not declared":  {job: codeartstest.Job{Parameters: declared[:1]}, want: `of cart: warning: rule "cart" sends BRIDGE, which the job does not declare`},
		"declares none": {job: codeartstest.Job{Parameters: []codeartstest.JobParameter{}}, want: `sends codeBranch, BRIDGE, which the job does not declare`},
		"needs one":     {job: codeartstest.Job{Parameters: append(declared, codeartstest.JobParameter{Name: "version", Required: true})}, want: `rule "cart" does not send version, which the job needs`},
		"builds a tag":  {job: codeartstest.Job{BuildType: "tag"}, want: `rule "cart" sends no build type, and the job is set to build a tag`},
		"clock behind":  {ahead: 7 * time.Minute, want: `target "north": FAILED: the clock of this machine is 7m0s behind that of the service`, fails: true},
		"clock ahead":   {ahead: -7 * time.Minute, want: `target "north": FAILED: the clock of this machine is 7m0s ahead of that of the service`, fails: true},
		"clock too far": {ahead: time.Hour, want: "FAILED: list records: clock off (401 APIGW.0303", fails: true},
		"no info":       {fault: codeartstest.Fault{Path: codeartstest.PathJobInfo, Status: 404, Code: "APIGW.0101"}, want: "; whether it is disabled cannot be seen: the service answers 404 APIGW.0101", blind: true},
		"disabled, by the other call": {
			job: codeartstest.Job{Disabled: true}, fault: codeartstest.Fault{Path: codeartstest.PathJobInfo, Status: 403},
			want: "of cart: FAILED: the job is disabled by person", fails: true,
		},
		"no configuration":  {fault: codeartstest.Fault{Path: codeartstest.PathJobConfig, Status: 403}, want: "; which parameters it declares cannot be seen: the service answers 403"},
		"no such job":       {fault: codeartstest.Fault{Path: codeartstest.PathList, Status: 404, Code: "CB.00031006"}, want: "of cart: FAILED: list records: no such job (404 CB.00031006", fails: true},
		"throttled, once":   {fault: codeartstest.Fault{Path: codeartstest.PathList, Status: 429, RetryAfter: 1, Times: 1}, want: "of cart: ok: the job exists"},
		"its secret":        {rule: "secret", want: `target "north": FAILED: credentials.secret_key: environment variable DOCTOR_SK is empty`, fails: true},
		"white space":       {rule: "blank", want: `of cart: warning: credentials.secret_key: environment variable DOCTOR_SK ends in white space`},
		"byte order mark":   {rule: "mark", want: `of cart: warning: credentials.secret_key: environment variable DOCTOR_SK begins with a byte order mark`, fails: true},
		"used by no rule":   {rule: "unused", want: `target "north": not asked: no rule uses it; its secrets can be read`},
		"with a build type": {job: codeartstest.Job{BuildType: "tag"}, rule: "type", want: "of cart: ok: the job exists"},
	} {
		t.Run(name, func(t *testing.T) {
			options := codeartstest.Options{Keys: key(t), Now: func() time.Time { return time.Now().Add(test.ahead) }}
			switch test.rule {
			case "secret":
				t.Setenv("DOCTOR_SK", "")
			case "blank":
				t.Setenv("DOCTOR_SK", "SK ")
			case "mark":
				t.Setenv("DOCTOR_SK", "\ufeffSK")
			}
			server := codeartstest.NewServer(options)
			defer server.Close()
			test.job.JobID = jobID
			if err := server.SetJob(test.job); err != nil {
				t.Fatal(err)
			}
			if test.fault.Status != 0 {
				if err := server.AddFault(test.fault); err != nil {
					t.Fatal(err)
				}
			}
			if test.blind {
				if err := server.AddFault(codeartstest.Fault{Path: codeartstest.PathJobDisabled, Status: 403}); err != nil {
					t.Fatal(err)
				}
			}
			text := rulesOf(server.URL, 0, time.Minute)
			switch test.rule {
			case "unused":
				text = strings.TrimSuffix(text, "rules:\n")
			case "type":
				text += "  - {name: cart, repository: acme/shop, when: {push: {}}, jobs: [{job_id: " + jobID + ", build_type: auto}]}\n"
			default:
				text += "  - {name: cart, repository: acme/shop, when: {push: {}}, jobs: [{job_id: " + jobID + ", parameters: {codeBranch: x}, marker: BRIDGE}]}\n"
			}
			got := run(t, &Doctor{Rules: load(t, text), Targets: []string{"north"}})
			if !strings.Contains(got.String(), test.want) {
				t.Errorf("found:\n%s\nwant %s", got, test.want)
			}
			failed := false
			for _, f := range got {
				failed = failed || !f.OK
			}
			if failed != test.fails {
				t.Errorf("failed: %v, want %v:\n%s", failed, test.fails, got)
			}
			if (name == "well" || name == "with a build type") && strings.Contains(got.String(), "warning") {
				t.Errorf("found:\n%s", got)
			}
		})
	}
}

// Wrong credentials are tried once, however many jobs there are.
func TestTargetRefused(t *testing.T) {
	server := codeartstest.NewServer(codeartstest.Options{Keys: key(t)})
	defer server.Close()
	t.Setenv("DOCTOR_SK", "wrong")
	got := run(t, &Doctor{Rules: load(t, rulesOf(server.URL, 200, time.Minute)), Targets: []string{"north"}})
	if n := server.Requests(""); n != 1 {
		t.Errorf("%d requests", n)
	}
	if len(got) != 2 || !strings.Contains(got.String(), "FAILED: list records: credentials refused (401 APIGW.0301") ||
		!strings.HasSuffix(got.String(), `target "north": not asked: 199 more jobs: they would fail alike`) {
		t.Errorf("found:\n%s", got)
	}
}

// A service that gives no answer is given up.
func TestTargetSilent(t *testing.T) {
	server := codeartstest.NewServer(codeartstest.Options{Keys: key(t)})
	defer server.Close()
	if err := server.AddFault(codeartstest.Fault{Delay: time.Minute}); err != nil {
		t.Fatal(err)
	}
	got := run(t, &Doctor{Rules: load(t, rulesOf(server.URL, 200, 100*time.Millisecond)), Targets: []string{"north"}})
	if len(got) != 4 || !strings.HasSuffix(got.String(), `target "north": not asked: 197 more jobs: there was no answer to the last 3 questions`) {
		t.Errorf("found:\n%s", got)
	}
	if n := server.Requests(""); n > 3+2*atOnce {
		t.Errorf("%d requests", n)
	}
}

// While a job is waited for, it is told at least every two seconds how many are done.
func TestTargetProgress(t *testing.T) {
	server := codeartstest.NewServer(codeartstest.Options{Keys: key(t)})
	defer server.Close()
	second := fmt.Sprintf("a%031x", 2)
	// The second is slower: what is known of others is counted meanwhile.
	if err := server.AddFault(codeartstest.Fault{JobID: second, Delay: 8 * time.Second, Times: 1}); err != nil {
		t.Fatal(err)
	}
	if err := server.AddFault(codeartstest.Fault{Delay: 30 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	jobs, counted := 0, 0
	d := &Doctor{
		Rules: load(t, rulesOf(server.URL, 200, time.Minute)), Targets: []string{"north"},
		Tell: func(f Finding) {
			if f.JobID != "" && f.OK {
				jobs++
			}
			if f.JobID == second && counted < 3 {
				t.Errorf("it was counted %d times in 8 s, want once in two", counted)
			}
		},
		Count: func(what string, done, of int) {
			counted++
			if what != `target "north": jobs` || of != 200 || done > of {
				t.Errorf("%s: %d of %d", what, done, of)
			}
		},
	}
	d.Run(t.Context())
	if jobs != 200 {
		t.Errorf("%d jobs are well", jobs)
	}
}
