package handlers_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"buildbridge/handlers"
	"buildbridge/mapping"
)

// fields is short for a JSON object.
type fields = map[string]any

func TestWebhook(t *testing.T) {
	main := push("acme/shop", "refs/heads/main", commit)
	built := []any{
		fields{"id": "build-1", "rule": "cart", "job_id": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1"},
		fields{"id": "build-2", "rule": "cart", "job_id": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa2"},
	}
	method := func(name string) *http.Request {
		r := request("github", "")
		r.Method = name
		return r
	}
	path := func(path string) *http.Request {
		return httptest.NewRequest(http.MethodPost, path, strings.NewReader(main))
	}
	tests := map[string]struct {
		request    *http.Request
		status     int
		want       fields // "delivery" is "id" where there is one
		allow      string
		retryAfter string
	}{
		"a push that a rule matches is accepted": {
			request: request("github", main), status: 202,
			want: fields{"delivery": "id", "outcome": "accepted", "builds": built},
		},
		"so it is by the older of two secrets": {
			request: request("github", main, "X-Hub-Signature-256", sign(oldSecret, main)), status: 202,
			want: fields{"delivery": "id", "outcome": "accepted", "builds": built},
		},
		"and with an identity encoding": {
			request: request("github", main, "Content-Encoding", "identity"), status: 202,
			want: fields{"delivery": "id", "outcome": "accepted", "builds": built},
		},
		"a ping is ignored": {
			request: request("github", `{"zen":"","hook_id":1}`, "X-GitHub-Event", "ping"), status: 200,
			want: fields{"delivery": "id", "outcome": "ignored", "reason": "ping", "left_out": leftOut("", "ping", "a test call")},
		},
		"an event that is neither push nor tag is ignored": {
			request: request("github", `{}`, "X-GitHub-Event", "issues"), status: 200,
			want: fields{
				"delivery": "id", "outcome": "ignored", "reason": "event",
				"left_out": leftOut("", "event", `the event "issues" is neither a push nor a tag`),
			},
		},
		"a push of notes is ignored, and the ref is named": {
			request: request("github", push("acme/shop", "refs/notes/commits", commit)), status: 200,
			want: fields{
				"delivery": "id", "outcome": "ignored", "reason": "event",
				"left_out": leftOut("refs/notes/commits", "event", "neither a branch nor a tag"),
			},
		},
		"a deletion is ignored": {
			request: request("github", push("acme/shop", "refs/heads/main", zero)), status: 200,
			want: fields{
				"delivery": "id", "outcome": "ignored", "reason": "deleted",
				"left_out": leftOut("refs/heads/main", "deleted", "the ref was deleted"),
			},
		},
		"a repository that no rule names is ignored": {
			request: request("github", push("other/thing", "refs/heads/main", commit)), status: 200,
			want: fields{"delivery": "id", "outcome": "ignored", "reason": "no_rule"},
		},
		"a body that is not JSON is malformed": {
			request: request("github", `{"ref":`), status: 400,
			want: fields{"outcome": "rejected", "reason": "malformed", "detail": "*"},
		},
		"so is one without what is needed": {
			request: request("github", `{}`), status: 400,
			want: fields{"outcome": "rejected", "reason": "malformed", "detail": "*"},
		},
		"a wrong signature gets no detail": {
			request: request("github", main, "X-Hub-Signature-256", sign("guess", main)), status: 401,
			want: fields{"outcome": "rejected", "reason": "not_authenticated"},
		},
		"no signature gets the same": {
			request: request("github", main, "X-Hub-Signature-256", ""), status: 401,
			want: fields{"outcome": "rejected", "reason": "not_authenticated"},
		},
		"a malformed body is not looked at before it is authenticated": {
			request: request("github", `{"ref":`, "X-Hub-Signature-256", ""), status: 401,
			want: fields{"outcome": "rejected", "reason": "not_authenticated"},
		},
		"an address that is not on the list is refused": {
			request: request("inside", main), status: 403,
			want: fields{"outcome": "rejected", "reason": "address", "detail": "*"},
		},
		"a source that does not exist": {
			request: request("nobody", main), status: 404,
			want: fields{"outcome": "rejected", "reason": "no_source", "detail": "*"},
		},
		"a path that does not exist": {
			request: path("/hooks"), status: 404,
			want: fields{"outcome": "rejected", "reason": "no_source", "detail": "*"},
		},
		"a path below a source": {
			request: path("/webhooks/github/more"), status: 404,
			want: fields{"outcome": "rejected", "reason": "no_source", "detail": "*"},
		},
		"a source with a slash behind it is the same": {
			request: request("github/", main), status: 202,
			want: fields{"delivery": "id", "outcome": "accepted", "builds": built},
		},
		"two slashes are not": {
			request: request("github//", main), status: 404,
			want: fields{"outcome": "rejected", "reason": "no_source", "detail": "*"},
		},
		"a path without a source": {
			request: path("/webhooks/"), status: 404,
			want: fields{"outcome": "rejected", "reason": "no_source", "detail": "*"},
		},
		"GET is not a delivery": {
			request: method(http.MethodGet), status: 405, allow: "POST",
			want: fields{"outcome": "rejected", "reason": "method", "detail": "*"},
		},
		"nor is OPTIONS": {
			request: method(http.MethodOptions), status: 405, allow: "POST",
			want: fields{"outcome": "rejected", "reason": "method", "detail": "*"},
		},
		"nor is a method nobody knows": {
			request: method("BREW"), status: 405, allow: "POST",
			want: fields{"outcome": "rejected", "reason": "method", "detail": "*"},
		},
		"a body over the source's limit": {
			request: request("github", strings.Repeat(" ", 4097)), status: 413,
			want: fields{"outcome": "rejected", "reason": "too_large", "detail": "the body is larger than 4096 bytes"},
		},
		"a compressed body": {
			request: request("github", main, "Content-Encoding", "gzip"), status: 415,
			want: fields{"outcome": "rejected", "reason": "encoding", "detail": "*"},
		},
		"an encoding behind an identity": {
			request: request("github", main, "Content-Encoding", "identity, br"), status: 415,
			want: fields{"outcome": "rejected", "reason": "encoding", "detail": "*"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBridge(t, nil)
			w := b.post(test.request)
			if w.Code != test.status {
				t.Errorf("status %d, want %d", w.Code, test.status)
			}
			if got := w.Header().Get("Content-Type"); got != "application/json" {
				t.Errorf("Content-Type %q", got)
			}
			if got := w.Header().Get("Allow"); got != test.allow {
				t.Errorf("Allow %q, want %q", got, test.allow)
			}
			got := body(t, w.Body)
			if id, ok := got["delivery"]; ok {
				if parsed, err := uuid.Parse(fmt.Sprint(id)); err != nil || parsed.Version() != 7 {
					t.Errorf("delivery %v is not a UUIDv7", id)
				}
				got["delivery"] = "id"
			}
			if test.want["detail"] == "*" {
				if got["detail"] == "" || got["detail"] == nil {
					t.Error("no detail says what to fix")
				}
				got["detail"] = "*"
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			if stored := len(b.store.accepted) + len(b.store.ignored); stored > 0 != (test.want["delivery"] != nil) {
				t.Errorf("%d deliveries stored", stored)
			}
			if lines := strings.Count(b.log.text(), "\n"); lines > 1 {
				t.Errorf("%d lines logged, want one:\n%s", lines, b.log.text())
			}
			if log := b.log.text(); strings.Contains(log, newSecret) || strings.Contains(log, oldSecret) {
				t.Errorf("a secret is in the log:\n%s", log)
			}
		})
	}
}

// RFC 9110, section 15.5.2: a 401 names a scheme. Only HTTP Basic is one: a source without
// it names none.
func TestBasicIsAskedFor(t *testing.T) {
	b := newBridge(t, nil)
	const server = "  server: {provider: bitbucket-server, basic: [{username: ci, password: {env: NEW}}]}\n"
	b.Swap(stateOf(t, strings.Replace(rules, "targets:\n", server+"targets:\n", 1)))
	for name, test := range map[string]struct {
		source, password, want string
		status                 int
	}{
		"no credentials":             {source: "server", status: 401, want: `Basic realm="buildbridge"`},
		"wrong credentials":          {source: "server", password: "guess", status: 401, want: `Basic realm="buildbridge"`},
		"right credentials":          {source: "server", password: newSecret, status: 400},
		"a source with secrets":      {source: "github", password: "guess", status: 401},
		"a source that is not there": {source: "nobody", password: "guess", status: 404},
	} {
		t.Run(name, func(t *testing.T) {
			r := request(test.source, "{}", "X-Hub-Signature-256", "")
			if test.password != "" {
				r.SetBasicAuth("ci", test.password)
			}
			w := b.post(r)
			if got := w.Header().Get("WWW-Authenticate"); w.Code != test.status || got != test.want {
				t.Errorf("status %d, WWW-Authenticate %q; want %d, %q", w.Code, got, test.status, test.want)
			}
			if got := strings.TrimSpace(w.Body.String()); w.Code == http.StatusUnauthorized && got != `{"outcome":"rejected","reason":"not_authenticated"}` {
				t.Errorf("answer %s", got)
			}
		})
	}
}

// leftOut is the list of an answer with one change without an event.
func leftOut(ref, reason, why string) []any {
	l := fields{"reason": reason, "why": why}
	if ref != "" {
		l["ref"] = ref
	}
	return []any{l}
}

func TestTheAnswerTellsWhatIsLeftOut(t *testing.T) {
	b := newBridge(t, nil)
	w := b.post(cloud("branch main", "bookmark x"))
	got := body(t, w.Body)
	if w.Code != http.StatusAccepted || !cmp.Equal(got["left_out"], any(leftOut("bookmark x", "event", "neither a branch nor a tag"))) {
		t.Errorf("status %d, answer %v, want the bookmark left out", w.Code, got)
	}
	if line := b.log.last(t); line["left_out"] != `"bookmark x": neither a branch nor a tag` || line["event"] != "repo:push" {
		t.Errorf("the log has %v", line)
	}
	got = body(t, b.post(cloud(slices.Repeat([]string{"bookmark x"}, 25)...)).Body)
	if list, _ := got["left_out"].([]any); len(list) != 20 || got["more_left_out"] != 5.0 {
		t.Errorf("answer %v, want 20 of 25", got)
	}
}

func TestNoMatchExplainsTheRules(t *testing.T) {
	b := newBridge(t, nil)
	w := b.post(request("github", push("acme/shop", "refs/heads/feature", commit)))
	got := body(t, w.Body)
	if w.Code != http.StatusOK || got["outcome"] != "ignored" || got["reason"] != "no_match" {
		t.Fatalf("status %d, answer %v", w.Code, got)
	}
	verdicts, _ := got["rules"].([]any)
	if _, cut := got["rules_left_out"]; cut {
		t.Errorf("answer %v, want none left out", got)
	}
	if len(verdicts) != 2 {
		t.Fatalf("rules %v, want the two that name the repository", verdicts)
	}
	for i, rule := range []string{"cart", "releases"} {
		verdict, _ := verdicts[i].(fields)
		if verdict["rule"] != rule || verdict["matched"] != false || verdict["reason"] == "" {
			t.Errorf("verdict %v, want why %s did not match", verdict, rule)
		}
	}
	if kept := b.store.ignored[0]; kept.reason != mapping.ReasonNoMatch || len(kept.verdicts) != 2 {
		t.Errorf("stored as ignored: %+v", kept)
	}
}

func TestNoMatchExplainsTwentyRulesAtMost(t *testing.T) {
	b := newBridge(t, nil)
	many := rules
	for i := range 30 {
		many += fmt.Sprintf("  - {name: more-%d, repository: acme/shop, when: {push: {branches: [never]}}, jobs: [{job_id: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1}]}\n", i)
	}
	b.Swap(stateOf(t, many))
	for name, test := range map[string]struct {
		request *http.Request
		more    float64 // of the 32 rules that name acme/shop
	}{
		"one event":  {request("github", push("acme/shop", "refs/heads/feature", commit)), 12},
		"two events": {cloud("branch feature", "branch other"), 44},
	} {
		got := body(t, b.post(test.request).Body)
		if verdicts, _ := got["rules"].([]any); len(verdicts) != 20 || got["rules_left_out"] != test.more {
			t.Errorf("%s: %d rules explained, %v left out; want 20 and %v", name, len(verdicts), got["rules_left_out"], test.more)
		}
	}
}

func TestAcceptedDeliveryIsWhatTheStoreGets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBridge(t, nil)
		text := push("acme/shop", "refs/heads/main", commit)
		b.post(request("github", text, "X-GitHub-Delivery", "host-1"))
		if len(b.store.accepted) != 1 {
			t.Fatalf("%d deliveries accepted", len(b.store.accepted))
		}
		got := b.store.accepted[0].delivery
		if got.ID == "" || got.Source != "github" || got.Provider != "github" || got.HostID != "host-1" || got.Event != "push" ||
			!got.ReceivedAt.Equal(time.Now()) || got.DuplicateKey == "" || string(got.Body) != text {
			t.Errorf("delivery %+v", got)
		}
		if got.Header["X-Github-Event"] != "push" {
			t.Errorf("header %v does not name the event", got.Header)
		}
		if len(got.Events) != 1 || got.Events[0].Source != "github" || got.Events[0].Commit != commit {
			t.Errorf("events %+v", got.Events)
		}
		builds := b.store.accepted[0].builds
		if len(builds) != 2 || builds[0].Commit != commit || !cmp.Equal(builds[0].Parameters, []mapping.Parameter{{Name: "codeBranch", Value: "main"}}) {
			t.Errorf("builds %+v", builds)
		}
	})
}

