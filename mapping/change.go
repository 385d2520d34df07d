package mapping

// Change is what differs between two sets of rules.
type Change struct {
	Rules   NamesChange `json:"rules"`
	Sources NamesChange `json:"sources"`
	Targets NamesChange `json:"targets"`
}

// NamesChange has the names of what came, went, and means something else, in the order of
// the files.
type NamesChange struct {
	Added   []string `json:"added"`
	Removed []string `json:"removed"`
	Changed []string `json:"changed"`
}

// Since says what differs from the set before. What has another name now was removed and
// added.
func (rs *Ruleset) Since(before *Ruleset) Change {
	old, now := before.digests(), rs.digests()
	return Change{
		Rules:   namesChange(before.names, rs.names, old.rules, now.rules),
		Sources: namesChange(sourceNames(before.sources), sourceNames(rs.sources), old.sources, now.sources),
		Targets: namesChange(targetNames(before.targets), targetNames(rs.targets), old.targets, now.targets),
	}
}

// namesChange compares the digests of what has a name, before and now.
func namesChange(before, now, oldDigests, newDigests []string) NamesChange {
	c := NamesChange{Added: []string{}, Removed: []string{}, Changed: []string{}}
	left := make(map[string]string, len(before)) // digests by name of what is not found now
	for i, name := range before {
		left[name] = oldDigests[i]
	}
	for i, name := range now {
		digest, ok := left[name]
		switch delete(left, name); {
		case !ok:
			c.Added = append(c.Added, name)
		case digest != newDigests[i]:
			c.Changed = append(c.Changed, name)
		}
	}
	for _, name := range before {
		if _, ok := left[name]; ok {
			c.Removed = append(c.Removed, name)
		}
	}
	return c
}
