package chart

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"buildbridge/cmd/internal/e2e/program"
)

const (
	chart = "../../../../charts/buildbridge"
	// A helm that was not made by its release says that it speaks to Kubernetes 1.20.
	kubeVersion = "1.37.2"
)

// tool finds a program in the folders that `make chart` names.
func tool(t *testing.T, name string) string {
	t.Helper()
	folders := os.Getenv("BUILDBRIDGE_CHART_TOOLS")
	if folders == "" {
		t.Skip("needs helm and other tools: make chart")
	}
	for _, folder := range filepath.SplitList(folders) {
		if path, err := exec.LookPath(filepath.Join(folder, name)); err == nil {
			return path
		}
	}
	t.Fatalf("%s is in none of %s", name, folders)
	return ""
}

// run runs a program and returns its standard output. The error has the rest.
func run(t *testing.T, program string, args ...string) ([]byte, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = errors.New(err.Error() + "\n" + string(out) + stderr.String())
	}
	return out, err
}

// must is run for a program that must succeed.
func must(t *testing.T, program string, args ...string) []byte {
	t.Helper()
	out, err := run(t, program, args...)
	if err != nil {
		t.Fatalf("%s %s: %v", filepath.Base(program), strings.Join(args, " "), err)
	}
	return out
}

func render(t *testing.T, args ...string) ([]byte, error) {
	t.Helper()
	return run(t, tool(t, "helm"), append([]string{"template", "x", chart, "--namespace", "builds", "--kube-version", kubeVersion}, args...)...)
}

// object is a manifest.
type object map[string]any

func (o object) kind() string { return o["kind"].(string) }

func (o object) name() string { return at(map[string]any(o), "metadata", "name").(string) }

// at follows keys; nil if there is nothing.
func at(value any, keys ...string) any {
	for _, key := range keys {
		m, _ := value.(map[string]any)
		if value = m[key]; value == nil {
			return nil
		}
	}
	return value
}

func decode(t *testing.T, manifests []byte) []object {
	t.Helper()
	var all []object
	for d := yaml.NewDecoder(bytes.NewReader(manifests)); ; {
		var o object
		switch err := d.Decode(&o); {
		case errors.Is(err, io.EOF):
			return all
		case err != nil:
			t.Fatal(err)
		case o != nil:
			all = append(all, o)
		}
	}
}

// modes returns the files of ci/: one for each way to run the chart.
func modes(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(chart + "/ci/*-values.yaml")
	if err != nil || len(files) < 6 {
		t.Fatalf("%d files in ci: %v", len(files), err)
	}
	all := map[string]string{}
	for _, f := range files {
		all[strings.TrimSuffix(filepath.Base(f), "-values.yaml")] = f
	}
	return all
}

func TestModes(t *testing.T) {
	helm, kubeconform := tool(t, "helm"), tool(t, "kubeconform")
	schemas := writeSchemas(t, tool(t, "controller-gen"))
	binary, err := program.Build(t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	for name, values := range modes(t) {
		t.Run(name, func(t *testing.T) {
			must(t, helm, "lint", "--strict", chart, "--values", values)
			manifests, err := render(t, "--values", values)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "manifests.yaml")
			if err := os.WriteFile(file, manifests, 0o600); err != nil {
				t.Fatal(err)
			}
			must(t, kubeconform, "-strict", "-schema-location", schemas+"/{{.ResourceKind}}{{.KindSuffix}}.json", file)
			v := read(t, values)
			pods, tests, backups, rules := 0, 0, 0, 0
			for _, o := range decode(t, manifests) {
				kinds[o.kind()] = true
				if spec := podSpec(o); spec != nil {
					pods++
					for _, fault := range restricted(spec) {
						t.Errorf("%s: not restricted: %s", o.kind(), fault)
					}
					understood(t, binary, spec)
				}
				if containers, _ := at(map[string]any(o), "spec", "containers").([]any); o.kind() == "Pod" {
					tests++
					if len(containers) != 1 {
						t.Errorf("%s has %d containers: helm test --logs would not know which to ask", o.name(), len(containers))
					}
				}
				if o.kind() == "CronJob" {
					backups++
				}
				if o.kind() == "ConfigMap" && strings.HasSuffix(o.name(), "-rules") {
					rules++
					accepted(t, binary, o["data"].(map[string]any))
				}
				if o.kind() != "Secret" {
					v.absent(t, o)
				}
			}
			wantTests := 2 // of the rules and of the admin API
			if v.Rules.Volume != nil {
				wantTests = 1
			}
			if pods != 1+tests+backups || tests != wantTests {
				t.Errorf("%d pods, of them %d tests and %d backups, want the bridge and %d tests", pods, tests, backups, wantTests)
			}
			// Rules of the chart's own exist where the values do not bring others.
			if brought := v.Rules.ExistingConfigMap != "" || v.Rules.Volume != nil; (rules == 0) != brought {
				t.Errorf("%d ConfigMaps with rules, and rules of others: %v", rules, brought)
			}
		})
	}
	// Whatever the chart can make is checked in one of the modes.
	want := []string{
		"ConfigMap", "CronJob", "Deployment", "HTTPRoute", "HorizontalPodAutoscaler", "Ingress", "NetworkPolicy", "PersistentVolumeClaim", "Pod",
		"PodDisruptionBudget", "PodMonitor", "Secret", "Service", "ServiceAccount", "ServiceMonitor", "StatefulSet",
	}
	if alerts, _ := filepath.Glob(chart + "/alerts/*.yaml"); len(alerts) > 0 {
		want = append(want, "PrometheusRule")
	}
	for _, kind := range want {
		if !kinds[kind] {
			t.Errorf("no mode makes a %s", kind)
		}
	}
}

