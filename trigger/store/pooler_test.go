package store_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"buildbridge/trigger/store"
)

// A pooler that does not keep sessions is refused at the start, each time, and one
// that does is not.
func TestPoolers(t *testing.T) {
	t.Parallel()
	for phrase, c := range map[string]struct {
		settings []string
		query    string // of the URL
		refused  bool
	}{
		"sessions":                           {[]string{"pool_mode = session"}, "", false},
		"sessions, fewer than we probe with": {[]string{"pool_mode = session", "default_pool_size = 3"}, "", false},
		"transactions":                       {[]string{"pool_mode = transaction"}, "", true},
		"transactions, in turns":             {[]string{"pool_mode = transaction", "server_round_robin = 1"}, "", true},
		"transactions, one at a time":        {[]string{"pool_mode = transaction", "default_pool_size = 1"}, "", true},
		"transactions, nothing prepared":     {[]string{"pool_mode = transaction"}, "&default_query_exec_mode=exec", true},
		"statements":                         {[]string{"pool_mode = statement"}, "", true},
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			database := server.Pooler(t, server.Database(t), c.settings...) + c.query
			for range 3 {
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				s, err := store.Open(ctx, store.Options{Database: database, Logger: logger(t)})
				cancel()
				if c.refused {
					if err == nil {
						t.Error("not refused", s.Close())
					} else if !strings.Contains(err.Error(), "pool_mode = session") {
						t.Errorf("refused with %v", err)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				accept(t, s, func(b *store.Build) { b.Ref = "refs/heads/" + b.ID })
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
