package store_test

import (
	"slices"
	"strings"
	"testing"

	"buildbridge/trigger/store"
)

func idsAreFound(t *testing.T, open func() *store.Store) {
	s := open()
	var all []string
	for _, id := range []string{
		"0197f3c2-7d5e-7b0a-9d0e-1f2a3b4c5d6e", "0197f3c2-7d5e-7b0a-9d0e-1f2a3b4c5d6f", "0197f3c2-7d5f-7000-8000-000000000000",
		"01980000-0000-7000-8000-000000000000", "ffffffff-ffff-7fff-8fff-ffffffffffff",
	} {
		accept(t, s, func(b *store.Build) { b.ID = id })
		all = append(all, id)
	}
	for phrase, c := range map[string]struct {
		beginning string
		want      []string
		no        bool
	}{
		"one digit":                {"0", all[:4], false},
		"of two, and another":      {"0197f3c2-7d5e", all[:2], false},
		"with a hyphen at its end": {"0197f3c2-", all[:3], false},
		"without hyphens":          {"0197F3C27d5f7", all[2:3], false},
		"but for one digit":        {all[0][:35], all[:2], false},
		"in full":                  {all[1], all[1:2], false},
		"the last":                 {"ffff", all[4:], false},
		"of none":                  {"0199", nil, false},
		"no digit":                 {"main", nil, true},
		"a hyphen elsewhere":       {"0197-f3c2", nil, true},
		"no hyphen between others": {"0197f3c2-7d5e7b0a", nil, true},
		"too long":                 {all[0] + "0", nil, true},
		"too long, of digits":      {strings.Repeat("0", 33), nil, true},
		"what a pattern is":        {"0197%", nil, true},
		"nothing":                  {"", nil, true},
	} {
		t.Run(phrase, func(t *testing.T) {
			got, ok, err := s.BuildIDs(t.Context(), c.beginning)
			if err != nil || ok == c.no || !slices.Equal(got, c.want) {
				t.Errorf("got %q, %v, %v", got, ok, err)
			}
		})
	}
	d := read(t, s, all[0]).Delivery
	if got, _, err := s.DeliveryIDs(t.Context(), d[:35]); err != nil || !slices.Contains(got, d) {
		t.Errorf("of deliveries: %q, %v", got, err)
	}
	if got, _, err := s.DeliveryIDs(t.Context(), all[0]); err != nil || len(got) > 0 {
		t.Errorf("a build's: %q, %v", got, err)
	}
}

// Many ids are not all given.
func TestIDsAreFew(t *testing.T) {
	t.Parallel()
	s := opener(t, server.Database(t))()
	acceptMany(t, s, store.MaxIDs+5, read(t, s, accept(t, s, nil).ID).ReceivedAt)
	if got, _, err := s.DeliveryIDs(t.Context(), "0"); err != nil || len(got) != store.MaxIDs {
		t.Errorf("%d, %v", len(got), err)
	}
}