// chartValues is what the checks need to know of a values file.
type chartValues struct {
	Rules struct {
		ExistingConfigMap string         `yaml:"existingConfigMap"`
		Volume            map[string]any `yaml:"volume"`
	} `yaml:"rules"`
	Secrets struct {
		Env   map[string]string `yaml:"env"`
		Files map[string]string `yaml:"files"`
	} `yaml:"secrets"`
}

func read(t *testing.T, values string) (v chartValues) {
	t.Helper()
	text, err := os.ReadFile(values)
	if err == nil {
		err = yaml.Unmarshal(text, &v)
	}
	if err != nil {
		t.Fatalf("%s: %v", values, err)
	}
	return v
}

// absent checks that no secret of the values is in an object, as it is or in base64.
func (v *chartValues) absent(t *testing.T, o object) {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, secrets := range []map[string]string{v.Secrets.Env, v.Secrets.Files} {
		for name, secret := range secrets {
			if bytes.Contains(text, []byte(secret)) || bytes.Contains(text, []byte(base64.StdEncoding.EncodeToString([]byte(secret)))) {
				t.Errorf("%s %s holds the secret %s", o.kind(), o.name(), name)
			}
		}
	}
}

// accepted runs `buildbridge check` over rules.
func accepted(t *testing.T, program string, files map[string]any) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text.(string)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	must(t, program, "check", "--rules", dir)
}

// understood checks that the program knows the arguments of a pod's first container: of a
// command line that is wrong at its end alone, it names the end.
func understood(t *testing.T, program string, spec map[string]any) {
	t.Helper()
	var args []string
	for _, arg := range at(spec["containers"].([]any)[0], "args").([]any) {
		args = append(args, arg.(string))
	}
	if _, err := run(t, program, append(args, "--no-such-flag")...); err == nil || !strings.Contains(err.Error(), "unknown flag --no-such-flag") {
		t.Errorf("buildbridge %s: %v", strings.Join(args, " "), err)
	}
}

// podSpec returns the pod of a manifest, nil if it makes none.
func podSpec(o object) map[string]any {
	var spec any
	switch o.kind() {
	case "Pod":
		spec = o["spec"]
	case "Deployment", "StatefulSet":
		spec = at(map[string]any(o), "spec", "template", "spec")
	case "CronJob":
		spec = at(map[string]any(o), "spec", "jobTemplate", "spec", "template", "spec")
	}
	m, _ := spec.(map[string]any)
	return m
}

