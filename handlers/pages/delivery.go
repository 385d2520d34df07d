package pages

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"buildbridge/handlers"
	"buildbridge/handlers/admin"
	"buildbridge/handlers/codehost"
	"buildbridge/mapping"
	"buildbridge/mapping/printable"
	"buildbridge/trigger/store"
)

const (
	// What a page has of the lists of a delivery.
	maxBuilds  = 20
	maxFiles   = 20
	maxLeftOut = 20
	maxHeaders = 20
	// maxAbout bounds what the page says of events and rules, in bytes of HTML.
	maxAbout = 40_000
)

// deliveries is the list of deliveries.
func (p *pages) deliveries(c echo.Context) (page, error) {
	list, err := p.API.ListDeliveries(c.Request().Context(), listed(c, listRows))
	return listPage("deliveries", "Deliveries", list, err)
}

// reasons are those of ignored and of rejected deliveries.
func reasons() []string {
	return append(texts(mapping.ReasonNoMatch, mapping.ReasonNoRule, mapping.ReasonPing, mapping.ReasonEvent, mapping.ReasonDeleted,
		mapping.ReasonMissed), handlers.RejectedReasons()...)
}

// deliveryView is what the page of a delivery shows.
type deliveryView struct {
	admin.Inspection

	Then    string // what became of it, in words
	Headers []header
	Body    excerpt

	Large   bool   // it was not decided again, because its body is
	Would   string // what a replay would do; "" if it is not known
	Planned []handlers.Planned
	Events  []eventView
	LeftOut []codehost.LeftOut // what it tells of beside them

	// How many more there are.
	MoreBuilds, MorePlanned, MoreEvents, MoreRules, MoreLeftOut int
}

// Kept says whether the delivery is one that is stored.
func (v deliveryView) Kept() bool { return v.Outcome != rejected }

// Replayable says whether a replay can be asked for.
func (v deliveryView) Replayable() bool { return v.Kept() && len(v.Stored) > 0 && !v.Undecidable() }

// Undecidable says whether it cannot be decided any more.
func (v deliveryView) Undecidable() bool { return v.Now != nil && v.Now.Outcome == rejected }

// First are the builds that are shown.
func (v deliveryView) First() []admin.Build { return v.Builds[:len(v.Builds)-v.MoreBuilds] }

// header is a header that names the event.
type header struct{ Name, Value string }

// eventView is an event with what each rule of its repository says now, and what is known of then.
type eventView struct {
	handlers.DecidedEvent

	RepositoryURL string // at the code host; "" if it is not known
	CommitURL     string // the same

	Rows []ruleSays
}

// ruleSays is what a rule said of an event then, and what it says now.
type ruleSays struct {
	Rule   string
	Then   string           // in words
	Was    mapping.Says     // then; "" if it is not known
	Builds []admin.Build    // then
	Past   *mapping.Verdict // clause by clause, then; nil if the rules of then are not known
	Now    *mapping.Verdict // nil if there is no such rule now, or it does not name the repository
}

// delivery is the page of a delivery.
func (p *pages) delivery(c echo.Context) (page, error) {
	all := c.QueryParam("events") == "all"
	d, err := p.API.InspectDelivery(c.Request().Context(), c.Param("id"), func(size int) bool { return all || size <= admin.DecodedAtMost })
	if err != nil {
		return page{}, err
	}
	v := deliveryView{Inspection: d, Then: became(&d.DeliveryDetail), Body: excerptOf(d.Stored)}
	for _, name := range slices.Sorted(maps.Keys(d.Header)) {
		v.Headers = append(v.Headers, header{name, d.Header[name]})
	}
	v.Headers = v.Headers[:min(len(v.Headers), maxHeaders)]
	v.decided()
	return page{"delivery", "Delivery " + short(d.ID), v}, nil
}

// decided adds what the rules said then, and say now.
func (v *deliveryView) decided() {
	now := v.Now
	if now == nil {
		now = &handlers.Decision{}
		v.Large = v.Kept()
	} else {
		v.Would = would(now)
		v.Planned, v.MorePlanned = first(now.Builds, maxBuilds)
		v.LeftOut, v.MoreLeftOut = first(now.LeftOut, maxLeftOut)
		v.MoreRules = now.MoreRules
	}
	_, v.MoreBuilds = first(v.Builds, maxBuilds)
	left, rules, then := maxAbout, now.Rules, newMemory(v)
	for i, event := range now.Events {
		verdicts := rules[:event.Rules]
		rules = rules[event.Rules:]
		shown := eventView{
			DecidedEvent: event, RepositoryURL: codehost.RepositoryAddress(event.URL),
			CommitURL: codehost.CommitAddress(v.Provider, event.URL, event.Commit),
		}
		more := 0
		shown.Files, more = first(event.Files, maxFiles)
		shown.MoreFiles += more
		if left -= shown.size(); left < 0 {
			v.MoreEvents = len(now.Events) - i
			break
		}
		rows := then.beside(&event, verdicts)
		for j := range rows {
			if left -= rows[j].size(); left < 0 {
				v.MoreRules += len(rows) - j
				rows = rows[:j]
				break
			}
		}
		shown.Rows = rows
		v.Events = append(v.Events, shown)
	}
	v.MoreEvents += now.MoreEvents
	if rows := then.rest(); len(rows) > 0 {
		v.Events = append(v.Events, eventView{Rows: rows})
	}
}

