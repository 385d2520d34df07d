package hostapitest

import (
	"slices"
	"strconv"
)

func (c *call) azureDevOps() response {
	version, err := strconv.ParseFloat(c.r.FormValue("api-version"), 64)
	newest, _ := strconv.ParseFloat(c.o.AzureDevOpsVersion, 64)
	var status struct {
		State       string `json:"state"`
		Description string `json:"description"`
		TargetURL   string `json:"targetUrl"`
		Context     struct {
			Name  string `json:"name"`
			Genre string `json:"genre"`
		} `json:"context"`
	}
	states := []string{"notSet", "pending", "succeeded", "failed", "error", "notApplicable"}
	switch {
	case err != nil:
		return c.fail(400, "No api-version was supplied for the \"POST\" request.")
	case version > newest:
		return c.fail(400, "The requested REST API version of "+c.r.FormValue("api-version")+" is out of range for this server. "+
			"The latest REST API version this server supports is "+c.o.AzureDevOpsVersion+".")
	case !c.knows(c.Commit):
		return c.fail(404, "TF401175: The version descriptor <Commit: "+c.Commit+"> could not be resolved to a version in the repository")
	case !c.read(&status):
		return c.fail(400, "Value cannot be null. Parameter name: status")
	case status.Context.Name == "" || long(status.Context.Name, 100) || long(status.Context.Genre, 100):
		return c.fail(400, "the context's name has between 1 and 100 characters, its genre at most 100")
	case long(status.Description, 255):
		return c.fail(400, "the description has at most 255 characters")
	case !slices.Contains(states, status.State):
		return c.fail(400, "the state is not one of a status")
	}
	c.State, c.Description, c.TargetURL, c.Context = status.State, status.Description, status.TargetURL, status.Context.Name
	if status.Context.Genre != "" {
		c.Context = status.Context.Genre + "/" + c.Context
	}
	c.take(c.Context)
	return response{status: 201, body: map[string]any{"state": c.State}}
}