// restricted lists where a pod violates the restricted Pod Security Standard, and what else
// this chart promises
// (https://kubernetes.io/docs/concepts/security/pod-security-standards/).
func restricted(spec map[string]any) (faults []string) {
	want := func(value any, what string, keys ...string) {
		if got := at(spec, keys...); got != value {
			faults = append(faults, what)
		}
	}
	for _, field := range []string{"hostNetwork", "hostPID", "hostIPC", "hostUsers"} {
		want(nil, field, field)
	}
	want(true, "runAsNonRoot", "securityContext", "runAsNonRoot")
	want(uint64(65532), "runAsUser", "securityContext", "runAsUser")
	want("RuntimeDefault", "seccompProfile", "securityContext", "seccompProfile", "type")
	want(false, "a token of the service account", "automountServiceAccountToken")
	volumes, _ := spec["volumes"].([]any)
	for _, v := range volumes {
		for kind := range v.(map[string]any) {
			if !slices.Contains([]string{"name", "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}, kind) {
				faults = append(faults, "a volume of kind "+kind)
			}
		}
	}
	containers, _ := spec["containers"].([]any)
	inits, _ := spec["initContainers"].([]any)
	for _, c := range append(containers, inits...) {
		name := at(c, "name").(string)
		for _, o := range []struct {
			field string
			want  any
		}{{"allowPrivilegeEscalation", false}, {"readOnlyRootFilesystem", true}, {"privileged", nil}, {"procMount", nil}, {"runAsUser", nil}, {"runAsNonRoot", nil}, {"seccompProfile", nil}} {
			if at(c, "securityContext", o.field) != o.want {
				faults = append(faults, name+": "+o.field)
			}
		}
		if diff := cmp.Diff(map[string]any{"drop": []any{"ALL"}}, at(c, "securityContext", "capabilities")); diff != "" {
			faults = append(faults, name+": capabilities "+diff)
		}
		ports, _ := at(c, "ports").([]any)
		for _, p := range ports {
			if at(p, "hostPort") != nil {
				faults = append(faults, name+": hostPort")
			}
		}
	}
	if len(containers) == 0 {
		faults = append(faults, "no containers")
	}
	return faults
}

// Values that lose data, start builds twice, show a secret or have no effect are refused,
// with a text that says why.
func TestRefused(t *testing.T) {
	const postgres = "database.type=postgres,database.url=postgres://u@h/d"
	for name, test := range map[string]struct{ set, want string }{
		"two pods on SQLite":                      {"replicas=2", "replicas: a SQLite database belongs to one pod"},
		"autoscaling on SQLite":                   {"autoscaling.enabled=true", "autoscaling.enabled: a SQLite database belongs to one pod"},
		"a URL for SQLite":                        {"database.url=postgres://u@h/d", "Set database.type to postgres too"},
		"a claim that is not used":                {"persistence.ephemeral=true,persistence.existingClaim=c", "ephemeral and existingClaim exclude each other"},
		"no persistence by another name":          {"persistence.enabled=false", "at '/persistence': additional properties 'enabled' not allowed"},
		"a volume of a network file system":       {"persistence.accessModes={ReadWriteMany}", "at '/persistence/accessModes/0'"},
		"PostgreSQL nowhere":                      {"database.type=postgres", "where is the PostgreSQL?"},
		"PostgreSQL twice":                        {postgres + ",database.urlSecret.name=s", "url and urlSecret exclude each other"},
		"a backup of PostgreSQL":                  {postgres + ",backup.enabled=true", "Back up PostgreSQL by its own means: pg_dump"},
		"a backup without a token":                {"backup.enabled=true,admin.writeTokenKey=", "a backup needs a token that may do everything"},
		"a backup of what is lost anyway":         {"backup.enabled=true,persistence.ephemeral=true", "nothing is worth a backup"},
		"a backup at no time":                     {"backup.schedule=daily", "at '/backup/schedule'"},
		"a token without a known role":            {"admin.tokens.ann=admin", "at '/admin/tokens/ann'"},
		"a token under a name that is taken":      {"admin.tokens.write-token=read", "admin.tokens: write-token is the name of another token"},
		"a token that is no key of a Secret":      {"admin.tokens.a/b=read", "admin.tokens: a/b cannot be a name"},
		"a named token as a flag":                 {"extraArgs={--admin-token=ann=read:env:A}", "extraArgs: --admin-token is set by the chart"},
		"a Grafana that cannot be found":          {"prometheusRule.grafanaURL=grafana", "at '/prometheusRule/grafanaURL'"},
		"an Ingress to pages that are closed":     {"pages.ingress.enabled=true", "pages.ingress.enabled: it would lead to a port that is closed"},
		"a route to pages that are closed":        {"pages.httpRoute.enabled=true", "pages.httpRoute.enabled: it would lead to a port that is closed"},
		"pages that nobody may read":              {"pages.enabled=true,pages.tokenKey=", "pages: who may read them?"},
		"pages by the token of the admin API":     {"pages.enabled=true,pages.tokenKey=write-token", "pages.tokenKey: write-token opens the admin API too"},
		"a named token that is the pages'":        {"pages.enabled=true,admin.tokens.pages-token=read", "admin.tokens: pages-token is the name of another token"},
		"an Ingress to pages for nothing":         {"pages.enabled=true,pages.ingress.enabled=true", "pages.ingress.hosts: name at least one host"},
		"a route to pages from nowhere":           {"pages.enabled=true,pages.httpRoute.enabled=true", "pages.httpRoute.parentRefs: name at least one Gateway"},
		"a path that does not begin with a slash": {"pages.ingress.path=ci", "at '/pages/ingress/path'"},
		"a path that ends with a slash":           {"pages.httpRoute.path=/ci/", "at '/pages/httpRoute/path'"},
		"the port of the pages as a flag":         {"extraArgs={--pages-listen=:9}", "extraArgs: --pages-listen is set by the chart"},
		"pages that cannot be found":              {"externalURL=builds.example.com", "at '/externalURL'"},
		"a trace that is no certain one":          {"traceURL=https://jaeger.example.com/", "at '/traceURL'"},
		"a dashboard that cannot be found":        {"dashboardURL=https://grafana.example.com", "at '/dashboardURL'"},
		"PostgreSQL with a claim":                 {postgres + ",persistence.existingClaim=c", "persistence: is for a SQLite database"},
		"PostgreSQL without persistence":          {postgres + ",persistence.ephemeral=true", "persistence: is for a SQLite database"},
		"a password in the URL":                   {"database.type=postgres,database.url=postgres://u:p@h/d", "database.url: holds a password"},
		"a password in the parameters":            {"database.type=postgres,database.url=postgres://u@h/d?sslmode=require&password=p", "database.url: holds a password"},
		"a password twice":                        {"database.type=postgres,database.urlSecret.name=s,database.passwordSecret.name=s", "passwordSecret goes with url"},
		"a file as the URL":                       {"database.type=postgres,database.url=buildbridge.db", "at '/database/url'"},
		"another database":                        {"database.type=mysql", "at '/database/type': value must be one of 'sqlite', 'postgres'"},
		"fewest over most":                        {postgres + ",autoscaling.enabled=true,autoscaling.minReplicas=9", "minReplicas is more than maxReplicas"},
		"a stop that would stop nothing":          {postgres + ",autoscaling.enabled=true,replicas=0", "replicas: 0 stops nothing while autoscaling is on"},
		"a policy without outer traffic":          {"service.externalTrafficPolicy=Local", "service.externalTrafficPolicy: a ClusterIP has no traffic from outside"},
		"a proxy's network that is too narrow":    {"trustedProxies={10.0.0.0/33}", "at '/trustedProxies/0'"},
		"a proxy that is no address":              {"trustedProxies={10.0.0.256}", "at '/trustedProxies/0'"},
		"a network of IPv6 that is too narrow":    {"trustedProxies={fd00::/129}", "at '/trustedProxies/0'"},
		"rules from two places":                   {"rules.existingConfigMap=c,rules.files.a\\.yaml=version: 1", "files, existingConfigMap and volume exclude each other"},
		"rules from two other places":             {"rules.existingConfigMap=c,rules.volume.emptyDir.medium=Memory", "files, existingConfigMap and volume exclude each other"},
		"a rules file that would not be read":     {"rules.files.rules\\.txt=version: 1", "rules.files: rules.txt would not be read"},
		"a hidden rules file":                     {"rules.files.\\.rules\\.yaml=version: 1", "rules.files: .rules.yaml would not be read"},
		"a rules file whose dot is a path":        {"rules.files.rules.yaml=version: 1", "rules.files: rules would not be read: the name of a file ends in .yaml or .yml. On the command line its dot has a backslash"},
		"a rules file without a version":          {"rules.files.a\\.yaml.rules=x", "rules.files: a.yaml has no version"},
		"a file of tests among the rules":         {"rules.files.a\\.test\\.yaml=x", "rules.files: a.test.yaml would not be read"},
		"a restart that nothing would cause":      {"rules.existingConfigMap=c,rules.restartOnChange=true", "the chart does not see when a ConfigMap"},
		"the database as a flag":                  {"extraArgs={--database=/tmp/x.db}", "extraArgs: --database is set by the chart"},
		"the admin listener as a flag":            {"extraArgs={--admin-listen=:9}", "extraArgs: --admin-listen is set by the chart"},
		"a certificate that probes do not know":   {"extraArgs={--admin-tls-cert=/c}", "extraArgs: probes, scraping and helm test speak HTTP"},
		"the database as a variable":              {"extraEnv[0].name=BUILDBRIDGE_DATABASE,extraEnv[0].value=x", "extraEnv: BUILDBRIDGE_DATABASE is set by the chart"},
		"the database as a secret variable":       {"secrets.env.BUILDBRIDGE_DATABASE=x", "secrets.env: BUILDBRIDGE_DATABASE is set by the chart"},
		"an empty secret":                         {"secrets.env.A=", "at '/secrets/env/A': minLength"},
		"a secret that is no variable":            {"secrets.env.a-b=c", "at '/secrets/env': additional properties 'a-b' not allowed"},
		"a folder that the chart's own would be":  {"secrets.existingFiles.buildbridge=s", "secrets.existingFiles: buildbridge is a folder of the chart's own"},
		"a folder that is no name of a volume":    {"secrets.existingFiles.db_ca=s", "secrets.existingFiles: db_ca cannot be a folder: small letters, digits and - alone, at most 52"},
		"scraped twice":                           {"serviceMonitor.enabled=true,podMonitor.enabled=true", "both would count everything twice"},
		"an Ingress for nothing":                  {"ingress.enabled=true", "ingress.hosts: name at least one host"},
		"a route from nowhere":                    {"httpRoute.enabled=true", "httpRoute.parentRefs: name at least one Gateway"},
		"a label that selects":                    {"commonLabels.app\\.kubernetes\\.io/name=x", "at '/commonLabels/app.kubernetes.io~1name': false schema"},
		"a label of pods that selects":            {"podLabels.app\\.kubernetes\\.io/instance=x", "at '/podLabels/app.kubernetes.io~1instance': false schema"},
		"a digest without its kind":               {"image.digest=6f1d1b4c", "at '/image/digest'"},
		"a tag in the repository's digest":        {"image.repository=a@sha256:b", "at '/image/repository'"},
		"a misspelt value":                        {"replicaCount=1", "additional properties 'replicaCount' not allowed"},
		"a budget that lets nothing go":           {"podDisruptionBudget.maxUnavailable=0", "at '/podDisruptionBudget/maxUnavailable'"},
		"a text for a number":                     {"replicas=x", "at '/replicas': got string, want integer"},
		"a body memory without a unit":            {"maxBodyMemory=256MB", "at '/maxBodyMemory'"},
		"a runbook that cannot be found":          {"runbookURL=docs", "at '/runbookURL'"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := render(t, "--set", test.set)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("--set %s: %v, want %q", test.set, err, test.want)
			}
		})
	}
}

