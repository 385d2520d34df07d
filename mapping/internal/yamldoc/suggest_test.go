package yamldoc

import "testing"

func TestSuggest(t *testing.T) {
	candidates := []string{"branches", "paths", "paths_ignore", "unknown_paths", "if", "env", "b", "when"}
	tests := map[string]string{
		"branchs":     `; did you mean "branches"?`,
		"brnaches":    `; did you mean "branches"?`,
		"path":        `; did you mean "paths"?`,
		"pathsignore": `; did you mean "paths_ignore"?`,
		"iff":         `; did you mean "if"?`,
		"environment": "",
		"x":           "",
		"ab":          `; did you mean "b"?`,
		"branches":    "",
		"fi":          `; did you mean "if"?`,
		"evn":         `; did you mean "env"?`,
		"whne":        `; did you mean "when"?`,
	}
	for word, want := range tests {
		if got := Suggest(word, candidates); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}
