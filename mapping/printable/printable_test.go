package printable_test

import (
	"testing"

	"buildbridge/mapping/printable"
)

func TestText(t *testing.T) {
	for given, want := range map[string]string{
		"main":                   "main",
		"größe/分支　x":             "größe/分支　x",
		"it's a \"quote\"":       "it's a \"quote\"",
		"a\x1b[2Jb":              `a\x1b[2Jb`,
		"a\tb\nc\rd":             `a\tb\nc\rd`,
		"a\u202eb":               `a\u202eb`,
		"a\u2028b\u009bc":        `a\u2028b\u009bc`,
		string([]byte{'a', 255}): "a\uFFFD",
	} {
		if got := printable.Text(given); got != want {
			t.Errorf("%q becomes %q, want %q", given, got, want)
		}
	}
}

func TestClip(t *testing.T) {
	for given, want := range map[string]string{"": "", "abc": "abc", "éèê": "éèê", "éèêë": "éèê…"} {
		if got := printable.Clip(given, 3); got != want {
			t.Errorf("%q becomes %q, want %q", given, got, want)
		}
	}
}
