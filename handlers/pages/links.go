package pages

import (
	"net/url"
	"strings"
)

// Links are the addresses by which people reach the pages and what is outside of them. Each may be "":
// then the methods that need it give "". Those that are set end with no slash.
type Links struct {
	External  string // the first page, as people reach it: through proxies, with their path
	Trace     string // a trace, with {trace_id} for its id
	Dashboard string // the first page of Grafana
}

// Build gives the address of the page of a build; "" for the id "".
func (l Links) Build(id string) string { return l.page("builds", id) }

// Delivery gives the address of the page of a delivery; "" for the id "".
func (l Links) Delivery(id string) string { return l.page("deliveries", id) }

func (l Links) page(section, id string) string {
	if l.External == "" || id == "" {
		return ""
	}
	return l.External + "/" + section + "/" + url.PathEscape(id)
}

// TraceOf gives the address of a trace; "" for the id "".
func (l Links) TraceOf(id string) string {
	if l.Trace == "" || id == "" {
		return ""
	}
	return strings.ReplaceAll(l.Trace, "{trace_id}", url.QueryEscape(id))
}

// DashboardOf gives the address of a dashboard of Grafana by its uid, with values of its variables
// as var-NAME.
func (l Links) DashboardOf(uid string, query url.Values) string {
	if l.Dashboard == "" {
		return ""
	}
	address := l.Dashboard + "/d/" + url.PathEscape(uid)
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	return address
}