// cloud is a Bitbucket delivery with a change for each ref, of acme/shop.
func cloud(refs ...string) *http.Request {
	var changes []string
	for _, ref := range refs {
		kind, name, _ := strings.Cut(ref, " ")
		changes = append(changes, fmt.Sprintf(`{"new":{"type":%q,"name":%q,"target":{"hash":%q,"message":"m"}},"old":null,"created":true}`, kind, name, commit))
	}
	text := `{"repository":{"full_name":"acme/shop"},"push":{"changes":[` + strings.Join(changes, ",") + `]}}`
	return request("cloud", text, "X-Event-Key", "repo:push", "X-Request-UUID", uuid.NewString(),
		"X-Hub-Signature", sign(newSecret, text), "X-GitHub-Event", "", "X-GitHub-Delivery", "", "X-Hub-Signature-256", "")
}

func TestNoMatchOfOneEventBeatsNoRuleOfAnother(t *testing.T) {
	b := newBridge(t, nil)
	b.Swap(stateOf(t, strings.Replace(rules, "repository: acme/*", "repository: other/*", 1)))
	got := body(t, b.post(cloud("branch feature", "branch other")).Body)
	if verdicts, _ := got["rules"].([]any); got["reason"] != "no_match" || len(verdicts) != 2 {
		t.Errorf("answer %v, want no_match with a verdict for each event", got)
	}
}

