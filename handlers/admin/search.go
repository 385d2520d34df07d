package admin

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"buildbridge/trigger/store"
)

// FoundMost is how many things of a kind a search gives at most.
const FoundMost = 10

const (
	searchTime  = 2 * time.Second // for all that a search reads: what takes longer is left out
	searchReads = 3               // at the same time, so that others find a connection
	// recentDeliveries is how many of the newest deliveries tell the names of repositories that
	// rules name by a glob.
	recentDeliveries = 200
)

// Findable says what a search looks for.
const Findable = "a commit or at least its first 7 digits, a branch, a tag, a repository or a part of its name, " +
	"a rule or a part of its name, a target, a build number, the id of a job or of a pipeline, " +
	"or the id of a build, of a delivery or of a pipeline's run or at least its first 7 digits"

// Found is what a search gives: of each kind FoundMost at most, builds and deliveries the newest first.
type Found struct {
	Text string // that was looked for

	BuildIDs, DeliveryIDs []string // that begin so
	Numbered              []Build  // with that build number, or a run whose id begins so
	OfJob                 []Build  // of the job or pipeline with that id
	OfCommit, OfRef       FoundRows
	Repositories          []string // with that in their name
	Rules, Targets        []string // the same

	Slow []string // what is not known, because it took too long to look for
}

// FoundRows are builds and deliveries of one commit or ref.
type FoundRows struct {
	Builds     []Build
	Deliveries []Delivery
}

// Search finds what a text may name. Its error says what is wrong with the text.
func (a *API) Search(ctx context.Context, text string) (Found, error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return Found{}, fail(http.StatusBadRequest, "Nothing was given to look for. A search finds %s.", Findable)
	case len(text) > maxText:
		return Found{}, fail(http.StatusBadRequest, "The text is longer than %d bytes. A search finds %s.", maxText, Findable)
	case !utf8.ValidString(text) || strings.ContainsRune(text, 0):
		return Found{}, fail(http.StatusBadRequest, "That is not text. A search finds %s.", Findable)
	}
	found := Found{Text: text}
	if a.named(&found) {
		return found, nil
	}
	s := &search{API: a, found: &found, slots: make(chan struct{}, searchReads)}
	bounded, cancel := context.WithTimeout(ctx, searchTime)
	defer cancel()
	if strings.Trim(text, hexDigits+"-") == "" && len(strings.ReplaceAll(text, "-", "")) >= store.MinCommit {
		s.read(bounded, "ids", s.ids)
	}
	if isNumber(text) || isRun(text) {
		s.read(bounded, "build numbers", s.numbered)
	}
	if isJob(text) {
		s.read(bounded, "jobs", func(ctx context.Context) error {
			page, err := s.ListBuilds(ctx, url.Values{"job_id": {strings.ToLower(text)}, "limit": {strconv.Itoa(FoundMost)}})
			found.OfJob = page.Builds
			return err
		})
	}
	if commit(new(string))(text) == nil {
		s.rows(bounded, "commit", "commits", &found.OfCommit)
	}
	if !fullID(text) {
		s.read(bounded, "repositories", s.repositories)
		s.rows(bounded, "ref", "branches and tags", &found.OfRef)
	}
	found.Rules, found.Targets = a.rulesLike(text), a.targetsLike(text)
	s.Wait()
	slices.Sort(found.Slow)
	found.Slow = slices.Compact(found.Slow)
	if s.err != nil {
		return found, storeError("search", "", s.err)
	}
	return found, nil
}

// named finds what has exactly this name in the rules, if it is one thing: nothing needs to be read then.
func (a *API) named(found *Found) bool {
	exactly := func(names []string) []string {
		if len(names) > 0 && strings.EqualFold(names[0], found.Text) {
			return names[:1]
		}
		return nil
	}
	rules, targets := exactly(a.rulesLike(found.Text)), exactly(a.targetsLike(found.Text))
	repositories := exactly(like(a.namedRepositories(), found.Text))
	if len(rules)+len(targets)+len(repositories) != 1 {
		return false
	}
	found.Rules, found.Targets, found.Repositories = rules, targets, repositories
	return true
}

// fullID says whether a text is the whole id of a commit, build or delivery: no branch or repository is called so.
func fullID(text string) bool {
	if strings.Trim(text, hexDigits+"-") != "" {
		return false
	}
	switch digits := len(strings.ReplaceAll(text, "-", "")); len(text) {
	case 36:
		return digits == 32
	case 40, 64:
		return digits == len(text)
	}
	return false
}

const (
	hexDigits = "0123456789abcdefABCDEF"
	maxNumber = 18 // digits of a build number
	idDigits  = 32 // of a job, of a pipeline, and of its runs
)

func isNumber(text string) bool {
	number := strings.TrimPrefix(text, "#")
	return strings.Trim(number, "0123456789") == "" && len(number) <= maxNumber
}

// isRun says whether the id of a run may begin so.
func isRun(text string) bool {
	return strings.Trim(text, hexDigits) == "" && len(text) >= store.MinCommit && len(text) <= idDigits
}

