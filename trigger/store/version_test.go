package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"buildbridge/trigger/store"
)

// Tables of another version are refused, and left as they are.
func TestTablesOfAnotherVersionAreRefused(t *testing.T) {
	t.Parallel()
	for phrase, test := range map[string]struct {
		database func(t *testing.T) string
		run      func(t testing.TB, database, statement string)
		set      string
	}{
		"SQLite": {
			database: func(t *testing.T) string { t.Helper(); return filepath.Join(t.TempDir(), "test.db") },
			run:      runSQLite,
			set:      `PRAGMA user_version = 99`,
		},
		"Postgres": {
			database: func(t *testing.T) string { t.Helper(); return server.Database(t) },
			run:      runPostgres,
			set:      `INSERT INTO schema_version (version) VALUES (99)`,
		},
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			database := test.database(t)
			if err := opener(t, database)().Close(); err != nil {
				t.Fatal(err)
			}
			test.run(t, database, test.set)
			test.run(t, database, `ALTER TABLE builds RENAME TO kept`)
			const want = "its tables are of version 99, and this program knows 6: use the program that made it, or give this one a new database"
			refused(t, database, want)
			test.run(t, database, `ALTER TABLE kept RENAME TO builds`) // it would fail if there were a new one
		})
	}
}

// No table is created among the tables of another program, and none of them is used.
func TestTablesOfOthersAreRefused(t *testing.T) {
	t.Parallel()
	for phrase, statement := range map[string]string{
		"others, without a version":  `CREATE TABLE builds (id text)`,
		"without what a build needs": `CREATE TABLE builds (id text); PRAGMA user_version = 1`,
		"none of ours":               `CREATE TABLE kept (id text); PRAGMA user_version = 1`,
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			database := filepath.Join(t.TempDir(), "test.db")
			runSQLite(t, database, statement)
			refused(t, database, "it has tables that this program did not make")
		})
	}
	for phrase, statement := range map[string]string{
		"on Postgres, others":                     `CREATE TABLE builds (id text)`,
		"on Postgres, without what a build needs": `CREATE TABLE builds (id text); CREATE TABLE schema_version (version bigint NOT NULL); INSERT INTO schema_version VALUES (1)`,
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			database := server.Database(t)
			runPostgres(t, database, statement)
			refused(t, database, "it has tables that this program did not make")
		})
	}
}

// A file that is refused because of its version is not changed at all.
func TestRefusedFileIsLeftAsItIs(t *testing.T) {
	t.Parallel()
	database := filepath.Join(t.TempDir(), "test.db")
	runSQLite(t, database, `CREATE TABLE others (id text); PRAGMA user_version = 7`)
	before, err := os.ReadFile(database)
	if err != nil {
		t.Fatal(err)
	}
	refused(t, database, "its tables are of version 7")
	if after, err := os.ReadFile(database); err != nil || !bytes.Equal(after, before) {
		t.Errorf("it was changed, %v", err)
	}
}

func refused(t *testing.T, database, want string) {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Database: database, Logger: logger(t)})
	if err == nil {
		_ = s.Close()
	}
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want …%s", err, want)
	}
}

func runSQLite(t testing.TB, database, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

func runPostgres(t testing.TB, database, statement string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}
