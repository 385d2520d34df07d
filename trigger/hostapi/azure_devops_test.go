package hostapi_test

import (
	"testing"

	"buildbridge/trigger/hostapi"
	"buildbridge/trigger/hostapi/hostapitest"
)

// TestAzureDevOpsOld has a server that knows older versions of the API only.
func TestAzureDevOpsOld(t *testing.T) {
	for _, version := range []string{"4.1", "7.0", "7.1"} {
		host := newHost(t, hostapitest.Options{AzureDevOpsVersion: version})
		post(t, newClient(t, hostapi.Options{Provider: hostapitest.AzureDevOps, URL: host.URL + "/Default Collection"}), status(hostapi.Success))
		if told := host.Statuses(); len(told) != 1 || told[0].State != "succeeded" {
			t.Errorf("version %s: told %+v", version, told)
		}
	}
}

func TestAzureDevOpsContext(t *testing.T) {
	host := newHost(t, hostapitest.Options{})
	c := newClient(t, hostapi.Options{Provider: hostapitest.AzureDevOps, URL: host.URL})
	for i, context := range []string{"cart", "ci/cart", "buildbridge/cart/tag"} {
		s := status(hostapi.Success)
		s.Context = context
		post(t, c, s)
		if got := host.Statuses()[i].Context; got != context {
			t.Errorf("context %s became %s", context, got)
		}
	}
}
