package cli

import (
	"fmt"
	"testing"
)

// serve tells of a variable that only other commands read, if one of its own is nearly called so.
func TestVariablesOfOtherCommands(t *testing.T) {
	for variable, want := range map[string]string{
		"BUILDBRIDGE_ADMIN_TOKEN=file:a": "[the variable BUILDBRIDGE_ADMIN_TOKEN is not known, and has no effect; " +
			`did you mean "BUILDBRIDGE_ADMIN_TOKENS"?]`,
		"BUILDBRIDGE_ADMIN=http://127.0.0.1:8081": "[]",
		"BUILDBRIDGE_ADMIN_TOKENS=a=read:file:a":  "[]",
		"BUILDBRIDGE_SIMULATOR_LISTEN=:1":         "[]",
	} {
		parser, err := newParser(t.Context(), new(grammar), &Environment{}, func() {})
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := parser.Parse([]string{"serve", "--rules", "../../../rules.yaml"})
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(unknownVariables(parser, parsed.Selected(), []string{variable})); got != want {
			t.Errorf("%s: got %s, want %s", variable, got, want)
		}
	}
}