// memory is what is known of the past decision about a delivery.
type memory struct {
	of       *deliveryView
	verdicts []mapping.Verdict // those that no event has yet
	seen     map[string]bool   // rules that were shown
	events   int               // those that were shown
}

func newMemory(v *deliveryView) *memory {
	return &memory{of: v, verdicts: slices.Clone(v.Rules), seen: map[string]bool{}}
}

// past gives what a rule said of the event that is shown now, clause by clause, by the rules of then; nil if
// there was no such rule, or it did not name the repository. known is false if these rules are not known, if
// they were not asked, or if they are more than are shown.
func (m *memory) past(rule string) (said *mapping.Verdict, known bool) {
	d := m.of.Past
	if d == nil || m.of.Outcome == store.Duplicate || m.events >= len(d.Events) {
		return nil, false
	}
	from := 0
	for _, e := range d.Events[:m.events] {
		from += e.Rules
	}
	verdicts := d.Rules[from : from+d.Events[m.events].Rules]
	if i := slices.IndexFunc(verdicts, func(v mapping.Verdict) bool { return v.Rule == rule }); i >= 0 {
		return &verdicts[i], true
	}
	return nil, d.MoreRules == 0
}

// beside puts what rules said of an event beside what they say now: those that match first.
func (m *memory) beside(event *handlers.DecidedEvent, now []mapping.Verdict) []ruleSays {
	rows := make([]ruleSays, len(now))
	for i := range now {
		rows[i] = m.then(now[i].Rule, event.Ref)
		rows[i].Now = &now[i]
	}
	m.events++
	rank := func(r ruleSays) int {
		if r.Now.Matched || len(r.Builds) > 0 {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(rows, func(a, b ruleSays) int { return cmp.Compare(rank(a), rank(b)) })
	return rows
}

// then is what a rule said of an event, whose ref may be "" for any. What is stored counts for more than
// what the rules of then say now.
func (m *memory) then(rule, ref string) ruleSays {
	row := m.stored(rule, ref)
	past, known := m.past(rule)
	switch {
	case past == nil && known && row.Was == "":
		row.Then = "there was no such rule, or it did not name the repository"
	case past == nil:
	case row.Was != "" && (row.Was == mapping.SaysYes) == past.Matched:
		row.Past = past
	case row.Was == "" && !past.Matched:
		row.Past, row.Was, row.Then = past, mapping.SaysNo, past.Reason
	}
	return row
}

// stored is what is stored of what a rule said.
func (m *memory) stored(rule, ref string) ruleSays {
	m.seen[rule] = true
	row := ruleSays{Rule: rule}
	for i := range m.of.Builds {
		if b := &m.of.Builds[i]; b.Rule == rule && b.ReplayOf == "" && (ref == "" || b.Ref == ref) {
			row.Builds = append(row.Builds, *b)
		}
	}
	if i := slices.IndexFunc(m.verdicts, func(v mapping.Verdict) bool { return v.Rule == rule }); i >= 0 {
		row.Was, row.Then = mapping.SaysNo, m.verdicts[i].Reason
		m.verdicts = slices.Delete(m.verdicts, i, i+1)
		return row
	}
	switch reason := m.of.Reason; {
	case len(row.Builds) > 0:
		row.Was, row.Then = mapping.SaysYes, "it matched"
	case m.of.Outcome == store.Accepted:
		row.Then = "it built nothing; whether it was there, and which clause failed, is not kept of an accepted delivery"
	case m.of.Outcome == store.Duplicate:
		row.Then = "the rules were not asked: the delivery is a duplicate"
	case reason == string(mapping.ReasonNoRule):
		row.Then = "no rule named the repository"
	case reason == string(mapping.ReasonNoMatch):
		row.Then = "there was no such rule, or it is not kept what it said: of an ignored delivery the first 20 rules are"
	default:
		row.Then = "the rules were not asked"
	}
	return row
}

// rest is what rules said then that say nothing now.
func (m *memory) rest() []ruleSays {
	var names []string
	for _, v := range m.verdicts {
		names = append(names, v.Rule)
	}
	for i := range m.of.Builds {
		if rule := m.of.Builds[i].Rule; !m.seen[rule] && !slices.Contains(names, rule) {
			names = append(names, rule)
		}
	}
	var rows []ruleSays
	for _, name := range names[:min(len(names), maxBuilds)] {
		rows = append(rows, m.then(name, ""))
	}
	return rows
}

// first gives at most so many of a list, and how many more there are.
func first[T any](list []T, most int) (shown []T, more int) {
	shown = list[:min(len(list), most)]
	return shown, len(list) - len(shown)
}

// size estimates the bytes of HTML of an event without its rows.
func (e *eventView) size() int {
	n := 2000 + size(plain(e.Repository), plain(e.Ref), plain(e.Title), plain(e.FilesUnknown))
	for _, file := range e.Files {
		n += 20 + size(plain(file))
	}
	return n
}

// size estimates the bytes of HTML of a row.
func (r *ruleSays) size() int {
	n := 600 + size(r.Rule, r.Rule, r.Then) + 400*len(r.Builds)
	for _, v := range []*mapping.Verdict{r.Past, r.Now} {
		if v == nil {
			continue
		}
		n += size(v.Jobs...) + size(v.Reason)
		for _, c := range v.Clauses {
			n += 120 + size(c.Clause, c.Wants, c.Got, c.Why, c.Job)
		}
	}
	return n
}

// became says what became of a delivery when it came.
func became(d *admin.DeliveryDetail) string {
	switch d.Outcome {
	case store.Accepted:
		return "Rules matched it, and its builds were committed."
	case store.Duplicate:
		return "It says the same as a delivery before it, whose builds were committed: it built nothing."
	case rejected:
		return fmt.Sprintf("It was refused with %d (%s), and is kept in memory only, until this process ends or newer ones take its place.",
			d.Status, http.StatusText(d.Status))
	case store.Ignored:
	}
	text := "It built nothing: " + cmp.Or(mapping.Reason(d.Reason).Words(), d.Reason) + "."
	if len(d.Rules) > 0 {
		text += " Rule " + d.Rules[0].Rule + ": " + d.Rules[0].Reason + "."
	}
	return text
}

// would says what a replay would do.
func would(d *handlers.Decision) string {
	switch n := len(d.Builds); {
	case d.Outcome == rejected:
		return "It cannot be decided again: " + d.Detail + "."
	case n > 0 && d.Reason != "":
		return "By today's rules " + printable.Count(n, "build") + " would be made, dead on arrival."
	case n > 0:
		return "By today's rules " + printable.Count(n, "build") + " would be made."
	}
	return "By today's rules nothing would be built: " + mapping.Reason(d.Reason).Words() + "."
}

// deliveryBody sends the body of a delivery as it is stored, to be saved.
func (p *pages) deliveryBody(c echo.Context) error {
	d, err := p.API.InspectDelivery(c.Request().Context(), c.Param("id"), func(int) bool { return false })
	switch {
	case err != nil:
		return err
	case d.Outcome == rejected:
		return refuse(http.StatusNotFound, "A rejected delivery has no body: it is not kept.")
	case len(d.Stored) == 0:
		return refuse(http.StatusGone, "The body of this delivery is not kept any more.")
	}
	h := c.Response().Header()
	h.Set(echo.HeaderContentDisposition, `attachment; filename="delivery-`+d.ID+`.json"`)
	h.Set(echo.HeaderContentLength, strconv.Itoa(len(d.Stored)))
	return c.Blob(http.StatusOK, "text/plain; charset=utf-8", d.Stored)
}

// replayDelivery decides a delivery again, if the visitor knew of its newest replay.
func (p *pages) replayDelivery(c echo.Context, by mapping.By) (to string, err error) {
	ctx := c.Request().Context()
	answer, err := p.API.ReplayDeliveryOnce(ctx, c.Param("id"), c.Request().PostForm.Get("newest"), by)
	switch {
	case err != nil:
		return "", err
	case answer.Of != "":
		return "", &handlers.Refusal{Answer: handlers.Answer{
			Status: http.StatusConflict, Detail: "Nothing was done: the delivery was replayed already since this page was shown.",
			See: []handlers.See{{Kind: "delivery", ID: answer.Of}},
		}}
	case len(answer.Builds) == 1:
		return "builds/" + answer.Builds[0].ID, nil
	}
	p.awaitDelivery(ctx, answer.Delivery)
	return "deliveries/" + answer.Delivery, nil
}

// awaitDelivery waits for a delivery that built nothing: it is written aside, a fraction of a second
// later, or not at all.
func (p *pages) awaitDelivery(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		if _, err := p.API.InspectDelivery(ctx, id, func(int) bool { return false }); err == nil {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}
