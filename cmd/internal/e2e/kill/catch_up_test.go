package kill

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"buildbridge/handlers/codehost/codehosttest"
	"buildbridge/trigger/hostapi/hostapitest/gittest"
)

// catchUpRules read the refs of a Git server once a second.
func catchUpRules(endpoint, host string) string {
	return strings.Replace(rules(endpoint), "secrets: [{env: KILL_SECRET}]", fmt.Sprintf(
		"secrets: [{env: KILL_SECRET}], api: {url: %s, token: {env: KILL_TOKEN}}, catch_up: {every: 1s, missed: build}", host), 1)
}

// Every process is killed, and pushes go to a real Git server. Of some the deliveries are lost,
// of others they come late: while the processes are back, and killed again in the middle of
// looks. In the end the newest commit of every branch, and every tag, is built once.
func TestKillCatchUp(t *testing.T) {
	t.Parallel()
	for phrase, processes := range fleets() {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			git := gittest.NewServer(t, gittest.Options{Password: hostToken})
			w := &world{t: t, history: newHistory()}
			w.simulate(lagging())
			w.fault(lostAnswers(0.1, 0.05)...)
			at := database(t, processes)
			w.fleet = newFleet(t, at, catchUpRules(w.simulator.URL, git.URL))
			w.fleet.env = append(w.fleet.env, "KILL_TOKEN="+hostToken)
			w.host = newHost(t, w.fleet.public)
			p := &pushes{w: w, want: map[string]string{}}
			for i := range 2 {
				name, rule, _, _ := shop(i)
				repository := git.Repository(name)
				first := repository.Commit("main", "the first")
				repository.Tag("v0", first, "")
				p.repositories = append(p.repositories, &pushed{Repository: repository, rule: rule, at: map[string]string{"main": first}})
			}
			startAll := func() {
				for i := range processes {
					w.fleet.start(i)
				}
			}
			w.start(at, processes)
			eventually(t, "the first looks are over", func() bool {
				n := 0
				err := w.db.QueryRowContext(t.Context(), `SELECT count(*) FROM repositories WHERE looked_at > 0`).Scan(&n)
				return err == nil && n == len(p.repositories)
			})
			for round := range max(2, *rounds/2) {
				for i := range processes {
					w.fleet.kill(i)
				}
				p.outage(round)
				startAll()
				for range 3 {
					time.Sleep(rand.N(1200 * time.Millisecond)) // a random moment
					place := rand.N(processes)
					w.fleet.kill(place)
					w.fleet.start(place)
				}
				p.late.Wait()
				eventually(t, "every branch's newest commit and every tag is built", func() bool { return p.missing() == "" })
			}
			p.lookTwice() // and find nothing more
			w.drain()
			for key, n := range p.counts() {
				if n > 1 {
					t.Errorf("%s is built %d times\n%s", key, n, p.rows())
				}
			}
			if missing := p.missing(); missing != "" {
				t.Error(missing)
			}
			p.checkLast()
			t.Logf("%d builds of %d refs", len(p.counts()), len(p.want))
		})
	}
}

// pushed is a repository and where its branches are.
type pushed struct {
	*gittest.Repository

	rule string
	at   map[string]string
}

// pushes are those of an outage.
type pushes struct {
	w            *world
	repositories []*pushed
	want         map[string]string // by rule and ref, the commit or tag that has to be built
	late         sync.WaitGroup    // deliveries
}

// outage pushes to five branches, some new, and two tags. A third of the deliveries is lost, the
// others come late, in order.
func (p *pushes) outage(round int) {
	for _, r := range p.repositories {
		for _, branch := range []string{"main", "dev", "hot", fmt.Sprintf("new-%d", round), fmt.Sprintf("other-%d", round)} {
			var late []*delivery
			for i := range 1 + rand.N(3) {
				before := r.at[branch]
				r.at[branch] = r.Commit(branch, fmt.Sprintf("%s %d %d", branch, round, i))
				late = append(late, newDelivery(codehosttest.Change{
					Repository: r.Name, Branch: branch, Before: before, Commit: r.at[branch],
				}, "", []string{r.rule}))
			}
			p.expect(r.rule, "refs/heads/"+branch, r.at[branch])
			p.deliver(late)
		}
		for i, message := range []string{"", "annotated"} {
			tag, commit := fmt.Sprintf("v%d.%d", round+1, i), r.at["main"]
			r.Tag(tag, commit, message)
			p.w.history.mu.Lock()
			p.w.history.tags[tag] = commit // both repositories have it: the simulator compares names
			p.w.history.mu.Unlock()
			object := ""
			if message != "" {
				object = r.Git("rev-parse", tag)
			}
			p.expect(r.rule, "refs/tags/"+tag, tag)
			p.deliver([]*delivery{newDelivery(codehosttest.Change{Repository: r.Name, Tag: tag, Commit: commit}, object, []string{r.rule})})
		}
	}
}

func (p *pushes) expect(rule, ref, what string) { p.want[rule+" "+ref] = what }

func (p *pushes) deliver(late []*delivery) {
	if rand.N(3) == 0 {
		return
	}
	p.late.Go(func() {
		time.Sleep(rand.N(8 * time.Second)) // looks begin and end meanwhile
		for _, d := range late {
			if !p.w.host.deliver(p.w.t.Context(), d, false) {
				return
			}
		}
	})
}

// lookTwice waits until two looks at every repository that the host has have begun and ended.
func (p *pushes) lookTwice() {
	for range 2 {
		var before int64
		if err := p.w.db.QueryRowContext(p.w.t.Context(), `SELECT max(looked_at) FROM repositories WHERE looked_at > 0`).Scan(&before); err != nil {
			p.w.t.Fatal(err)
		}
		eventually(p.w.t, "every repository is looked at again", func() bool {
			var last int64
			err := p.w.db.QueryRowContext(p.w.t.Context(), `SELECT min(looked_at) FROM repositories WHERE looked_at > 0`).Scan(&last)
			return err == nil && last > before
		})
	}
}

// counts are how often each commit of a branch, and each tag, was built.
func (p *pushes) counts() map[string]int {
	counts := map[string]int{}
	keys, _ := p.w.started()
	for _, key := range keys {
		counts[key]++
	}
	return counts
}

// checkLast checks that no older commit of a branch is built after the newest.
func (p *pushes) checkLast() {
	last := map[string]string{} // by rule and ref
	keys, _ := p.w.started()
	for _, key := range keys {
		i := strings.LastIndex(key, " ")
		last[key[:i]] = key[i+1:]
	}
	for key, what := range p.want {
		if last[key] != what {
			p.w.t.Errorf("of %s, %s is built after %s", key, last[key], what)
		}
	}
}

// rows are all builds, for a failure.
func (p *pushes) rows() string {
	return p.w.lines(`SELECT seq || ' ' || repository || ' ' || ref || ' ' || commit_id || ' ' || origin
		|| ' ' || state || ' ' || build_no || ' ' || reason FROM builds ORDER BY seq`)
}

// missing is what is not built yet.
func (p *pushes) missing() string {
	counts := p.counts()
	for key, what := range p.want {
		if counts[key+" "+what] == 0 {
			return key + " " + what + " is not built"
		}
	}
	return ""
}