// The packaged chart has what a user needs, and not what the checks need.
func TestPackage(t *testing.T) {
	dir := t.TempDir()
	must(t, tool(t, "helm"), "package", chart, "--destination", dir)
	packages, err := filepath.Glob(dir + "/buildbridge-*.tgz")
	if err != nil || len(packages) != 1 {
		t.Fatalf("packages %v: %v", packages, err)
	}
	got := map[string]bool{}
	for name := range strings.Lines(string(must(t, "tar", "-tzf", packages[0]))) {
		got[strings.TrimPrefix(strings.TrimSpace(name), "buildbridge/")] = true
	}
	want := map[string]bool{}
	err = filepath.WalkDir(chart, func(path string, d fs.DirEntry, err error) error {
		if name, _ := filepath.Rel(chart, path); err == nil && !d.IsDir() {
			top, _, _ := strings.Cut(name, "/")
			if top != "ci" && top != "tests" && !strings.HasPrefix(name, "alerts/tests/") && name != ".helmignore" && name != "README.md.gotmpl" {
				want[name] = true
			}
		}
		return err
	})
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("packaged (-want +got): %v\n%s", err, diff)
	}
	for _, name := range []string{"Chart.yaml", "values.schema.json", "README.md", "templates/NOTES.txt", "templates/tests/test.yaml"} {
		if !got[name] {
			t.Errorf("%s is missing", name)
		}
	}
}

