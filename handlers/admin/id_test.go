package admin_test

import (
	"net/http"
	"strings"
	"testing"

	"buildbridge/handlers/admin"
	"buildbridge/trigger/store"
)

// An id may be shortened to what is unique, wherever one is taken.
func TestShortIDs(t *testing.T) {
	a := writable(t)
	id := func(b, d string) func(*store.Delivery, *store.Build) {
		return func(delivery *store.Delivery, build *store.Build) { build.ID, delivery.ID, build.Delivery = b, d, d }
	}
	const one, two, three = "0197f3c2-7d5e-7b0a-9d0e-1f2a3b4c5d6e", "0197f3c2-7d5e-7b0a-9d0e-1f2a3b4c5d6f", "0198f3c2-7d5e-7b0a-9d0e-1f2a3b4c5d6f"
	const first, second, third = "0197f3c2-7d5d-7b0a-9d0e-1f2a3b4c5d60", "0197f3c2-7d5d-7b0a-9d0e-1f2a3b4c5d61", "0199f3c2-7d5e-7b0a-9d0e-1f2a3b4c5d6f"
	a.accept(state(store.Dead), id(one, first))
	a.accept(state(store.Dead), id(two, second))
	a.accept(state(store.Dead), id(three, third))
	for path, want := range map[string]string{"/builds/0198": three, "/builds/" + strings.ToUpper(two): two, "/builds/" + three[:35]: three} {
		var got admin.BuildDetail
		if a.ask("GET", path, http.StatusOK, &got); got.ID != want {
			t.Errorf("%s is %s", path, got.ID)
		}
	}
	var d admin.DeliveryDetail
	if a.ask("GET", "/deliveries/0199f3c2-7d", http.StatusOK, &d); d.ID != third {
		t.Errorf("a delivery is %s", d.ID)
	}
	var again admin.Build
	if a.ask("POST", "/builds/0198f/replay", http.StatusAccepted, &again); again.ReplayOf != three {
		t.Errorf("a replay of %s", again.ReplayOf)
	}
	for path, test := range map[string]struct {
		status int
		says   string
	}{
		"/builds/0197f3c2-7d5e":         {409, `"0197f3c2-7d5e" is the beginning of more than one id: ` + one + ", " + two + ": give more of it"},
		"/deliveries/0197":              {409, first + ", " + second},
		"/builds?delivery=0197":         {409, first + ", " + second},
		"/builds/0199":                  {404, "no build has an id that begins with 0199: it is the id of a delivery, " + third},
		"/deliveries/0198f3c2-7d5e-7b0": {404, "it is the id of a build, " + three},
		"/deliveries/ffff":              {404, "no delivery has an id that begins with ffff; those older than the retention are deleted"},
	} {
		if got := a.refused("GET", path, test.status); !strings.Contains(got, test.says) {
			t.Errorf("%s: it says %q, want %q", path, got, test.says)
		}
	}
}
