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
const schemaVersion = 5

// checkVersion returns an error if another version of this program made the tables.
func checkVersion(found int64) error {
	if found < 0 || found > schemaVersion {
		return fmt.Errorf("its tables are of version %d, and this program knows %d: "+
			"use the program that made it, or give this one a new database", found, schemaVersion)
	}
	return nil
}

// schemaAfter gives the statements that bring tables of a version up to date, "" if they
// are up to date. foreign says that the database has tables of another program. words
// replaces the words in braces; suffixes are the files of a number.
func schemaAfter(version int64, foreign bool, words *strings.Replacer, suffixes ...string) (string, error) {
	if foreign {
		return "", errors.New("it has tables that this program did not make: give this one a new database, of its own")
	}
	var all strings.Builder
	for n := version + 1; n <= schemaVersion; n++ {
		for _, suffix := range suffixes {
			text, err := schema.ReadFile(fmt.Sprintf("schema/%04d%s.sql", n, suffix))
			if errors.Is(err, fs.ErrNotExist) && suffix != "" {
				continue
			}
			if err != nil {
				return "", err
			}
			all.WriteString(words.Replace(string(text)))
		}
	}
	return all.String(), nil
}
