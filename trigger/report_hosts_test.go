package trigger_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"buildbridge/mapping"
	"buildbridge/trigger"
	"buildbridge/trigger/codearts/codeartstest"
	"buildbridge/trigger/hostapi"
	"buildbridge/trigger/hostapi/hostapitest"
	"buildbridge/trigger/store"
)

// The real clients tell simulated hosts that fail a third of the time, and one of them is away at first. At the
// end each commit shows the end of its newest build, and nothing is pending.
func TestHostsShowTheNewestState(t *testing.T) {
	t.Parallel()
	words := map[string][3]string{ // success, failure, canceled
		hostapitest.GitHub:          {"success", "failure", "error"},
		hostapitest.GitLab:          {"success", "failed", "canceled"},
		hostapitest.Gitee:           {"success", "failure", "cancelled"},
		hostapitest.Gitea:           {"success", "failure", "error"},
		hostapitest.Bitbucket:       {"SUCCESSFUL", "FAILED", "STOPPED"},
		hostapitest.BitbucketServer: {"SUCCESSFUL", "FAILED", "CANCELLED"},
		hostapitest.AzureDevOps:     {"succeeded", "failed", "notApplicable"},
	}
	for provider, word := range words {
		t.Run(provider, func(t *testing.T) {
			t.Parallel()
			sim := hostapitest.NewServer(hostapitest.Options{Token: "secret"})
			t.Cleanup(sim.Close)
			var away atomic.Bool
			away.Store(provider == hostapitest.GitLab)
			transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				if away.Load() {
					return nil, errors.New("it is away")
				}
				return new(net.Dialer).DialContext(ctx, network, address)
			}}
			t.Cleanup(transport.CloseIdleConnections)
			client, err := hostapi.New(hostapi.Options{
				Provider: provider, URL: sim.URL, Transport: transport, Token: func() (mapping.Secret, error) { return "secret", nil },
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(client.Close)
			for _, f := range []hostapitest.Fault{
				{Status: 502, Probability: 0.15},
				{Drop: hostapitest.DropAfter, Probability: 0.15},
			} {
				if err := sim.AddFault(f); err != nil {
					t.Fatal(err)
				}
			}
			b := newFollower(t, settings{hosts: []trigger.Host{{Source: "github", API: client}}, sim: codeartstest.Options{BuildTime: 500 * time.Millisecond}})
			newest := map[string]string{}
			for i := range 12 {
				p := reported(fmt.Sprintf("%040x", i%4+1))
				p.Ref = fmt.Sprint("refs/heads/b", i/4%2)
				b.outcome(t, codeartstest.Outcome{Result: []string{"SUCCESS", "FAILURE", "ABORTED"}[i%3], Queued: 500 * time.Millisecond, After: time.Second})
				id := b.deliverOld(t, p)[0]
				newest[p.Commit] = id
				if i%4 == 3 {
					b.await(t, id, store.Started)
				}
			}
			away.Store(false)
			again := time.Now()
			retried := again
			for commit, id := range newest {
				until(t, "all is said of commit "+commit, func() bool {
					st := b.status(t, id)
					if time.Since(retried) > time.Second { // the waits after failures become ever longer
						retried = time.Now()
						b.sql(t, `UPDATE statuses SET due_at = 1 WHERE due_at > 0 AND worker = '' AND attempts > 0`)
					}
					if time.Since(again) > 10*time.Second { // so do those of a host that was away
						sim.ClearFaults()
					}
					return st.DueAt.IsZero() && st.Sent != ""
				})
				row := b.await(t, id, store.Started)
				want := word[slices.Index([]store.Result{store.Success, store.Failure, store.Aborted}, row.Result)]
				var last hostapitest.Status
				for _, s := range sim.Statuses() {
					if s.Commit == commit {
						last = s
					}
				}
				if last.State != want {
					t.Errorf("commit %s shows %q (%s), want %q; %+v", commit, last.State, last.Description, want, b.status(t, id))
				}
			}
			for _, s := range sim.Shown() {
				if slices.Contains([]string{"pending", "running", "queued", "in_progress", "INPROGRESS"}, s.State) {
					t.Errorf("it still shows %+v", s)
				}
			}
		})
	}
}
