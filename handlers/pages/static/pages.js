"use strict";
// Pages work without this. With it they renew themselves, lists filter as one types, times say how
// long ago they are, and Ctrl+/ goes to the search.
(() => {
  const main = document.getElementById("main");
  const sign = document.getElementById("sign");
  const search = document.getElementById("q");
  const parse = (html) => new DOMParser().parseFromString(html, "text/html");

  let skew = 0; // how far the server's clock is ahead of this one, in ms
  let seen = Date.now(); // when the page was last known to be right

  // say shows a sentence above the page, "" for none.
  function say(text) {
    if (sign.textContent !== text) sign.textContent = text;
  }
  function stale(why) {
    say(`${why} This is how it was at ${new Date(seen + skew).toISOString().slice(11, 19)}.`);
  }
  async function refusal(answer) {
    return parse(await answer.text()).querySelector("main p")?.textContent || "No answer.";
  }

  // Only what differs is replaced: focus, selection, open details and typed text stay.

  const key = (node) => node?.id || node?.dataset?.key;
  const same = (a, b) => a?.nodeName === b.nodeName && key(a) === key(b);
  const kept = (node, name) => name === "data-ago" || (name === "open" && node.nodeName === "DETAILS");

  function typed(node) {
    if (node.type === "checkbox" || node.type === "radio") return node.checked !== node.defaultChecked;
    if (node.nodeName === "SELECT") return [...node.options].some((o) => o.selected !== o.defaultSelected);
    return "defaultValue" in node && node.value !== node.defaultValue;
  }

  function renew(old, fresh) {
    if (old.isEqualNode(fresh)) return;
    if (old.nodeType !== Node.ELEMENT_NODE) {
      old.data = fresh.data;
      return;
    }
    if (typed(old)) return;
    for (const { name, value } of fresh.attributes) {
      if (!kept(old, name)) old.setAttribute(name, value);
    }
    for (const { name } of [...old.attributes]) {
      if (!kept(old, name) && !fresh.hasAttribute(name)) old.removeAttribute(name);
    }
    renewChildren(old, fresh);
  }

  function renewChildren(old, fresh) {
    const coming = [...fresh.childNodes];
    const keys = new Set(coming.map(key));
    const known = new Map([...old.children].map((node) => [key(node), node]));
    let at = old.firstChild;
    const drop = () => {
      const node = at;
      at = at.nextSibling;
      node.remove();
    };
    // How far it is from a node to the next element like another.
    const far = (nodes, node, other) => {
      const all = [...nodes].slice([...nodes].indexOf(node));
      return all.findIndex((n) => n.nodeType === Node.ELEMENT_NODE && same(n, other)) >>> 0; // none is 2³²-1
    };
    coming.forEach((next) => {
      const name = key(next);
      // What has a key and does not come is gone; else either at is gone or next is new: what is nearer.
      const gone = () => (key(at) ? !keys.has(key(at)) : !name && far(old.childNodes, at, next) <= far(coming, next, at));
      while (at && !same(at, next) && gone()) drop();
      if (!same(at, next) && name && same(known.get(name), next)) at = old.insertBefore(known.get(name), at);
      known.delete(name);
      if (same(at, next)) {
        renew(at, next);
        at = at.nextSibling;
      } else old.insertBefore(next, at);
    });
    while (at) drop();
  }

  // show puts what is in a fresh <main> into the page.
  function show(fresh) {
    const focus = document.activeElement;
    renewChildren(main, fresh);
    if (focus && !focus.isConnected) main.focus({ preventScroll: true });
    ago();
    seen = Date.now();
    say("");
  }

  function ago() {
    for (const time of main.querySelectorAll("time[datetime]")) {
      const s = (Date.now() + skew - Date.parse(time.dateTime)) / 1000;
      const [size, unit] = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]].find(([size]) => Math.abs(s) >= size) || [];
      const n = `${Math.floor(Math.abs(s) / size)} ${unit}`;
      const text = !unit ? "now" : s < 0 ? `in ${n}` : `${n} ago`;
      if (time.dataset.ago !== text) time.dataset.ago = text;
    }
  }
  ago();
  setInterval(() => document.hidden || ago(), 1000);

  // The page renews itself while it is seen.

  let stream;

  function open() {
    stream?.abort();
    if (document.hidden || !main.hasAttribute("data-live")) return;
    follow((stream = new AbortController()).signal);
  }

  async function follow(signal) {
    for (let pause = 1000; !signal.aborted; pause = Math.min(2 * pause, 30000)) {
      try {
        const answer = await fetch(location.href, { headers: { Accept: "text/event-stream" }, signal });
        const { status, headers } = answer;
        skew = Date.parse(headers.get("Date")) - Date.now() || 0;
        if (status === 401) return stale("You are logged out: load the page again to log in.");
        if (!answer.ok) {
          stale(await refusal(answer));
          if (status < 500) return;
          pause = 1000 * headers.get("Retry-After") || pause;
        } else if (headers.get("Content-Type") === "text/event-stream") {
          await read(answer.body.getReader());
          pause = 1000;
          if (!signal.aborted) stale("Connection lost.");
        } else return stale("This page does not renew itself.");
      } catch {
        if (!signal.aborted) stale("Connection lost.");
      }
      await new Promise((done) => setTimeout(done, pause));
    }
  }

  // read takes events until they end, or nothing came for too long.
  async function read(reader) {
    const text = new TextDecoder();
    for (let rest = ""; ; ) {
      const silence = setTimeout(() => reader.cancel(), 25000);
      const { done, value } = await reader.read();
      clearTimeout(silence);
      if (done) return;
      const events = (rest + text.decode(value, { stream: true })).split("\n\n");
      rest = events.pop();
      events.forEach(take);
    }
  }

  function take(event) {
    const [name, ...lines] = event.split("\n");
    const data = lines.map((line) => line.replace("data: ", "")).join("\n");
    if (name === "event: main") show(parse("<main>" + data).querySelector("main"));
    else if (name === "event: title") document.title = data;
    else if (name === "event: trouble") stale(data);
    else if (!sign.textContent) seen = Date.now(); // a comment: nothing has changed
  }

  document.addEventListener("visibilitychange", open);
  addEventListener("pagehide", () => stream?.abort());
  open();

  // Lists filter as one types.

  let asked, typing;

  async function filter(form) {
    asked?.abort();
    const { signal } = (asked = new AbortController());
    const url = new URL(form.action);
    url.search = new URLSearchParams([...new FormData(form)].filter(([, value]) => value.trim()));
    stream?.abort(); // it would bring the old list back
    try {
      const answer = await fetch(url, { headers: { Accept: "text/html" }, signal });
      if (!answer.ok) return stale(await refusal(answer));
      const fresh = parse(await answer.text());
      history.replaceState(null, "", url);
      document.title = fresh.title;
      show(fresh.getElementById("main"));
    } catch {
      if (signal.aborted) return;
      stale("Connection lost.");
    }
    open();
  }

  document.addEventListener("input", ({ target: { form } }) => {
    if (!form?.hasAttribute("data-filter")) return;
    clearTimeout(typing);
    typing = setTimeout(() => {
      const bad = form.querySelector(":invalid");
      if (bad) stale(`Wanted is ${bad.title}.`);
      else filter(form);
    }, 200);
  });

  // A form that changes something is sent once.

  const sent = new WeakSet();
  document.addEventListener("submit", (e) => {
    if (e.target.method !== "post") return;
    if (sent.has(e.target)) e.preventDefault();
    sent.add(e.target);
    setTimeout(() => sent.delete(e.target), 5000); // it may be lost
  });
  addEventListener("pageshow", ({ persisted }) => persisted && open());

  document.addEventListener("keydown", (e) => {
    if (e.key === "Escape" && e.target === search) search.blur();
    if (e.key !== "/" || !e.ctrlKey) return; // alone, speech may press it
    e.preventDefault();
    search.focus();
  });
})();