func TestSeveralEventsAreOneDelivery(t *testing.T) {
	b := newBridge(t, nil)
	w := b.post(cloud("branch main", "branch feature", "tag v1.0.0"))
	if w.Code != http.StatusAccepted {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	if len(b.store.accepted) != 1 {
		t.Fatalf("%d calls of Accept, want one", len(b.store.accepted))
	}
	var got []string
	for _, build := range b.store.accepted[0].builds {
		got = append(got, build.Rule+" "+build.Ref)
	}
	want := []string{"cart refs/heads/main", "cart refs/heads/main", "releases refs/tags/v1.0.0"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("builds (-want +got):\n%s", diff)
	}
}

func TestRedeliveryIsADuplicate(t *testing.T) {
	b := newBridge(t, nil)
	send := func() (int, fields) {
		w := b.post(request("github", push("acme/shop", "refs/heads/main", commit), "X-GitHub-Delivery", "same"))
		return w.Code, body(t, w.Body)
	}
	_, first := send()
	status, second := send()
	if second["delivery"] == first["delivery"] {
		t.Error("two deliveries have one id")
	}
	delete(second, "delivery")
	want := fields{
		"outcome": "duplicate", "of": first["delivery"],
		"replay": fmt.Sprintf("buildbridge deliveries replay %s", first["delivery"]),
	}
	if diff := cmp.Diff(want, second); status != http.StatusOK || diff != "" {
		t.Errorf("status %d, answer (-want +got):\n%s", status, diff)
	}
}

func TestDeadBuildIsAcceptedWithItsReason(t *testing.T) {
	b := newBridge(t, nil)
	// "\u0085" is a control character that Git allows in a ref, and no parameter may hold.
	w := b.post(request("github", push("acme/shop", "refs/heads/ma\u0085in", commit)))
	if w.Code != http.StatusOK {
		t.Fatalf("no rule matches this branch: status %d", w.Code)
	}
	b.Swap(stateOf(t, strings.ReplaceAll(rules, "branches: [main]", "branches: ['ma*']")))
	w = b.post(request("github", push("acme/shop", "refs/heads/ma\u0085in", commit)))
	got := body(t, w.Body)
	builds, _ := got["builds"].([]any)
	if w.Code != http.StatusAccepted || len(builds) != 2 {
		t.Fatalf("status %d, answer %v", w.Code, got)
	}
	if first, _ := builds[0].(fields); first["reason"] == nil {
		t.Errorf("build %v does not say why it is dead", first)
	}
	if second, _ := builds[1].(fields); second["reason"] != nil || got["reason"] != nil {
		t.Errorf("answer %v has a reason, and one build has no parameter", got)
	}

	// None of them will be started.
	twice := strings.Replace(rules, "aaa2\n", "aaa2\n        parameters: {codeBranch: '${event.branch}'}\n", 1)
	b.Swap(stateOf(t, strings.ReplaceAll(twice, "branches: [main]", "branches: ['ma*']")))
	r := request("github", push("acme/shop", "refs/heads/ma\u0085in", commit))
	const series = "outcome=accepted,provider=github,reason=dead_on_arrival,source=github"
	if count, ok := b.series(t, "buildbridge_deliveries_total")[series]; !ok || count != 0 {
		t.Errorf("%s is %v at first, there: %t", series, count, ok)
	}
	w = b.post(r)
	text := w.Body.String()
	if !strings.Contains(text, `"outcome":"accepted","reason":"dead_on_arrival","builds":[`) || w.Code != http.StatusAccepted {
		t.Errorf("status %d, answer %s", w.Code, text)
	}
	if line := b.log.last(t); line["outcome"] != "accepted" || line["reason"] != "dead_on_arrival" {
		t.Errorf("log %v", line)
	}
	if count := b.series(t, "buildbridge_deliveries_total")[series]; count != 1 {
		t.Errorf("%s is %v", series, count)
	}
}

// A delivery says in plain words that its builds were there before: catch-up has made them, or they
// are of a commit that is built once.
func TestBuiltBefore(t *testing.T) {
	for answer, once := range map[string]bool{
		`"outcome":"accepted","reason":"built_by_catch_up","detail":"this delivery came late`:      false,
		`"outcome":"accepted","reason":"built_once","detail":"its commit is built already, or was`: true,
	} {
		b := newBridge(t, nil)
		b.store.accept = func(_ context.Context, _ mapping.Delivery, builds []mapping.Build) (mapping.Receipt, error) {
			var r mapping.Receipt
			for _, build := range builds {
				r.Builds = append(r.Builds, mapping.BuildReceipt{
					ID: "late", Rule: build.Rule, JobID: build.JobID, Reason: "of build x", SupersededBy: "x", Once: once,
				})
			}
			return r, nil
		}
		w := b.post(request("github", push("acme/shop", "refs/heads/main", commit)))
		for _, want := range []string{answer, `"superseded_by":"x"`} {
			if w.Code != http.StatusAccepted || !strings.Contains(w.Body.String(), want) {
				t.Errorf("status %d, answer %s, want %s", w.Code, w.Body, want)
			}
		}
	}
}

func TestStoreFailureAcknowledgesNothing(t *testing.T) {
	b := newBridge(t, nil)
	b.store.accept = func(context.Context, mapping.Delivery, []mapping.Build) (mapping.Receipt, error) {
		return mapping.Receipt{}, errors.New("disk is full at /var/lib/secret-place")
	}
	w := b.post(request("github", push("acme/shop", "refs/heads/main", commit)))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "10" {
		t.Errorf("status %d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
	}
	text := w.Body.String()
	if got := body(t, w.Body); got["outcome"] != "unavailable" || got["reason"] != "not_stored" {
		t.Errorf("answer %v", got)
	}
	if strings.Contains(text, "disk") {
		t.Errorf("the answer tells of internals: %s", text)
	}
	if line := b.log.last(t); line["level"] != "ERROR" || !strings.Contains(fmt.Sprint(line["error"]), "disk is full") {
		t.Errorf("log %v", line)
	}
}

func TestFullQueueAcknowledgesNothing(t *testing.T) {
	b := newBridge(t, nil)
	b.store.accept = func(context.Context, mapping.Delivery, []mapping.Build) (mapping.Receipt, error) {
		return mapping.Receipt{}, fmt.Errorf("%w: 7 of at most 7", mapping.ErrFull)
	}
	w := b.post(request("github", push("acme/shop", "refs/heads/main", commit)))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "60" {
		t.Errorf("status %d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
	}
	if got := body(t, w.Body); got["outcome"] != "unavailable" || got["reason"] != "queue_full" {
		t.Errorf("answer %v", got)
	}
}

func TestPanicIsAnsweredAndSurvived(t *testing.T) {
	b := newBridge(t, nil)
	b.store.accept = func(context.Context, mapping.Delivery, []mapping.Build) (mapping.Receipt, error) {
		panic("a fault of ours")
	}
	w := b.post(request("github", push("acme/shop", "refs/heads/main", commit)))
	text := w.Body.String()
	got := body(t, w.Body)
	want := fields{"outcome": "unavailable", "reason": "internal", "detail": "an error inside buildbridge: its log says which"}
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "60" || !cmp.Equal(want, got) {
		t.Errorf("status %d, Retry-After %q, answer %s", w.Code, w.Header().Get("Retry-After"), text)
	}
	line := b.log.last(t)
	if line["error"] != "panic: a fault of ours" || !strings.Contains(fmt.Sprint(line["stack"]), "webhook_test.go") {
		t.Errorf("log %v", line)
	}
	b.store.accept = nil
	if w := b.post(request("github", push("acme/shop", "refs/heads/main", commit))); w.Code != http.StatusAccepted {
		t.Errorf("the next delivery: status %d", w.Code)
	}
}

func TestSenderThatHangsUpDoesNotUndoTheCommit(t *testing.T) {
	b := newBridge(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	b.store.accept = func(ctx context.Context, _ mapping.Delivery, _ []mapping.Build) (mapping.Receipt, error) {
		cancel()
		if err := ctx.Err(); err != nil {
			t.Errorf("Accept is cancelled with the request: %v", err)
		}
		if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > 5*time.Second {
			t.Errorf("Accept may take until %v, longer than a code host waits", deadline)
		}
		return mapping.Receipt{Builds: []mapping.BuildReceipt{{ID: "1"}}}, nil
	}
	w := b.post(request("github", push("acme/shop", "refs/heads/main", commit)).WithContext(ctx))
	if w.Code != http.StatusAccepted {
		t.Errorf("status %d", w.Code)
	}
}

func TestRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBridge(t, nil)
		b.post(request("slow", push("acme/shop", "refs/heads/main", commit))) // takes the only token
		time.Sleep(2500 * time.Millisecond)
		w := b.post(request("slow", push("acme/shop", "refs/heads/main", commit)))
		if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "8" {
			t.Errorf("status %d, Retry-After %q, want 429 and 7.5 s rounded up", w.Code, w.Header().Get("Retry-After"))
		}
		if got := body(t, w.Body); got["outcome"] != "rejected" || got["reason"] != "rate_limit" {
			t.Errorf("answer %v", got)
		}
		if w := b.post(request("github", push("acme/shop", "refs/heads/main", commit))); w.Code != http.StatusAccepted {
			t.Errorf("another source: status %d", w.Code)
		}
	})
}

func TestStrangersTakeNoToken(t *testing.T) {
	b := newBridge(t, nil)
	for range 5 {
		if w := b.post(request("slow", push("acme/shop", "refs/heads/main", commit), "X-Hub-Signature-256", "")); w.Code != http.StatusUnauthorized {
			t.Errorf("status %d", w.Code)
		}
	}
	if w := b.post(request("slow", push("acme/shop", "refs/heads/main", commit))); w.Code != http.StatusAccepted {
		t.Errorf("status %d after strangers called", w.Code)
	}
}

func TestClientAddress(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("fd00::/8")}
	tests := map[string]struct {
		peer      string
		forwarded []string
		allowed   bool // by 10.0.0.0/8 and 2001:db8::/32
	}{
		"a peer on the list":                      {peer: "10.1.2.3:999", allowed: true},
		"a peer that is not":                      {peer: "11.1.2.3:999"},
		"IPv6":                                    {peer: "[2001:db8::1]:999", allowed: true},
		"IPv6 with a zone":                        {peer: "[2001:db8::1%eth0]:999", allowed: true},
		"IPv4 in IPv6":                            {peer: "[::ffff:10.1.2.3]:999", allowed: true},
		"a stranger's header means nothing":       {peer: "11.1.2.3:999", forwarded: []string{"10.1.2.3"}},
		"a listed peer's header means nothing":    {peer: "10.1.2.3:999", forwarded: []string{"11.1.2.3"}, allowed: true},
		"a proxy's header counts":                 {peer: "192.0.2.1:999", forwarded: []string{"10.1.2.3"}, allowed: true},
		"a proxy's header for a stranger":         {peer: "192.0.2.1:999", forwarded: []string{"11.1.2.3"}},
		"what the client put to the left is not":  {peer: "192.0.2.1:999", forwarded: []string{"10.1.2.3, 11.1.2.3"}},
		"two proxies":                             {peer: "192.0.2.1:999", forwarded: []string{"11.1.2.3, 10.1.2.3, 192.0.2.9"}, allowed: true},
		"two headers are one list":                {peer: "[fd00::1]:999", forwarded: []string{"11.1.2.3", "10.1.2.3", "192.0.2.9"}, allowed: true},
		"the client's own header above a proxy's": {peer: "192.0.2.1:999", forwarded: []string{"10.1.2.3", "11.1.2.3"}},
		"an entry with a port":                    {peer: "192.0.2.1:999", forwarded: []string{"10.1.2.3:55"}, allowed: true},
		"an entry of IPv6 in brackets":            {peer: "192.0.2.1:999", forwarded: []string{"[2001:db8::7]"}, allowed: true},
		"an entry of IPv6 with a port":            {peer: "192.0.2.1:999", forwarded: []string{"[2001:db8::7]:55"}, allowed: true},
		"an entry that is no address":             {peer: "192.0.2.1:999", forwarded: []string{"10.1.2.3, unknown"}},
		"an empty entry is none":                  {peer: "192.0.2.1:999", forwarded: []string{"10.1.2.3, "}, allowed: true},
		"nor are several, and white space":        {peer: "192.0.2.1:999", forwarded: []string{"\t10.1.2.3 \t,, ,", ""}, allowed: true},
		"nor is one before a stranger's address":  {peer: "192.0.2.1:999", forwarded: []string{"10.1.2.3,,11.1.2.3,"}},
		"nothing but an empty entry":              {peer: "192.0.2.1:999", forwarded: []string{","}},
		"a proxy without a header":                {peer: "192.0.2.1:999"},
		"a peer that has no address":              {peer: "@"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBridge(t, func(o *handlers.Options) { o.TrustedProxies = proxies })
			r := request("inside", push("acme/shop", "refs/heads/main", commit))
			r.RemoteAddr = test.peer
			r.Header["X-Forwarded-For"] = test.forwarded
			r.Header.Set("X-Real-Ip", "10.1.2.3")
			r.Header.Set("Forwarded", "for=10.1.2.3")
			want := http.StatusForbidden
			if test.allowed {
				want = http.StatusAccepted
			}
			if got := b.post(r).Code; got != want {
				t.Errorf("status %d, want %d", got, want)
			}
		})
	}
}

