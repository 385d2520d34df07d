package browser

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

var axe = flag.String("axe", "", "the file axe.min.js of axe-core, which TestPages needs")

// kinds are the pages that there are. What stands for a name or an id is *.
var kinds = []string{"/", "/builds", "/builds/*", "/deliveries", "/deliveries/*", "/rules", "/rules/*", "/repositories/*", "/targets", "/missed"}

// kindOf is the kind of a path.
func kindOf(path string) string {
	path, _, _ = strings.Cut(path, "?")
	if section, name, ok := strings.Cut(path[1:], "/"); ok && name != "" {
		return "/" + section + "/*"
	}
	return path
}

// TestPages opens the pages of the real program after a day.
func TestPages(t *testing.T) {
	if *axe == "" {
		t.Skip("SKIPPED, the pages are not opened in a browser: make browser does, with axe-core")
	}
	script, err := os.ReadFile(*axe)
	if err != nil {
		t.Fatal(err)
	}
	chromium := startChromium(t)
	w := newWorld(t)
	w.day()
	w.strange()
	var found map[string][]string // paths by their kinds
	t.Run("mouse", func(t *testing.T) { found = walk(chromium.open(t, w.Admin), 12) })
	if t.Failed() && len(found) == 0 {
		return
	}
	t.Run("at once", func(t *testing.T) {
		for name, test := range map[string]func(w *world, b *tab){
			"look": func(w *world, b *tab) {
				strange := "repository=acme/strange"
				look(b, map[string][]string{"": {"/builds/" + w.newestID("builds", strange), "/deliveries/" + w.newestID("deliveries", strange)}}, string(script))
				look(b, found, string(script))
			},
			"without JavaScript": func(_ *world, b *tab) { withoutScript(b, found) },
			"keyboard":           func(_ *world, b *tab) { keyboard(b, found) },
			"bad input":          func(_ *world, b *tab) { badInput(b, found, string(script)) },
			"live":               live,
			"search":             search,
			"filters":            filters,
			"act":                act,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(w.as(t), chromium.open(t, w.Admin))
			})
		}
		t.Run("reading only", func(t *testing.T) {
			t.Parallel()
			b := chromium.open(t, w.pages, "401 (Unauthorized)")
			b.write("[name=token]", readToken)
			b.leave(func() { b.press(kb.Enter) })
			readOnly(b)
		})
	})
	t.Run("lost", func(t *testing.T) { lost(w.as(t), chromium.open(t, w.Admin)) })
	t.Run("open to all", func(t *testing.T) { readOnly(chromium.open(t, w.pages)) })
}

// links are the addresses of a page's links to pages, as they are written, by where they lead. Bodies, which are
// text, are no pages.
const links = `() => Object.fromEntries([...document.querySelectorAll("a[href]")].
	filter(a => a.origin === location.origin && a.getClientRects().length && !a.hash && !a.pathname.endsWith("/body")).
	map(a => [a.pathname + a.search, a.getAttribute("href")]))`

// walk opens pages by clicks on the links of the first page and of what they lead to, at most so many of a kind.
// It gives the paths that were opened, by their kinds.
func walk(b *tab, most int) map[string][]string {
	b.t.Helper()
	found := map[string][]string{"/": {"/"}}
	known := map[string]bool{"/": true}
	var from func()
	from = func() {
		here := b.path()
		b.sound()
		leads := ask[map[string]string](b, links)
		for _, to := range slices.Sorted(maps.Keys(leads)) {
			kind := kindOf(to)
			if strings.Contains(to, "?") {
				kind += "?"
			}
			if known[to] || len(found[kind]) >= most || kind == "/login" || strings.HasSuffix(kind, "?") && len(found[kind]) >= 2 {
				continue
			}
			known[to] = true
			found[kind] = append(found[kind], to)
			b.follow(fmt.Sprintf("a[href=%q]", leads[to]), "")
			from()
			b.leave(func() { b.run(chromedp.NavigateBack()) })
			if got := b.path(); got != here {
				b.t.Fatalf("back from %s is %s, want %s", to, got, here)
			}
		}
	}
	from()
	for _, kind := range kinds {
		if len(found[kind]) == 0 {
			b.t.Errorf("no click leads to a page %s", kind)
		}
	}
	return found
}

