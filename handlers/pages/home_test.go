package pages_test

import (
	"net/http"
	"testing"
	"time"

	"buildbridge/handlers/admin"
	"buildbridge/trigger/store"
)

const hostileName = `<script>alert("1")</script>`

func TestHomeSaysThatAllIsWell(t *testing.T) {
	b := newBridge(t)
	b.overview.Rules, b.overview.Replicas = 2, []store.Replica{{Name: "one", Leads: true, Self: true}}
	b.overview.Targets = []store.TargetState{
		{Target: "north", InRules: true, Running: 3, Waiting: 4}, {Target: "south", InRules: true, Running: 1, Waiting: 1},
	}
	page := b.get("/", http.StatusOK)
	has(t, page, "Everything works.", "4 builds running", "5 waiting", "2 rules in force", "1 replica<", "version 1.2.3", "No builds.", "No deliveries.")
	hasNot(t, page, "went wrong", "<h2>Held</h2>", "Last rejected", "not work")
}

func TestHomeSaysWhatDoesNotWork(t *testing.T) {
	b := newBridge(t)
	b.overview.OnHold = true
	b.overview.Faults = []store.Fault{
		{Says: "no replica leads"},
		{About: store.FaultOfTarget, Name: "north/" + hostileName, Says: "target " + hostileName + ": refused"},
		{About: store.FaultOfSource, Name: "github", Says: "source github takes no statuses: the token is wrong"},
		{About: store.FaultMissed, Name: "git&hub", Says: "source git&hub: 1 push was missed"},
		{About: store.FaultOfRules, Says: "the rules' files have faults"},
	}
	b.overview.Pauses = []admin.Pause{
		{Kind: store.PauseAll, Reason: "moving", Actor: "ann", Since: time.Unix(1e9, 0)},
		{Kind: store.PauseTarget, Name: "north", Reason: hostileName, Actor: hostileName, Until: time.Unix(2e9, 0)},
		{Kind: store.PauseRepository, Name: "acme/it's", Reason: "frozen"},
		{Kind: store.PauseRule, Name: "cart", Reason: "until the freeze ends", InRules: true},
	}
	b.overview.Targets = []store.TargetState{{Target: "north", InRules: true, Waiting: 9, Paused: 4, Held: 1}}
	b.build(func(b *store.Build) { b.State, b.Reason = store.Dead, "refused" })
	canceled := b.build()
	if _, err := b.store.Cancel(t.Context(), canceled.ID, "ann", ""); err != nil {
		t.Fatal(err)
	}
	b.build(func(b *store.Build) {
		b.State, b.CalledAt, b.StartedAt, b.BuildNumber, b.Service = store.Started, time.Now(), time.Now(), "7", "north"
		b.Result, b.EndedAt = store.Failure, time.Now()
	})
	b.build(func(b *store.Build) { b.State, b.CalledAt = store.Unknown, time.Now() })
	b.server.Public().ServeHTTP(discard{}, request(http.MethodPost, "/webhooks/none", ""))

	page := b.get("/", http.StatusOK)
	hasNot(t, page, "Everything works.", "<script>alert")
	has(t, page, "It was started on hold", "no replica leads</span>",
		`<a href="targets#north%2F%3Cscript%3Ealert%28%221%22%29%3C%2Fscript%3E">more of it</a>`,
		`<a href="targets#sources">more of it</a>`, `<a href="missed?source=git%26hub">more of it</a>`, `<a href="rules">more of it</a>`,
		"target &lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt;: refused",
		"buildbridge resume --all</code>", "buildbridge resume --target=north</code>", "until <time", `<a href="rules/cart">rule cart</a>`,
		`--repository=&#39;acme/it&#39;\&#39;&#39;s&#39;</code>`, `taken out`,
		"4 builds of target north</a>, by a pause", "1 build of target north</a>, by max_running",
		"went wrong", `&amp;state=dead">1 build</a>`, `href="builds?result=failure&amp;since=`, "Last rejected", "404 no source",
		`&amp;state=unknown">1 build</a>`, "<small>refused</small>")
}

// discard is an answer that nobody reads.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}
