package printable_test

import (
	"testing"

	"buildbridge/mapping/printable"
)

func TestCount(t *testing.T) {
	for want, got := range map[string]string{
		"0 rules":           printable.Count(0, "rule"),
		"1 rule":            printable.Count(1, "rule"),
		"2 deliveries":      printable.Count(2, "delivery"),
		"1 push was":        printable.Was(1, "push"),
		"2 searches":        printable.Count(2, "search"),
		"3 pushes were":     printable.Was(3, "push"),
		"0 deliveries were": printable.Was(0, "delivery"),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
