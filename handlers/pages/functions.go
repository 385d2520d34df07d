package pages

import (
	"fmt"
	"html/template"
	"net/url"
	"path"
	"strings"
	"time"

	"buildbridge/handlers/admin"
	"buildbridge/mapping"
	"buildbridge/mapping/printable"
	"buildbridge/trigger/store"
)

// functions are those of the templates.
var functions = template.FuncMap{
	"short": short,
	"branch": func(ref string) string {
		return line(strings.TrimPrefix(strings.TrimPrefix(ref, "refs/heads/"), "refs/tags/"))
	},
	"moment": func(t time.Time) string { return t.UTC().Format(time.DateTime) },
	"clock":  func(t time.Time) string { return t.UTC().Format(time.TimeOnly) },
	"stamp":  func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) },
	"path":   escaped,
	"line":   line,

	"plain": plain,

	"bytes": bytesOf,

	"why": func(b admin.Build) string { // it did not go well, in a list
		if b.State == store.Dead {
			return b.Reason
		}
		return b.Step
	},
	"kind": kind, "words": words, "attempted": attempted,
	"shell": quoted, "refFlag": refFlag, "faultPage": faultPage, "pausePage": pausePage,
	"count":    func(n int64, noun string) string { return printable.Count(int(n), noun) },
	"isTag":    func(ref string) bool { return strings.HasPrefix(ref, "refs/tags/") },
	"list":     func(words ...string) []string { return words },
	"reasons":  reasons,
	"states":   func() []string { return texts(store.States()...) },
	"results":  func() []string { return texts(store.Results()...) },
	"outcomes": func() []string { return append(texts(store.Accepted, store.Ignored, store.Duplicate), rejected) },
	"origins":  func() []string { return texts(mapping.OriginWebhook, mapping.OriginManual, mapping.OriginCatchUp) },
}

// short is the beginning of an id or a commit, as people know it. Of an id it is what the command line shows on a
// terminal: the time to a fraction of a millisecond, which tells the builds of a delivery apart.
func short(id string) string {
	if len(id) == 36 {
		return id[:18]
	}
	return id[:min(len(id), 8)]
}

// escaped is a name as a part of a path. Its slashes stay, unless a browser or a proxy would make another
// path of it.
func escaped(name string) string {
	if path.Clean("/"+name) != "/"+name {
		return url.PathEscape(name)
	}
	return strings.ReplaceAll(url.PathEscape(name), "%2F", "/")
}

// bytesOf is a size for people.
func bytesOf(size int) string {
	switch {
	case size >= 10<<20:
		return fmt.Sprintf("%d MB", size>>20)
	case size >= 10<<10:
		return fmt.Sprintf("%d kB", size>>10)
	}
	return printable.Count(size, "byte")
}
