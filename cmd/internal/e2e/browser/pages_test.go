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
	var found map[string][]string // paths by their kinds
	t.Run("mouse", func(t *testing.T) { found = walk(openTab(t, chromium, w.Admin)) })
	if t.Failed() && len(found) == 0 {
		return
	}
	t.Run("at once", func(t *testing.T) {
		for name, test := range map[string]func(t *testing.T, w *world, b *tab){
			"look":     func(t *testing.T, _ *world, b *tab) { look(t, b, found, string(script)) },
			"keyboard": func(_ *testing.T, _ *world, b *tab) { keyboard(b, found) },
			"live":     func(_ *testing.T, w *world, b *tab) { live(w, b) },
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, w.as(t), openTab(t, chromium, w.Admin))
			})
		}
	})
}

// links are the addresses of a page's links to pages, as they are written, by where they lead.
const links = `() => Object.fromEntries([...document.querySelectorAll("a[href]")].
	filter(a => a.origin === location.origin && a.getClientRects().length && !a.hash && !a.hasAttribute("download")).
	map(a => [a.pathname + a.search, a.getAttribute("href")]))`

// walk opens pages by clicks on the links of the first page and of what they lead to. It gives the paths that
// were opened, by their kinds.
func walk(b *tab) map[string][]string {
	b.t.Helper()
	const most = 14 // of a kind
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
			if (!/^https?:$/.test(a.protocol)) faults.push("links to " + a.href);
			if (a.origin !== location.origin && !(a.relList.contains("noreferrer") && a.relList.contains("noopener"))) faults.push("tells " + a.href + " of itself");
		}
		return faults;
	}`) {
		b.t.Errorf("%s %s", b.path(), fault)
	}
}

// look looks at pages with axe-core in light and dark, and in a narrow window.
func look(t *testing.T, b *tab, found map[string][]string, script string) {
	for _, paths := range found {
		for _, path := range paths {
			b.open(path)
			b.axe(script, "tag", "wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
			b.scheme("dark")
			b.axe("", "rule", "color-contrast")
			b.scheme("light")
			b.width(400)
			if wide := ask[[]string](b, `() => document.documentElement.scrollWidth <= 400 ? [] :
				[...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > 400).slice(0, 3).map(e => e.outerHTML.slice(0, 200))`); len(wide) > 0 {
				t.Errorf("%s is wider than 400 px: %s", path, strings.Join(wide, "\n"))
			}
			if ask[float64](b, `() => parseFloat(getComputedStyle(document.querySelector("main")).fontSize)`) < 16 {
				t.Errorf("the text of %s is smaller than 16 px", path)
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
			const all = [...document.querySelectorAll("a[href], button, input, select, textarea, summary")].filter(e => e.checkVisibility() && e.type !== "hidden" && !e.disabled);
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
	b.press("/") // to the search
	b.run(chromedp.KeyEvent("checkout"))
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
