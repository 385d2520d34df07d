package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"unicode"

	"github.com/labstack/echo/v4"

	"buildbridge/handlers"
	"buildbridge/mapping"
	"buildbridge/trigger/store"
)

// Start is the body of a request that starts builds by hand.
type Start struct {
	Source     string   `json:"source"`
	Repository string   `json:"repository"`       // as the code host writes it: acme/shop
	Branch     string   `json:"branch,omitempty"` // either a branch or a tag
	Tag        string   `json:"tag,omitempty"`
	Commit     string   `json:"commit,omitempty"` // an object id; without it, the code host is asked
	Rules      []string `json:"rules,omitempty"`  // those that may build; without any, all
	Reason     string   `json:"reason,omitempty"` // one line, at most 1024 bytes
	DryRun     bool     `json:"dry_run,omitempty"`
}

// IdempotencyKey is the header with which a start can be sent again after a lost answer:
// those of the same with the same key are one.
const IdempotencyKey = "Idempotency-Key"

const (
	maxStart = 256 << 10 // bytes of the body of a start
	maxKey   = 200       // bytes of an IdempotencyKey
)

// startBuilds starts the builds of a push or tag that no code host told of.
func (a *API) startBuilds(c echo.Context) error {
	if _, err := (parameters{}).read(c.Request()); err != nil {
		return err
	}
	start, key, err := readStart(c.Request())
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	repository, seen, err := a.spelling(ctx, start.Source, start.Repository)
	if err != nil {
		return storeError("delivery", "", err)
	}
	ref := "refs/heads/" + start.Branch
	if start.Tag != "" {
		ref = "refs/tags/" + start.Tag
	}
	answer := a.Deliveries.Start(ctx, handlers.Start{
		Source: start.Source, Repository: repository, Seen: seen, Ref: ref, Commit: start.Commit, Rules: start.Rules,
		Key: key, DryRun: start.DryRun, By: by(c, start.Reason),
	})
	if answer.Status < http.StatusBadRequest {
		return handlers.SendJSON(c, answer.Status, answer)
	}
	return fail(answer.Status, "%s", cmp.Or(answer.Detail, http.StatusText(answer.Status)))
}

func readStart(r *http.Request) (start Start, key string, err error) {
	decoder := json.NewDecoder(io.LimitReader(r.Body, maxStart))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&start); err != nil || decoder.More() {
		return start, "", fail(http.StatusBadRequest, `the body is not such as {"source": "github", "repository": "acme/shop", `+
			`"branch": "main", "commit": "…"}, or "tag" in place of "branch", with rules, reason and dry_run`)
	}
	given := func(name, value string) error {
		if value == "" {
			return fail(http.StatusBadRequest, "%s: missing", name)
		}
		return nil
	}
	if err := cmp.Or(given("source", start.Source), given("repository", start.Repository), checkReason(start.Reason)); err != nil {
		return start, "", err
	}
	if (start.Branch == "") == (start.Tag == "") {
		return start, "", fail(http.StatusBadRequest, "give either branch or tag")
	}
	switch keys := r.Header.Values(IdempotencyKey); {
	case len(keys) > 1, len(keys) == 1 && (keys[0] == "" || len(keys[0]) > maxKey || strings.ContainsFunc(keys[0], unicode.IsControl)):
		return start, "", fail(http.StatusBadRequest, "%s: give one, of at most %d bytes", IdempotencyKey, maxKey)
	case len(keys) == 1:
		key = keys[0]
	}
	return start, key, nil
}

// spelling gives the name of a repository as its code host writes it: builds, statuses and
// what has to stay in order go by that. It is the spelling of a delivery that it sent, one
// with the same name or one of the newest. It has not been seen if there is none.
func (a *API) spelling(ctx context.Context, source, repository string) (name string, seen bool, err error) {
	same, _, err := a.Store.Deliveries(ctx, store.DeliveryFilter{
		Source: source, Repository: repository, Origin: string(mapping.OriginWebhook), Limit: 1,
	})
	if err != nil || len(same) > 0 {
		return repository, true, err
	}
	newest, _, err := a.Store.Deliveries(ctx, store.DeliveryFilter{
		Source: source, Origin: string(mapping.OriginWebhook), Limit: store.MaxPage,
	})
	if err != nil {
		return repository, false, err
	}
	for _, d := range newest {
		if strings.EqualFold(d.Repository, repository) {
			return d.Repository, true, nil
		}
	}
	return repository, false, nil
}
