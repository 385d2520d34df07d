package pages

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"buildbridge/handlers/admin"
)

// search leads to the one thing that a text names, and else shows all that it may mean.
func (p *pages) search(c echo.Context) error {
	found, err := p.API.Search(c.Request().Context(), c.QueryParam("q"))
	if err != nil {
		return err
	}
	if address := theOne(&found); address != "" {
		return c.Redirect(http.StatusSeeOther, address)
	}
	return p.send(c, http.StatusOK, page{"search", "Search", struct {
		admin.Found

		Nothing  bool
		Findable string
	}{found, len(addresses(&found)) == 0 && !hasRef(&found), admin.Findable}})
}

// theOne is the address of the one thing that was found, "" if there are several or none. A ref is none, nor is
// a job: new builds of it come.
func theOne(found *admin.Found) string {
	all := addresses(found)
	if len(found.Slow) > 0 || len(all) != 1 || hasRef(found) {
		return ""
	}
	return all[0]
}

func hasRef(found *admin.Found) bool {
	return len(found.OfRef.Builds)+len(found.OfRef.Deliveries)+len(found.OfJob) > 0
}

// addresses are the addresses of all that was found, but for what has the ref or the job.
func addresses(found *admin.Found) (all []string) {
	for _, id := range found.BuildIDs {
		all = append(all, "builds/"+id)
	}
	for _, id := range found.DeliveryIDs {
		all = append(all, "deliveries/"+id)
	}
	for i := range found.Numbered {
		all = append(all, "builds/"+found.Numbered[i].ID)
	}
	for i := range found.OfCommit.Builds {
		all = append(all, "builds/"+found.OfCommit.Builds[i].ID)
	}
	for i := range found.OfCommit.Deliveries {
		d := found.OfCommit.Deliveries[i].ID
		built := slices.ContainsFunc(found.OfCommit.Builds, func(b admin.Build) bool { return b.Delivery == d })
		if !built { // else its build is what was looked for, and leads to it
			all = append(all, "deliveries/"+d)
		}
	}
	named := func(at string, names []string, escape func(string) string) {
		if len(names) > 0 && strings.EqualFold(names[0], found.Text) {
			names = names[:1] // the others only have the text in their names
		}
		for _, name := range names {
			all = append(all, at+escape(name))
		}
	}
	named("repositories/", found.Repositories, escaped)
	named("rules/", found.Rules, escaped)
	named("targets#", found.Targets, url.PathEscape)
	return all
}