// endless is a body of unknown length.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	e.read += len(p)
	return len(p), nil
}

func TestTooLargeIsNotRead(t *testing.T) {
	b := newBridge(t, nil)
	server := httptest.NewServer(b.Public())
	defer server.Close()
	defer http.DefaultClient.CloseIdleConnections()

	tests := map[string]struct {
		body   io.Reader
		length int64
	}{
		"with a length":    {body: io.LimitReader(&endless{}, 1<<40), length: 1 << 40},
		"without a length": {body: &endless{}, length: -1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/webhooks/github", test.body)
			if err != nil {
				t.Fatal(err)
			}
			r.ContentLength = test.length
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if response.StatusCode != http.StatusRequestEntityTooLarge || !response.Close {
				t.Errorf("status %d, connection closed: %t", response.StatusCode, response.Close)
			}
			if got := body(t, response.Body); got["reason"] != "too_large" {
				t.Errorf("answer %v", got)
			}
		})
	}
}

// TestSlowBodyIsGivenUp sends the beginning of a body and nothing more. If the rest were
// waited for, no answer would ever come.
func TestSlowBodyIsGivenUp(t *testing.T) {
	const length, chunked = "Content-Length: 1000\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n1\r\n{"
	tests := map[string]struct {
		source, rest string
		status       int
		waits        time.Duration
	}{
		"with a length":                      {source: "github", rest: length, status: 400, waits: 15 * time.Second},
		"without a length":                   {source: "github", rest: chunked, status: 400, waits: 15 * time.Second},
		"for nobody":                         {source: "nobody", rest: length, status: 404},
		"for nobody, without a length":       {source: "nobody", rest: chunked, status: 404},
		"from an address that is not listed": {source: "inside", rest: length, status: 403},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				listener := make(pipes)
				newBridge(t, nil).serve(t, listener)
				connection, far := net.Pipe()
				defer connection.Close()
				listener <- far
				began := time.Now()
				if _, err := io.WriteString(connection, "POST /webhooks/"+test.source+" HTTP/1.1\r\nHost: bridge\r\n"+test.rest); err != nil {
					t.Fatal(err)
				}
				response, err := http.ReadResponse(bufio.NewReader(connection), nil)
				if err != nil {
					t.Fatal(err)
				}
				defer response.Body.Close()
				if waited := time.Since(began); response.StatusCode != test.status || !response.Close || waited != test.waits {
					t.Errorf("status %d after %s, connection closed: %t", response.StatusCode, waited, response.Close)
				}
			})
		})
	}
}

