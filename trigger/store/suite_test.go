package store_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"

	"buildbridge/mapping"
	"buildbridge/trigger/store"
	"buildbridge/trigger/store/postgrestest"
)

var server postgrestest.Server //nolint:gochecknoglobals // one for all tests

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := server.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stop PostgreSQL:", err)
			code = 1
		}
		os.Exit(code) //nolint:forbidigo // goleak hands over the exit of TestMain
	}))
}

// suite has the tests that every database must pass. open gives a store on the same database each time it is
// called; the one before is closed by then.
func suite(t *testing.T, fresh func(t *testing.T) (open func() *store.Store)) {
	t.Helper()
	for name, test := range map[string]func(t *testing.T, open func() *store.Store){
		"what is accepted is read back":                  acceptedIsReadBack,
		"a value that few rows have is read back":        seldomIsReadBack,
		"the longest names are taken":                    longestNames,
		"a duplicate writes nothing":                     duplicateWritesNothing,
		"bodies are their own":                           bodiesAreTheirOwn,
		"acceptances at once all get their own answer":   manyAtOnce,
		"a bad row fails alone":                          badRowFailsAlone,
		"a bad row does not make the database ill":       badRowIsNoIllness,
		"what is accepted is worked after a restart":     workedAfterRestart,
		"of two who change a build one is stale":         oneIsStale,
		"text that is none is saved":                     noTextIsSaved,
		"a number is claimed once":                       numberIsClaimedOnce,
		"a run of a pipeline is stored":                  pipelineIsStored,
		"runs are found by their beginning":              runsAreFoundByTheirBeginning,
		"an answer beats an adoption":                    answerBeatsAdoption,
		"a call knows the numbers seen before it":        callKnowsNumbers,
		"an ordering key keeps its order":                orderingKeyKeepsOrder,
		"one call a service, job, and ref or commit":     oneCallAtATime,
		"a hold ends after an hour":                      holdEnds,
		"a lost call holds another commit for an hour":   lostCallHolds,
		"newest supersedes what waits, nothing else":     newestSupersedes,
		"of many newest at once the last one waits":      newestAtOnce,
		"newest spares those of its own delivery":        newestSparesItsOwn,
		"the queue is counted":                           queueIsCounted,
		"what built nothing is in its log":               ignoredIsKept,
		"ids are found by their beginnings":              idsAreFound,
		"builds are listed by filter and page":           buildsAreListed,
		"deliveries are listed by filter and page":       deliveriesAreListed,
		"deliveries are listed the oldest first":         listedOldestFirst,
		"what failed is replayed once":                   failedIsReplayedOnce,
		"of replays at the same time one is committed":   oneReplayAtATime,
		"of delivery replays at the same time one is":    oneDeliveryReplayAtATime,
		"what is old is forgotten, unresolved is not":    oldIsForgotten,
		"what built nothing is forgotten before builds":  oldIgnoredIsForgotten,
		"what is in blocks is listed":                    listedByBlocks,
		"blocks are in memory":                           blocksInMemory,
		"blocks are forgotten with their rows":           blocksAreForgotten,
		"a clock that was ahead keeps nothing":           clockWasAhead,
		"large bodies are forgotten a few at a time":     largeBodiesAreForgotten,
		"bodies are forgotten once":                      bodiesAreForgottenOnce,
		"a build that waits for two is not forgotten":    waitsForTwo,
		"nothing cuts a lease short":                     leaseStays,
		"what is started is followed":                    startedIsFollowed,
		"a follow is saved":                              followIsSaved,
		"a result is saved":                              resultIsSaved,
		"who loses its number is not followed":           lostNumberIsNotFollowed,
		"what runs is not forgotten":                     runningIsKept,
		"a newer build replaces those that run":          newerReplacesRunning,
		"a stop is noted":                                stopIsNoted,
		"a job with a build that runs is not forgotten":  openIsNotForgotten,
		"those that run hold the next":                   runningHold,
		"no more run than may":                           maxRunningAtOnce,
		"a job to follow is called back":                 followIsCalledBack,
		"a pause holds what it is about":                 pauseHolds,
		"a pause keeps the order and the deadline":       pauseKeepsOrder,
		"a pause ends by itself":                         pauseEndsByItself,
		"a pause is changed":                             pauseIsChanged,
		"one pause ends under another":                   pauseUnderAnother,
		"many that are held do not churn":                heldDoNotChurn,
		"a pause and a call at the same moment":          pauseAndCall,
		"a start by hand keeps the order":                startKeepsOrder,
		"a replay of a delivery keeps the order":         replayKeepsOrder,
		"what waits is canceled":                         waitingIsCanceled,
		"of two who cancel one does":                     oneCancels,
		"a cancel and a call at the same moment":         cancelAndCall,
		"what is to be canceled is listed":               canceledAreListed,
		"a push settles":                                 settled,
		"a status is due when there is something to say": statusIsDue,
		"the newest build has the status":                newestHasTheStatus,
		"builds of a context in one transaction":         manyOfAContext,
		"an end that was said of the wrong build":        wrongEndIsSaid,
		"that a build runs is news":                      runIsNews,
		"news while a status is sent":                    newsWhileSent,
		"a status that two processes sent":               sentByTwo,
		"a status that is refused":                       statusIsRefused,
		"statuses are forgotten with their builds":       statusesAreForgotten,
		"what catch-up has built is not built again":     lateIsSuperseded,
		"a missed push is built once":                    missedIsBuiltOnce,
		"a missed push is not built after a newer one":   missedIsNotBuiltAfterANewer,
		"a delivery comes while catch-up builds":         lateAtTheSameMoment,
		"what catch-up built is dead":                    deadIsNotBuilt,
		"a commit is built once":                         commitIsBuiltOnce,
		"a build that another branch relies on stays":    sharedIsNotReplaced,
		"a build that is replaced is none to rely on":    replacedIsNotRelied,
		"two branches in one delivery are one build":     onceInADelivery,
		"a branch that is set back replaces what waits":  setBackReplaces,
		"of deliveries of one commit one is built":       onceAtTheSameMoment,
		"repositories are looked at":                     repositoriesAreSet,
		"ends of a rule are counted":                     endsAreCounted,
		"an end that was taken back is not counted":      endTakenBack,
		"refs are named by deliveries":                   namedByDeliveries,
		"missed pushes are listed":                       missedIsListed,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, fresh(t))
		})
	}
}