// isJob says whether it may be the id of a job or of a pipeline.
func isJob(text string) bool {
	return len(text) == idDigits && strings.Trim(strings.ToLower(text), "0123456789abcdefghijklmnopqrstuvwxyz") == ""
}

// search is one search. Each read has fields of its own in found.
type search struct {
	*API
	sync.WaitGroup

	found *Found
	slots chan struct{}

	mu  sync.Mutex // guards what follows, and found.Slow
	err error      // the first, of the database
}

// read runs a read beside the others. kind is what it looks for.
func (s *search) read(ctx context.Context, kind string, do func(ctx context.Context) error) {
	s.Go(func() {
		s.slots <- struct{}{}
		err := do(ctx)
		<-s.slots
		s.mu.Lock()
		defer s.mu.Unlock()
		switch {
		case err == nil:
		case ctx.Err() != nil:
			s.found.Slow = append(s.found.Slow, kind)
		case s.err == nil:
			s.err = err
		}
	})
}

func (s *search) ids(ctx context.Context) (err error) {
	if s.found.BuildIDs, _, err = s.Store.BuildIDs(ctx, s.found.Text); err != nil {
		return err
	}
	ids, ok, err := s.Store.DeliveryIDs(ctx, s.found.Text)
	if ok {
		ids = s.withRejected(ids, s.found.Text)
	}
	s.found.DeliveryIDs = ids
	return err
}

func (s *search) numbered(ctx context.Context) error {
	var builds, runs []*store.Build
	var err error
	if isNumber(s.found.Text) {
		number, _ := strconv.ParseInt(strings.TrimPrefix(s.found.Text, "#"), 10, 64) // digits, and few enough
		if builds, err = s.Store.Numbered(ctx, strconv.FormatInt(number, 10), FoundMost); err != nil {
			return err
		}
	}
	if isRun(s.found.Text) {
		runs, err = s.Store.Runs(ctx, s.found.Text, FoundMost)
	}
	s.found.Numbered = shown(append(builds, runs...), newBuild)
	return err
}

// rows reads the builds and deliveries that a filter selects by the text.
func (s *search) rows(ctx context.Context, filter, kind string, to *FoundRows) {
	query := url.Values{filter: {s.found.Text}, "limit": {strconv.Itoa(FoundMost)}}
	s.read(ctx, kind, func(ctx context.Context) error {
		page, err := s.ListBuilds(ctx, query)
		to.Builds = page.Builds
		return err
	})
	s.read(ctx, kind, func(ctx context.Context) error {
		page, err := s.ListDeliveries(ctx, query)
		to.Deliveries = page.Deliveries
		return err
	})
}

// repositories finds names of repositories: those that rules name, those that are looked at, and those of the
// newest deliveries.
func (s *search) repositories(ctx context.Context) error {
	looked, err := s.Store.RepositoriesLike(ctx, s.found.Text, FoundMost)
	if err != nil {
		return err
	}
	newest, _, err := s.Store.Deliveries(ctx, store.DeliveryFilter{Limit: recentDeliveries})
	if err != nil {
		return err
	}
	var names []string
	for _, d := range newest {
		names = append(names, d.Repository)
	}
	names = slices.Concat(names, looked, s.namedRepositories())
	s.found.Repositories = like(names, s.found.Text)
	if len(s.found.Repositories) > 0 && strings.EqualFold(s.found.Repositories[0], s.found.Text) {
		return nil
	}
	exact, _, err := s.Store.Deliveries(ctx, store.DeliveryFilter{Repository: s.found.Text, Limit: 1})
	if len(exact) > 0 {
		s.found.Repositories = like(append([]string{exact[0].Repository}, names...), s.found.Text)
	}
	return err
}

// namedRepositories are those that rules name.
func (a *API) namedRepositories() (names []string) {
	if a.Rules == nil {
		return nil
	}
	rules := a.Rules().Rules
	for _, source := range rules.Sources() {
		names = append(names, rules.NamedRepositories(source.Name)...)
	}
	return names
}

func (a *API) rulesLike(text string) []string {
	if a.Rules == nil {
		return nil
	}
	return like(a.Rules().Rules.RuleNames(), text)
}

func (a *API) targetsLike(text string) (names []string) {
	if a.Rules == nil {
		return nil
	}
	for _, t := range a.Rules().Rules.Targets() {
		names = append(names, t.Name)
	}
	return like(names, text)
}

// like gives names that have this text, whatever its case: the name itself first, then those that begin so,
// and FoundMost at most. Of names that differ in case only it gives the first.
func like(names []string, text string) []string {
	text = strings.ToLower(text)
	var by [3][]string
	seen := map[string]bool{}
	for _, name := range names {
		folded := strings.ToLower(name)
		at := strings.Index(folded, text)
		if at < 0 || seen[folded] {
			continue
		}
		seen[folded] = true
		switch {
		case folded == text:
			by[0] = append(by[0], name)
		case at == 0:
			by[1] = append(by[1], name)
		default:
			by[2] = append(by[2], name)
		}
	}
	all := slices.Concat(by[:]...)
	return all[:min(len(all), FoundMost)]
}