func TestConnectionIsKeptForTheNextDelivery(t *testing.T) {
	server := httptest.NewServer(newBridge(t, nil).Public())
	defer server.Close()
	defer http.DefaultClient.CloseIdleConnections()
	for i := range 2 {
		reused := false
		trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused }}
		r := request("github", push("acme/shop", "refs/heads/main", commit))
		r = r.WithContext(httptrace.WithClientTrace(t.Context(), trace))
		r.RequestURI = ""
		r.URL, _ = r.URL.Parse(server.URL + "/webhooks/github")
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		if response.StatusCode != http.StatusAccepted || reused != (i > 0) {
			t.Errorf("delivery %d: status %d, connection reused: %t", i, response.StatusCode, reused)
		}
	}
}

// unread is a body that must not be read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body is read")
	return 0, io.EOF
}

func TestBodyIsNotReadInVain(t *testing.T) {
	b := newBridge(t, nil)
	b.post(request("slow", push("acme/shop", "refs/heads/main", commit))) // takes the only token
	tests := map[string]struct {
		source string
		length int64
		coding string
		status int
	}{
		"too large by its own account": {source: "github", length: 4097, status: 413},
		"for nobody":                   {source: "nobody", length: 10, status: 404},
		"from a stranger's address":    {source: "inside", length: 10, status: 403},
		"too soon":                     {source: "slow", length: 10, status: 429},
		"compressed":                   {source: "github", length: 10, coding: "gzip", status: 415},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := request(test.source, "", "Content-Encoding", test.coding)
			r.Body, r.ContentLength = io.NopCloser(unread{t}), test.length
			if w := b.post(r); w.Code != test.status {
				t.Errorf("status %d, want %d", w.Code, test.status)
			}
		})
	}
}