// sources returns the files of the chart that match; with CI set there have to be some.
func sources(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(chart + "/" + pattern)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		if os.Getenv("CI") == "true" {
			t.Fatalf("there is no %s in the chart", pattern)
		}
		t.Skipf("there is no %s in the chart", pattern)
	}
	return files
}

// only renders with values set, and gives the one object of a kind whose name ends so.
func only(t *testing.T, kind, suffix string, args ...string) object {
	t.Helper()
	manifests, err := render(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	var found []object
	for _, o := range decode(t, manifests) {
		if o.kind() == kind && strings.HasSuffix(o.name(), suffix) {
			found = append(found, o)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d objects of kind %s, want 1", len(found), kind)
	}
	return found[0]
}

// Where the links of alerts and dashboards begin in their files, and where they do
// in a chart that knows where the docs and the pages are.
const (
	placeholder, address = "https://git.example.com/buildbridge/blob/main/", "https://git.acme.test/b/"
	pages                = "https://builds.acme.test/"
)

// Every dashboard is in the ConfigMap as it is in its file, but for the addresses of
// the runbook and of the pages.
func TestDashboardsAreTheirSources(t *testing.T) {
	tool(t, "helm")
	files := sources(t, "dashboards/*.json")
	o := only(t, "ConfigMap", "-dashboards", "--set", "dashboards.enabled=true,externalURL="+pages+",runbookURL="+address)
	if got := at(map[string]any(o), "metadata", "labels", "grafana_dashboard"); got != "1" {
		t.Errorf("label grafana_dashboard: %v, want 1", got)
	}
	data, _ := o["data"].(map[string]any)
	if len(data) != len(files) {
		t.Errorf("%d dashboards, want %d", len(data), len(files))
	}
	total := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(text, []byte(placeholder)) {
			t.Errorf("%s links to no page below %s", file, placeholder)
		}
		var want, got any
		replaced := strings.NewReplacer(placeholder, address, "http://127.0.0.1:8081/", pages).Replace(string(text))
		if err := json.Unmarshal([]byte(replaced), &want); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		// The sidecar of Grafana writes the dashboards of all charts into one folder.
		key := "buildbridge-" + filepath.Base(file)
		rendered, _ := data[key].(string)
		if err := json.Unmarshal([]byte(rendered), &got); err != nil {
			t.Fatalf("%s in the ConfigMap: %v", key, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-file +ConfigMap):\n%s", filepath.Base(file), diff)
		}
		total += len(rendered)
	}
	if most := 900 << 10; total > most { // the API server's limit is 1 MiB
		t.Errorf("the dashboards have %d bytes, want at most %d in one ConfigMap", total, most)
	}
}

// Every alert is in the PrometheusRule as it is in its file, but for the address of the
// runbook, and with the addresses of its page and of the dashboard if they are known.
func TestAlertsAreTheirSource(t *testing.T) {
	tool(t, "helm")
	text, err := os.ReadFile(sources(t, "alerts/buildbridge.yaml")[0])
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(text, []byte(placeholder+"docs/runbook.md#")) {
		t.Errorf("no runbook_url begins with %s", placeholder)
	}
	const grafana, other = "https://grafana.acme.test/", "https://other.acme.test/"
	for name, test := range map[string]struct{ set, address, pages, grafana string }{
		"as it is":                       {"", placeholder, "", ""},
		"with a copy's docs":             {"runbookURL=" + address, address, "", ""},
		"with pages":                     {"externalURL=" + pages, placeholder, pages, ""},
		"with pages without their slash": {"externalURL=" + strings.TrimSuffix(pages, "/"), placeholder, pages, ""},
		"with a Grafana":                 {"dashboardURL=" + grafana, placeholder, "", grafana},
		"with a Grafana of its own":      {"dashboardURL=" + other + ",prometheusRule.grafanaURL=" + grafana, placeholder, "", grafana},
	} {
		t.Run(name, func(t *testing.T) {
			o := only(t, "PrometheusRule", "", "--set", "prometheusRule.enabled=true,"+test.set)
			var want map[string]any
			replaced := strings.NewReplacer(placeholder, test.address, "http://127.0.0.1:8081/", test.pages).Replace(string(text))
			if err := yaml.Unmarshal([]byte(replaced), &want); err != nil {
				t.Fatal(err)
			}
			for _, group := range want["groups"].([]any) {
				for _, rule := range group.(map[string]any)["rules"].([]any) {
					annotations, ok := at(rule, "annotations").(map[string]any)
					if ok && test.pages == "" {
						delete(annotations, "pages_url")
					}
					if ok && test.grafana != "" {
						annotations["dashboard_url"] = test.grafana + "d/buildbridge-overview{{ with $labels.job }}?var-job={{ . }}{{ end }}"
					}
				}
			}
			if diff := cmp.Diff(want, o["spec"]); diff != "" {
				t.Errorf("rules (-file +PrometheusRule):\n%s", diff)
			}
		})
	}
}
