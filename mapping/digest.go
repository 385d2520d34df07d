package mapping

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
)

// digests of a set of rules, each of 12 hexadecimal digits. They are made of what the files
// mean: comments, layout, quotes, the division into files and the order of rules, sources
// and targets change nothing.
type digests struct {
	all                     string
	rules, sources, targets []string // in the order of the set
}

// Digest is 12 hexadecimal digits that change when the rules, sources or targets mean
// something else. Comments, layout, the order and the files of the rules do not count, nor do
// the values of secrets: only where they are. Digests of two versions of the program can
// differ for the same files.
func (rs *Ruleset) Digest() string { return rs.digests().all }

// digests are made when they are asked for first: most sets are only checked.
func (rs *Ruleset) digests() *digests {
	rs.digestOnce.Do(func() {
		d := new(digests)
		for _, r := range rs.rules {
			d.rules = append(d.rules, digest(r.describe()))
		}
		for _, s := range rs.sources {
			d.sources = append(d.sources, digest(s))
		}
		for _, t := range rs.targets {
			zone := "" // it has no exported fields
			if t.Reconcile.TimeZone != nil {
				zone = t.Reconcile.TimeZone.String()
			}
			d.targets = append(d.targets, digest([]any{t, zone}))
		}
		sorted := func(list []string) []string { return slices.Sorted(slices.Values(list)) }
		d.all = digest([][]string{sorted(d.rules), sorted(d.sources), sorted(d.targets)}) // each has the name in it
		rs.digested = d
	})
	return rs.digested
}

// digest makes a digest of the JSON of a value, in which the order of keys is fixed.
func digest(of any) string {
	text, err := json.Marshal(of)
	if err != nil {
		panic("mapping: no digest: " + err.Error()) // texts, numbers, and lists and maps of them
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:6])
}