func TestOneLineIsLogged(t *testing.T) {
	tests := map[string]struct {
		request *http.Request
		want    fields
	}{
		"of an accepted delivery": {
			request: request("github", push("acme/shop", "refs/heads/main", commit), "X-GitHub-Delivery", "host-1"),
			want: fields{
				"level": "INFO", "msg": "delivery", "source": "github", "provider": "github", "host_id": "host-1",
				"repository": "acme/shop", "ref": "refs/heads/main", "commit": commit, "event": "push", "events": 1.0,
				"outcome": "accepted", "builds": 2.0, "status": 202.0, "duration_ms": 0.0,
			},
		},
		"of an ignored one, its line breaks harmless": {
			request: request("github", push("no/rule\nlevel=ERROR", "refs/heads/main", commit), "X-GitHub-Delivery", "host-1"),
			want: fields{
				"level": "INFO", "msg": "delivery", "source": "github", "provider": "github", "host_id": "host-1",
				"repository": "no/rule\nlevel=ERROR", "ref": "refs/heads/main", "commit": commit, "event": "push", "events": 1.0,
				"outcome": "ignored", "reason": "no_rule", "builds": 0.0, "status": 200.0, "duration_ms": 0.0,
			},
		},
		"of a stranger's, with the internal reason and without the body": {
			request: request("github", push("acme/shop", "refs/heads/main", commit), "X-Hub-Signature-256", ""),
			want: fields{
				"level": "WARN", "msg": "delivery", "source": "github", "provider": "github",
				"outcome": "rejected", "reason": "not_authenticated", "status": 401.0, "duration_ms": 0.0,
				"client": "192.0.2.1", "error": "github: not authenticated: header X-Hub-Signature-256 is missing",
			},
		},
		"of a source that does not exist, its name cut": {
			request: request(strings.Repeat("x", 200), ""),
			want: fields{
				"level": "WARN", "msg": "delivery", "source": strings.Repeat("x", 100) + "…",
				"outcome": "rejected", "reason": "no_source", "status": 404.0, "duration_ms": 0.0, "client": "192.0.2.1",
				"error": "no source has this name; a webhook is POST /webhooks/{source}, with the name of a source of the rules; there is nothing else here",
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBridge(t, nil)
				b.post(test.request)
				if lines := strings.Count(b.log.text(), "\n"); lines != 1 {
					t.Fatalf("%d lines:\n%s", lines, b.log.text())
				}
				got := b.log.last(t)
				if id, ok := got["delivery"]; ok != (test.want["level"] == "INFO") {
					t.Errorf("delivery %q", id)
				}
				delete(got, "delivery")
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("line (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// The log has the detail that the sender gets.
func TestTheLogHasTheDetailOfARefusal(t *testing.T) {
	for name, test := range map[string]struct {
		request *http.Request
		status  int
	}{
		"too large":         {request("github", strings.Repeat(" ", 5000)), http.StatusRequestEntityTooLarge},
		"compressed":        {request("github", "{}", "Content-Encoding", "gzip"), http.StatusUnsupportedMediaType},
		"no source":         {request("nobody", "{}"), http.StatusNotFound},
		"another method":    {httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/webhooks/github", nil), http.StatusMethodNotAllowed},
		"one too many of 1": {request("slow", push("acme/shop", "refs/heads/main", commit)), http.StatusTooManyRequests},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBridge(t, nil)
			if test.status == http.StatusTooManyRequests {
				b.post(request("slow", push("acme/shop", "refs/heads/main", commit)))
			}
			w := b.post(test.request)
			detail := body(t, w.Body)["detail"]
			if line := b.log.last(t); w.Code != test.status || detail == nil || line["error"] != detail {
				t.Errorf("status %d, want %d; the log has %v, the answer %v", w.Code, test.status, line["error"], detail)
			}
		})
	}
}

// The sender is told no address. The log has the address that counts, and why it does.
func TestTheLogHasTheAddressOfARefusal(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	const taken = "the address of the client is %s, which is not in allow_from of the source"
	const forwarded = `; X-Forwarded-For (%q) counts only from a proxy that --trusted-proxies names; the connection comes from %s, which is `
	const none, one = forwarded + "none", forwarded + "one: the right-most address that is not such a proxy counts"
	for name, test := range map[string]struct {
		peer, header string
		client, want string
	}{
		"a peer": {peer: "11.1.2.3:999", client: "11.1.2.3", want: fmt.Sprintf(taken, "11.1.2.3")},
		"a proxy that is not named": {
			peer: "172.16.0.1:999", header: "10.1.2.3", client: "172.16.0.1",
			want: fmt.Sprintf(taken+none, "172.16.0.1", "10.1.2.3", "172.16.0.1:999"),
		},
		"behind a proxy": {
			peer: "192.0.2.1:999", header: "10.1.2.3, 11.1.2.3", client: "11.1.2.3",
			want: fmt.Sprintf(taken+one, "11.1.2.3", "10.1.2.3, 11.1.2.3", "192.0.2.1:999"),
		},
		"what is no address": {
			peer: "192.0.2.1:999", header: "unknown\nx",
			want: fmt.Sprintf("the address of the client cannot be read"+one, "unknown\nx", "192.0.2.1:999"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBridge(t, func(o *handlers.Options) { o.TrustedProxies = proxies })
			r := request("inside", "{}", "X-Forwarded-For", test.header)
			r.RemoteAddr = test.peer
			w := b.post(r)
			line := b.log.last(t)
			client, _ := line["client"].(string)
			if w.Code != http.StatusForbidden || client != test.client || line["error"] != test.want {
				t.Errorf("status %d, client %v, error %v\nwant %s, %s", w.Code, line["client"], line["error"], test.client, test.want)
			}
			if text := w.Body.String(); test.client != "" && strings.Contains(text, test.client) || strings.Contains(text, "proxies") {
				t.Errorf("the sender is told %s", text)
			}
		})
	}
}

// The answer to an unknown path names what there is.
func TestWhatIsThere(t *testing.T) {
	b := newBridge(t, nil)
	b.MountAdmin("/api/v1", http.NotFoundHandler())
	for name, test := range map[string]struct {
		listener     http.Handler
		method, path string
		status       int
		want         string
	}{
		"the root of the public listener": {b.Public(), "GET", "/", 404, `POST /webhooks/{source}`},
		"metrics of the public listener":  {b.Public(), "GET", "/metrics", 404, `POST /webhooks/{source}`},
		"an unknown source":               {b.Public(), "POST", "/webhooks/nobody", 404, `POST /webhooks/{source}`},
		"a webhook in a browser":          {b.Public(), "GET", "/webhooks/github", 405, `wants a POST`},
		"the same with a slash":           {b.Public(), "GET", "/webhooks/github/", 405, `wants a POST`},
		"the root of the admin listener": {
			b.Admin(), "GET", "/nothing", 404, `{"error":"there is nothing at /nothing; here are /api/v1/…, /healthz, /metrics, /readyz"}`,
		},
		"an unknown path of it":    {b.Admin(), "GET", "/status", 404, `there is nothing at /status; here are /api/v1/…, /healthz, /metrics, /readyz`},
		"a webhook there":          {b.Admin(), "POST", "/webhooks/github", 404, `there is nothing at /webhooks/github; here are`},
		"another method of a path": {b.Admin(), "POST", "/metrics", 405, `POST is not for this path`},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			test.listener.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), test.method, test.path, nil))
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.want) {
				t.Errorf("status %d, want %d; answer %s, want %s", w.Code, test.status, w.Body, test.want)
			}
		})
	}
}

func TestPathsBelowASourceAreUnknownSources(t *testing.T) {
	b := newBridge(t, nil)
	for _, path := range []string{"/webhooks/github/more", "/webhooks/"} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader("{}"))
		w := b.post(r)
		if got := body(t, w.Body); w.Code != http.StatusNotFound || got["reason"] != "no_source" {
			t.Errorf("%s: status %d, %v", path, w.Code, got)
		}
	}
}