// await polls until something is so.
func await(t testing.TB, what string, so func() bool) {
	t.Helper()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for end := time.Now().Add(time.Minute); !so(); <-poll.C {
		if time.Now().After(end) {
			t.Fatalf("not so: %s", what)
		}
	}
}

func logger(t *testing.T) *slog.Logger {
	t.Helper()
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

func delivery(key string) *store.Delivery {
	return &store.Delivery{
		Delivery: mapping.Delivery{
			ID: newID(), Source: "github", Provider: "github", HostID: key, DuplicateKey: key, Event: "push", Origin: mapping.OriginWebhook,
			ReceivedAt: time.Now().UTC().Truncate(time.Microsecond),
			Header:     map[string]string{"X-Github-Event": "push"}, Body: []byte(`{"ref":"refs/heads/main"}`),
		},
		Repository: "acme/shop", Ref: "refs/heads/main",
	}
}

func build(d *store.Delivery) *store.Build {
	return &store.Build{
		ID: newID(), Delivery: d.ID, Rule: "cart", Target: "north", JobID: "job", Repository: "acme/shop", Ref: "refs/heads/main",
		Commit: strings.Repeat("a", 40), Body: []byte(`{"job_id":"job"}`), State: store.Waiting,
		ReceivedAt: d.ReceivedAt, Deadline: d.ReceivedAt.Add(24 * time.Hour),
	}
}

// inTime does a write again for a minute if it does not get its locks: a machine may stand still while another
// write has them.
func inTime(write func() error) error {
	for end := time.Now().Add(time.Minute); ; {
		err := write()
		if p, ok := errors.AsType[*pgconn.PgError](err); !ok || p.Code != "55P03" /* lock_not_available */ || time.Now().After(end) {
			return err
		}
	}
}

// accept commits a delivery with one build, which change may alter.
func accept(t *testing.T, s *store.Store, change func(b *store.Build)) *store.Build {
	t.Helper()
	d := delivery(newID())
	b := build(d)
	if change != nil {
		change(b)
	}
	var of string
	err := inTime(func() (err error) { of, err = s.Accept(t.Context(), d, []*store.Build{b}); return err })
	if err != nil || of != "" {
		t.Fatal(of, err)
	}
	return read(t, s, b.ID)
}

func read(t *testing.T, s *store.Store, id string) *store.Build {
	t.Helper()
	b, err := s.Build(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func second[T any](_ T, err error) error { return err }

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
