package store_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"buildbridge/trigger/store"
)

// BenchmarkPages commits deliveries of 3 KB with one build each, from 28 goroutines, and
// reports how many pages of SQLite's log each takes. While one commit is made, half of the others wait.
func BenchmarkPages(b *testing.B) {
	path := filepath.Join(b.TempDir(), "bench.db")
	s, err := store.Open(b.Context(), store.Options{Database: path, Logger: discard()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	// An open read transaction keeps SQLite from starting the log again, so that it has all pages.
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	tx, err := db.BeginTx(b.Context(), &sql.TxOptions{ReadOnly: true})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	var n, bytes int64
	if err := tx.QueryRowContext(b.Context(), `SELECT count(*) FROM deliveries`).Scan(&n); err != nil {
		b.Fatal(err)
	}
	body := make([]byte, 3000)
	for i := range body {
		body[i] = byte(i * i * 7 >> 3) //nolint:gosec // noise that cannot be compressed
	}
	log := func() int64 {
		info, err := os.Stat(path + "-wal")
		if err != nil {
			b.Fatal(err)
		}
		return info.Size()
	}
	bytes = log()
	b.SetParallelism(14)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			d := delivery(newID())
			d.Body = body
			build := build(d)
			build.Ref, build.Commit = "refs/heads/"+build.ID, build.ID
			if _, err := s.Accept(b.Context(), d, []*store.Build{build}); err != nil {
				b.Error(err)
			}
		}
	})
	const frame = 4096 + 24 // https://www.sqlite.org/fileformat2.html#walformat
	b.ReportMetric(float64(log()-bytes)/frame/float64(b.N), "pages/op")
}
