package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// patience is how long to wait for what a page should show: far longer than that takes.
const patience = 30 * time.Second

// browser is a Chromium without a window.
type browser struct{ ctx context.Context }

// startChromium starts a browser. Without Chromium the test is skipped, but not in CI.
func startChromium(t *testing.T) browser {
	t.Helper()
	var path string
	names := []string{"chromium", "chromium-browser", "google-chrome"}
	for _, name := range slices.Backward(names) {
		if found, err := exec.LookPath(name); err == nil {
			path = found
		}
	}
	switch {
	case path != "":
	case os.Getenv("CI") == "":
		t.Skipf("SKIPPED, the pages are not opened: there is no %s here", strings.Join(names, ", "))
	default:
		t.Fatalf("there is no %s: the package is chromium", strings.Join(names, ", "))
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.WSURLReadTimeout(time.Minute), // for its start
		// It also leaves files in the folder for temporary ones.
		chromedp.Env("TMPDIR="+t.TempDir()),
		// No name is resolved: what a page asks of another host gets nowhere.
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
	)
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium refuses to be root with one
	}
	allocated, release := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	ctx, _ := chromedp.NewContext(allocated, chromedp.WithErrorf(t.Logf))
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Log(err)
		}
		release()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	return browser{ctx}
}

// tab is a tab of a window of its own, with its own cookies.
type tab struct {
	t    *testing.T
	ctx  context.Context
	root string // the address that all requests have to go to

	mu      sync.Mutex
	faults  []string
	allowed []string
}

// open opens a tab at the first page, 1,200 px wide and light. Faults that contain one of allowed are none.
func (chromium browser) open(t *testing.T, root string, allowed ...string) *tab {
	t.Helper()
	b := &tab{t: t, root: root, allowed: allowed}
	var closeTab context.CancelFunc
	b.ctx, closeTab = chromedp.NewContext(chromium.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(func() {
		closeTab()
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, fault := range b.faults {
			if !slices.ContainsFunc(b.allowed, func(known string) bool { return strings.Contains(fault, known) }) {
				t.Error(fault)
			}
		}
	})
	if _, err := chromedp.Call(b.ctx, network.Enable, network.EnableParams{}); err != nil { // opens the tab, which lives as long as this context
		t.Fatal(err)
	}
	command(b, audits.Enable, cdp.Empty{})
	command(b, log.Enable, cdp.Empty{})
	watch(b, network.RequestWillBeSent, func(e network.EventRequestWillBeSent) string {
		if strings.HasPrefix(e.Request.URL, root+"/") {
			return ""
		}
		return "a request to another host: " + e.Request.URL
	})
	watch(b, runtime.ConsoleAPICalled, func(e runtime.EventConsoleAPICalled) string {
		return fmt.Sprintf("console.%s: %s", e.Type, asJSON(e.Args))
	})
	watch(b, runtime.ExceptionThrown, func(e runtime.EventExceptionThrown) string { return "an exception: " + asJSON(e.ExceptionDetails) })
	watch(b, log.EntryAdded, func(e log.EventEntryAdded) string {
		if e.Entry.Level == log.EntryLevelVerbose { // advice
			return ""
		}
		return fmt.Sprintf("the console: %s: %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL)
	})
	watch(b, audits.IssueAdded, func(e audits.EventIssueAdded) string { return "an issue: " + asJSON(e.Issue) })
	watch(b, page.JavascriptDialogOpening, func(e page.EventJavascriptDialogOpening) string {
		_, _ = chromedp.Call(b.ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{}) // or the tab hangs
		return fmt.Sprintf("a dialog at %s: %s", e.URL, e.Message)
	})
	b.width(1200)
	b.scheme("light")
	b.open("/")
	return b
}

// watch notes what fault makes of each event, unless it is "".
func watch[E any](b *tab, event cdp.Event[E], fault func(E) string) {
	events := chromedp.Events(b.ctx, event)
	go func() {
		for e, err := range events {
			if err != nil {
				return // the tab is closed
			}
			if text := fault(e); text != "" {
				b.mu.Lock()
				b.faults = append(b.faults, text)
				b.mu.Unlock()
			}
		}
	}()
}

func asJSON(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// allow takes it that what happens from now on contains a text.
func (b *tab) allow(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.allowed = append(b.allowed, text)
}

// run lets the browser do something.
func (b *tab) run(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// command sends a command of the DevTools protocol.
func command[P, R any](b *tab, c cdp.Command[P, R], params P) R {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	result, err := chromedp.Call(ctx, c, params)
	if err != nil {
		b.t.Fatal(err)
	}
	return result
}

// call calls a JavaScript function with arguments. It works without the page's JavaScript, and is not bound by
// its Content-Security-Policy.
func call[T any](b *tab, function string, arguments ...any) (T, error) {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](fmt.Sprintf("(%s)(...%s)", function, asJSON(append([]any{}, arguments...))), chromedp.EvalAwaitPromise))
}

// ask calls a JavaScript function that cannot fail.
func ask[T any](b *tab, function string, arguments ...any) (result T) {
	b.t.Helper()
	result, err := call[T](b, function, arguments...)
	if err != nil {
		b.t.Fatalf("%s: %v", function, err)
	}
	return result
}

// until waits until a JavaScript function gives true.
func (b *tab) until(what, function string, arguments ...any) {
	b.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		is, err := call[bool](b, function, arguments...) // fails while a page is left
		if err == nil && is {
			return
		}
		if time.Now().After(end) {
			b.t.Fatalf("after %s there is not: %s (%v). The page:\n%s", patience, what, err, b.text())
		}
	}
}

// text is what the page shows.
func (b *tab) text() string {
	return ask[string](b, `() => location.pathname + location.search + "\n" + document.body.innerText`)
}

// path is the address of the page, without the root.
func (b *tab) path() string {
	return ask[string](b, `() => location.pathname + location.search`)
}

// open opens a page by its address, as a link on a commit does.
func (b *tab) open(path string) {
	b.t.Helper()
	b.run(chromedp.Navigate(b.root + path))
}

// width sets the width of the window in px.
func (b *tab) width(px int64) {
	b.t.Helper()
	command(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: px, Height: 800, DeviceScaleFactor: 1})
}