// sound checks what every page has to be.
func (b *tab) sound() {
	b.t.Helper()
	for _, fault := range ask[[]string](b, `() => {
		const html = document.documentElement.outerHTML, faults = [];
		if (document.contentType !== "text/html") return faults;
		if (document.querySelectorAll("h1").length !== 1) faults.push("has not one h1");
		if (!document.title.includes("buildbridge")) faults.push("has the title " + document.title);
		if (new Blob([html]).size > 100e3) faults.push("has " + html.length + " bytes");
		for (const bad of ["ZgotmplZ", "<no value>", "&lt;no value&gt;", "%!", "0001-01-01"]) if (html.includes(bad)) faults.push("has " + bad);
		for (const a of document.querySelectorAll("a[href]")) {
			const to = new URL(a.getAttribute("href"), location); // also of an SVG
			if (!/^https?:$/.test(to.protocol)) faults.push("links to " + to);
			if (to.origin !== location.origin && !(a.relList.contains("noreferrer") && a.relList.contains("noopener"))) faults.push("tells " + to + " of itself");
		}
		return faults;
	}`) {
		b.t.Errorf("%s %s", b.path(), fault)
	}
}

// look looks at pages with axe-core in light and dark, and in a narrow window.
func look(b *tab, found map[string][]string, script string) {
	for kind, paths := range found {
		most := 2
		if kind == "/builds/*" { // which differ most
			most = 6
		}
		paths = paths[:min(len(paths), most)]
		for _, path := range paths {
			b.open(path)
			b.axe(script, "tag", "wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
			b.scheme("dark")
			b.axe("", "rule", "color-contrast")
			b.scheme("light")
			b.width(400)
			if wide := ask[[]string](b, `() => document.documentElement.scrollWidth <= 400 ? [] :
				[...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > 400).slice(0, 3).map(e => e.outerHTML.slice(0, 200))`); len(wide) > 0 {
				b.t.Errorf("%s is wider than 400 px: %s", path, strings.Join(wide, "\n"))
			}
			if ask[float64](b, `() => parseFloat(getComputedStyle(document.querySelector("main")).fontSize)`) < 16 {
				b.t.Errorf("the text of %s is smaller than 16 px", path)
			}
			b.width(1200)
		}
	}
}

// axe lets axe-core look at the page, by some rules or those with some tags: by says which. script is axe-core,
// "" if the page has it.
func (b *tab) axe(script, by string, names ...string) {
	b.t.Helper()
	if script != "" { // a content script, to which the page's Content-Security-Policy does not apply
		b.run(chromedp.Evaluate[chromedp.Void](script))
	}
	for _, violation := range ask[[]string](b, `async (type, values) => {
		const found = await axe.run(document, {runOnly: {type, values}, resultTypes: ["violations"]});
		return found.violations.map(v => v.id + " (" + v.help + "): " + v.nodes.slice(0, 3).map(n => n.html + " " + n.failureSummary).join("\n"));
	}`, by, names) {
		b.t.Errorf("%s: %s", b.path(), violation)
	}
}

// keyboard reaches everything that can be used on a page of each kind by the key Tab, and sees where it is.
func keyboard(b *tab, found map[string][]string) {
	const (
		mark = `() => {
			const all = [...document.querySelectorAll("a[href], button, input, select, textarea, summary")].filter(e => e.checkVisibility() && e.type !== "hidden" && !e.disabled && e.tabIndex >= 0);
			document.activeElement.blur();
			return all.length;
		}`
		focus = `() => {
			const e = document.activeElement;
			if (!e || e === document.body) return null;
			const s = getComputedStyle(e), r = e.getBoundingClientRect();
			const seen = s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2 && r.bottom > 0 && r.top < innerHeight && r.right > 0 && r.left < innerWidth;
			return [e.outerHTML.slice(0, 120), seen ? "" : "not seen"];
		}`
	)
	for _, kind := range kinds {
		if len(found[kind]) == 0 {
			continue
		}
		b.open(found[kind][0])
		all := ask[int](b, mark)
		reached := 0
		for ; reached <= 2*all+10; reached++ {
			b.press(kb.Tab)
			at := ask[[]string](b, focus)
			if at == nil {
				break
			}
			if at[1] != "" {
				b.t.Errorf("%s: with the focus, this is %s: %s", b.path(), at[1], at[0])
			}
		}
		if reached < all {
			b.t.Errorf("%s: the key Tab reaches %d of %d things", b.path(), reached, all)
		}
	}
	b.open("/")
	b.press("/", chromedp.KeyModifiers(chromedp.ModifierCtrl)) // to the search
	b.until("the focus in the search", `() => document.activeElement.id === "q"`)
	b.replace("checkout")
	b.leave(func() { b.press(kb.Enter) })
	if got := b.path(); !strings.HasPrefix(got, "/search?q=checkout") && !strings.HasPrefix(got, "/rules/checkout") {
		b.t.Errorf("the search leads to %s", got)
	}
}

// live follows a build in one open tab, from accepted to failed.
func live(w *world, b *tab) {
	w.api("POST", "pauses", `{"kind": "rule", "name": "live", "reason": "until somebody looks"}`)
	id := w.push("accepted", "acme/live", "main", "cart.go")[0]
	b.follow("nav a", "Builds")
	b.follow(fmt.Sprintf("a[href$=%q]", id), "")
	begun := ask[float64](b, `() => performance.timeOrigin`)
	b.until("why it waits", `() => document.querySelector("main").innerText.includes("until somebody looks")`)
	b.write("#q", "feature/gift")
	w.api("DELETE", "pauses?kind=rule&name=live", "")
	for _, sees := range []string{"running", "failure"} {
		b.until("the badge "+sees, `word => [...document.querySelectorAll("main .badge")].some(e => e.innerText.trim() === word)`, sees)
	}
	b.until("the step that failed", `() => ["Compile", "cart.go:12: undefined: total"].every(text => document.querySelector("main").innerText.includes(text))`)
	if got := ask[string](b, `() => document.activeElement.id + " " + document.activeElement.value`); got != "q feature/gift" {
		b.t.Errorf("the focus is now on %q, want the search with what was typed", got)
	}
	if ask[float64](b, `() => performance.timeOrigin`) != begun {
		b.t.Error("the page was loaded again")
	}
}

// withoutScript opens pages as a browser without JavaScript does.
func withoutScript(b *tab, found map[string][]string) {
	b.withoutScript()
	for _, kind := range kinds {
		for _, path := range found[kind][:min(len(found[kind]), 2)] {
			b.open(path)
			b.sound()
		}
	}
	b.open("/")
	b.follow("nav a", "Builds")
	b.write("[name=repository]", "acme/blog")
	b.follow("form.filters button", "")
	if got := b.path(); got != "/builds" && !strings.Contains(got, "repository=acme%2Fblog") {
		b.t.Errorf("the filter leads to %s", got)
	}
	onlyOf(b, "acme/blog")
	b.write("#q", "release")
	b.follow("#search button", "")
	b.until("what was found", `() => document.querySelector("main").innerText.includes("release")`)
}

// onlyOf waits until all rows of the list are of a repository, and there are some.
func onlyOf(b *tab, repository string) {
	b.t.Helper()
	b.until("only "+repository, `repository => {
		const rows = [...document.querySelectorAll("main tbody tr")];
		return rows.length > 0 && rows.every(row => row.innerText.includes(repository));
	}`, repository)
}

// filters types and chooses: the list is another one at once.
func filters(_ *world, b *tab) {
	for _, list := range []string{"Builds", "Deliveries"} {
		b.follow("nav a", list)
		b.write("[name=repository]", "acme/desktop")
		onlyOf(b, "acme/desktop")
		if got := ask[string](b, `() => document.activeElement.name + " " + document.activeElement.value`); got != "repository acme/desktop" {
			b.t.Errorf("the focus is now on %q", got)
		}
		b.write("[name=repository]", "acme/nowhere")
		b.until("an empty list", `() => !document.querySelector("main tbody tr")`)
	}
	b.follow("nav a", "Builds")
	begun := ask[float64](b, `() => performance.timeOrigin`)
	b.run(chromedp.Evaluate[chromedp.Void](`document.querySelector("[name=state]").focus()`))
	b.run(chromedp.KeyEvent("superseded"))
	b.until("the only build that another replaced", `() => document.querySelectorAll("main tbody tr").length === 1 && document.querySelector("main tbody").innerText.includes("superseded")`)
	if ask[float64](b, `() => performance.timeOrigin`) != begun {
		b.t.Error("the page was loaded again")
	}
}

// search searches by the mouse.
func search(w *world, b *tab) {
	release := w.newest("builds", "rule=release")
	id := fmt.Sprint(release["id"])
	for text, path := range map[string]string{
		id:                              "/builds/" + id,
		id[:20]:                         "/builds/" + id,
		fmt.Sprint(release["delivery"]): "/deliveries/" + fmt.Sprint(release["delivery"]),
	} {
		b.write("#q", text)
		b.follow("#search button", "")
		if got := b.path(); got != path {
			b.t.Errorf("the search for %s leads to %s, want %s", text, got, path)
		}
	}
	for _, text := range []string{"acme/shop", "checkout", "feature/gift-cards", "v1.4.0", fmt.Sprint(w.newest("builds", "rule=cart")["commit"])[:8], fmt.Sprint(release["build_number"]), hostileImage, hostileScript} {
		b.write("#q", text)
		b.follow("#search button", "")
		if got := b.text(); !strings.Contains(got, text) {
			b.t.Errorf("the search for %s finds:\n%s", text, got)
		}
	}
	b.write("#q", "nothing-is-called-so")
	b.follow("#search button", "")
	b.sound()
}

// badInput opens pages that there are not.
func badInput(b *tab, found map[string][]string, script string) {
	b.allow("400 (Bad Request)")
	b.allow("404 (Not Found)")
	if len(found["/builds/*"]) == 0 || len(found["/deliveries/*"]) == 0 {
		b.t.Fatal("there are no pages")
	}
	_, build, _ := strings.Cut(found["/builds/*"][0][1:], "/")
	_, delivery, _ := strings.Cut(found["/deliveries/*"][0][1:], "/")
	for path, status := range map[string]int{
		"/builds/nonsense":            404,
		"/builds/" + delivery:         404,
		"/deliveries/" + build:        404,
		"/builds?state=melted":        400,
		"/builds?sate=dead":           400,
		"/builds?after=1":             200,
		"/deliveries?outcome=nothing": 400,
		"/rules/no such rule":         404,
		"/repositories/acme/nowhere":  404,
		"/nowhere/at/all":             404,
	} {
		b.open(path)
		b.sound()
		b.axe(script, "tag", "wcag2a", "wcag2aa")
		if got := ask[int](b, `() => performance.getEntriesByType("navigation")[0].responseStatus`); got != status {
			b.t.Errorf("%s is answered with %d, want %d:\n%s", path, got, status, b.text())
		}
		if len(ask[map[string]string](b, strings.Replace(links, `"a[href]"`, `"main a[href]"`, 1))) == 0 && status != 200 {
			b.t.Errorf("%s shows no way on:\n%s", path, b.text())
		}
	}
}

// lost kills the program while a page is open: the page says so, until the program is there again.
func lost(w *world, b *tab) {
	for _, name := range []string{"CONNECTION_REFUSED", "CONNECTION_RESET", "INCOMPLETE_CHUNKED_ENCODING", "EMPTY_RESPONSE", "NETWORK_CHANGED"} {
		b.allow("net::ERR_" + name)
	}
	b.follow("nav a", "Builds")
	const lost = `() => document.getElementById("sign").innerText.includes("Connection lost")`
	w.Kill()
	b.until("a sign that the connection is lost", lost)
	w.Process = w.start("--pages-open")
	b.until("no sign", `() => document.getElementById("sign").innerText === ""`)
	id := w.push("accepted", "acme/website", "after", "index.html")[0]
	b.until("the newest build", `id => !!document.querySelector("main a[href$=" + JSON.stringify(id) + "]")`, id)
}

// readOnly looks for a way to change something.
func readOnly(b *tab) {
	for kind, paths := range walk(b, 1) {
		b.open(paths[0])
		if forms := ask[[]string](b, `() => [...document.querySelectorAll("form[method=post]")].filter(f => !f.action.endsWith("/logout")).map(f => f.outerHTML)`); len(forms) > 0 {
			b.t.Errorf("%s can change something: %s", kind, forms)
		}
	}
}

// act logs in, uses each form that changes something, and logs out.
func act(w *world, b *tab) {
	b.allow("401 (Unauthorized)")
	b.allow("409 (Conflict)")
	b.follow("nav a", "Builds")
	b.follow("main tbody tr:first-child a", "")
	here := b.path()
	b.follow("a", "Log in")
	b.write("[name=token]", "wrong")
	b.follow("main button", "Log in")
	b.until("a refusal", `() => document.querySelector("main [role=alert]")?.innerText.length > 0`)
	b.write("[name=token]", w.token())
	b.follow("main button", "Log in")
	if got := b.path(); got != here {
		b.t.Errorf("the login leads to %s, want %s", got, here)
	}
	failed := w.newestID("builds", "rule=checkout&result=failure&job_id="+browserJob)
	b.open("/builds/" + failed)
	b.follow("main button", "Replay")
	if got := b.path(); !strings.HasPrefix(got, "/builds/") || strings.HasSuffix(got, failed) {
		b.t.Errorf("the replay of %s leads to\n%s", failed, b.text())
	}
	b.open("/builds/" + w.newestID("builds", "rule=nightly&result=running"))
	b.follow("main button", "Stop")
	b.until("its end", `() => document.querySelector("main").innerText.includes("aborted")`)
	b.open("/builds/" + w.newestID("builds", "rule=payments&state=waiting"))
	b.follow("main button", "Cancel")
	b.until("its end", `() => document.querySelector("main").innerText.includes("canceled by")`)
	b.follow("nav a", "Deliveries")
	b.follow("main tbody tr:last-child a", "")
	delivery := b.path()
	b.follow("main button", "Replay")
	if got := b.path(); got == delivery || kindOf(got) != "/deliveries/*" && kindOf(got) != "/builds/*" { // what came of it
		b.t.Errorf("the replay leads to %s", got)
	}
	b.follow("button", "Log out")
	b.open("/builds/" + failed)
	if ask[bool](b, `() => !!document.querySelector("main form[method=post]")`) {
		b.t.Error("after the logout there is a form")
	}
}
