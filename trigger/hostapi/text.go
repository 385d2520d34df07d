package hostapi

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"buildbridge/trigger/internal/quoted"
)

// at gives a path of parts, each escaped whole.
func at(parts ...string) string {
	var path strings.Builder
	for _, part := range parts {
		path.WriteString("/" + url.PathEscape(part))
	}
	return path.String()
}

// split gives the two parts of a repository's full name.
func split(repository string) (owner, name string, err error) {
	owner, name, ok := strings.Cut(repository, "/")
	for _, part := range []string{owner, name} {
		if !ok || part == "" || part == "." || part == ".." || strings.Contains(part, "/") {
			return "", "", &Refusal{Fate: FateFinal, Code: CodeNotSent, Reason: "the repository's name does not have the form owner/name"}
		}
	}
	return owner, name, nil
}

// short gives the name of a branch or a tag.
func short(ref string) string {
	return strings.TrimPrefix(strings.TrimPrefix(ref, "refs/heads/"), "refs/tags/")
}

// maxDescription is what GitHub takes, in characters; it is enough for all.
const maxDescription = 140

// oneLine makes a text one line of at most so many characters.
func oneLine(text string, characters int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	runes := []rune(strings.Join(strings.Fields(text), " "))
	if len(runes) > characters {
		runes = append(runes[:characters-1], '…')
	}
	return string(runes)
}

// shorten gives the context in at most so many characters: as it is, or its beginning and a part
// of its SHA-256, so that it stays the same for a rule, and differs from others.
func shorten(context string, characters int) string {
	runes := []rune(context)
	if len(runes) <= characters {
		return context
	}
	sum := sha256.Sum256([]byte(context))
	return string(runes[:characters-8]) + "-" + hex.EncodeToString(sum[:])[:7]
}

// link gives a URL for people if a host takes it: a part of one would lead elsewhere.
func link(target string, characters int) string {
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || len([]rune(target)) > characters {
		return ""
	}
	return target
}

// message gives the text of an error in any of the hosts' forms: a text or an object in
// message or error, several in errors, what is wrong with each field.
func message(body []byte) string {
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		return ""
	}
	return texts(v)
}

func texts(v any) string {
	var all []string
	switch v := v.(type) {
	case string:
		return v
	case []any:
		for _, element := range v {
			all = append(all, texts(element))
		}
	case map[string]any:
		for _, key := range []string{"message", "error", "errors", "error_description", "fields"} {
			if said := texts(v[key]); said != "" {
				all = append(all, said)
			}
		}
		if len(all) == 0 {
			for _, key := range slices.Sorted(maps.Keys(v)) {
				if said := texts(v[key]); said != "" {
					all = append(all, key+" "+said)
				}
			}
		}
	}
	return strings.Join(all, "; ")
}

// hide is [quoted.Hide], and finds a token whole that is too short for that.
func hide(text string, secrets []string) string {
	for _, secret := range secrets {
		if len(secret) < quoted.Piece && strings.Contains(strings.ToLower(text), strings.ToLower(secret)) {
			return quoted.Hidden
		}
	}
	return quoted.Hide(text, secrets)
}

// foreign is [quoted.Error] with hide.
func foreign(err error, secrets []string) error {
	if hide(err.Error(), secrets) == quoted.Hidden {
		return errors.New(quoted.Hidden)
	}
	return quoted.Error(err, secrets)
}