// scheme sets what the reader prefers: light or dark.
func (b *tab) scheme(name string) {
	b.t.Helper()
	command(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: name}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
}

// withoutScript switches the JavaScript of pages off.
func (b *tab) withoutScript() {
	b.t.Helper()
	command(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
}

// aim gives where an element is in the window, and lets a click on anything else do nothing: the page may change
// before the mouse is there. It scrolls there. It is null if there is none, or if something lies over it. An
// element is meant by a selector and a part of its text or value.
const aim = `(selector, text) => {
	for (const e of document.querySelectorAll(selector)) {
		if (!(e.innerText || e.value || "").includes(text) || !e.getClientRects().length) continue;
		e.scrollIntoView({block: "center", behavior: "instant"});
		const r = e.getClientRects()[0], x = r.x + r.width / 2, y = r.y + r.height / 2;
		const top = document.elementFromPoint(x, y);
		if (!top || !e.contains(top) && !top.contains(e)) continue;
		window.aimed?.away.abort();
		const away = new AbortController(), aimed = window.aimed = {e, away};
		for (const type of ["mousedown", "click"]) {
			addEventListener(type, event => {
				const hit = e.isConnected && (e.contains(event.target) || event.target === top);
				if (type === "click") away.abort();
				aimed.missed ||= !hit;
				aimed.clicked = type === "click";
				if (!aimed.missed) return;
				event.preventDefault();
				event.stopImmediatePropagation();
			}, {capture: true, signal: away.signal});
		}
		return [x, y];
	}
	return null;
}`

// missed tells, after a click, whether it went elsewhere. A page that was left knows nothing of it, and one
// without JavaScript does not change.
const missed = `() => {
	const aimed = window.aimed;
	aimed?.away.abort();
	return !!aimed && (!!aimed.missed || !aimed.clicked && !aimed.e.isConnected);
}`

// click clicks with the mouse on the first element of a selector whose text contains a text.
func (b *tab) click(selector, text string) {
	b.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		at, err := call[[]float64](b, aim, selector, text) // fails while a page is left
		if err == nil && len(at) == 2 {
			b.run(chromedp.MouseClickXY(at[0], at[1]))
			if again, err := call[bool](b, missed); err != nil || !again {
				return // an error means that the page is left
			}
		}
		if time.Now().After(end) {
			b.t.Fatalf("for %s there was nothing to click on: %s %q (%v). The page:\n%s", patience, selector, text, err, b.text())
		}
	}
}

// follow clicks on what leads to another page, and waits for that page.
func (b *tab) follow(selector, text string) {
	b.t.Helper()
	b.leave(func() { b.click(selector, text) })
}

// leave waits until there is another page after do.
func (b *tab) leave(do func()) {
	b.t.Helper()
	before := ask[float64](b, `() => performance.timeOrigin`)
	do()
	b.until("another page", `before => performance.timeOrigin !== before && document.readyState === "complete"`, before)
}

// write clicks into a field and types, in place of what is there.
func (b *tab) write(selector, text string) {
	b.t.Helper()
	b.click(selector, "")
	b.replace(text)
}

// replace types into the field with the focus, in place of what is there.
func (b *tab) replace(text string) {
	b.t.Helper()
	b.run(chromedp.KeyEvent("a", chromedp.KeyModifiers(chromedp.ModifierCtrl)), chromedp.KeyEvent(kb.Backspace))
	b.run(chromedp.KeyEvent(text))
}

// press presses a key.
func (b *tab) press(key string, with ...chromedp.KeyOption) {
	b.t.Helper()
	b.run(chromedp.KeyEvent(key, with...))
}
