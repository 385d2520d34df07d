package mapping

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLiteralRepositories(t *testing.T) {
	tests := map[string]struct{ list, want []string }{
		"none":                       {nil, nil},
		"globs":                      {[]string{"a/*", "!a/b"}, nil},
		"each once":                  {[]string{"a/b", "a/c", "a/b"}, []string{"a/c", "a/b"}},
		"excluded by a later glob":   {[]string{"a/b", "b/c", "!a/*", "a/d"}, []string{"b/c", "a/d"}},
		"excluded by itself":         {[]string{"a/b", "b/c", "!a/b"}, []string{"b/c"}},
		"and back again":             {[]string{"!a/b", "a/b", "!a/*", "**"}, []string{"a/b"}},
		"the last glob that decides": {[]string{"a/b", "a/*", "!**"}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := &rule{repository: mustGlobs(t, test.list...)}
			if diff := cmp.Diff(test.want, r.literalRepositories()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
