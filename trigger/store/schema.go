package store

import (
	"embed"
	"errors"
	"fmt"
	"strings"
)

// The tables, as numbered files: a change of them is a new file. One that both
// databases run is followed by what is there for Postgres alone.
//
//go:embed schema
var schema embed.FS

// schemaVersion is that of the last file. A new database has the version 0.
const schemaVersion = 1

// checkVersion refuses a database whose tables another program made.
func checkVersion(found int64) error {
	if found < 0 || found > schemaVersion {
		return fmt.Errorf("its tables are of version %d, and this program knows %d: use the program that made it, or give this one a new database", found, schemaVersion)
	}
	return nil
}

// errOtherTables is of a database that has a version of this program's and other tables.
var errOtherTables = errors.New("it has tables that this program did not make: give this one a new database, of its own")

// schemaAfter gives the text that brings tables of a version up to date, "" if they
// are. words is what stands for the words in braces; suffixes the files of a number.
func schemaAfter(version int64, words *strings.Replacer, suffixes ...string) (string, error) {
	var all strings.Builder
	for n := version + 1; n <= schemaVersion; n++ {
		for _, suffix := range suffixes {
			text, err := schema.ReadFile(fmt.Sprintf("schema/%04d%s.sql", n, suffix))
			if err != nil {
				return "", err
			}
			all.WriteString(words.Replace(string(text)))
		}
	}
	return all.String(), nil
}
