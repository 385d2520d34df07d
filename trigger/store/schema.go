package store

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// schema is the tables as numbered files. A change of the tables is a new file. Both
// databases run 0001.sql, and PostgreSQL then 0001_postgres.sql if there is one.
//
//go:embed schema
var schema embed.FS

// schemaVersion is the number of the last file. A new database has version 0.
const schemaVersion = 6

// errForeign is that of a database with tables of another program.
var errForeign = errors.New("it has tables that this program did not make: give this one a new database, of its own")

// checkVersion returns an error if another version of this program made the tables.
func checkVersion(found int64) error {
	if found < 0 || found > schemaVersion {
		return fmt.Errorf("its tables are of version %d, and this program knows %d: "+
			"use the program that made it, or give this one a new database", found, schemaVersion)
	}
	return nil
}

// schemaOf gives the statements of a version of the tables. words replaces the words in braces;
// suffixes are the files of a number.
func schemaOf(version int64, words *strings.Replacer, suffixes ...string) (string, error) {
	var all strings.Builder
	for _, suffix := range suffixes {
		text, err := schema.ReadFile(fmt.Sprintf("schema/%04d%s.sql", version, suffix))
		if errors.Is(err, fs.ErrNotExist) && suffix != "" {
			continue
		}
		if err != nil {
			return "", err
		}
		all.WriteString(words.Replace(string(text)))
	}
	return all.String(), nil
}

// schemaAfter gives the statements that bring tables of a version up to date, "" if they
// are up to date.
func schemaAfter(version int64, words *strings.Replacer, suffixes ...string) (string, error) {
	var all strings.Builder
	for n := version + 1; n <= schemaVersion; n++ {
		text, err := schemaOf(n, words, suffixes...)
		if err != nil {
			return "", err
		}
		all.WriteString(text)
	}
	return all.String(), nil
}
