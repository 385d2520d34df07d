package mapping

import (
	"testing"

	"buildbridge/mapping/internal/yamldoc"
)

func TestConstraint(t *testing.T) {
	tests := map[string]struct {
		constraint string
		prefix     string
		takes      []string
		refuses    []string
	}{
		"at least":            {">=2.0.0", "", []string{"v2.0.0", "2.1.0", "v10.0.0", "v2.0.0+build.5"}, []string{"v1.9.9", "v2.1.0-rc.1", "v3.0.0-0"}},
		"strict":              {">=0.0.0", "", []string{"v0.0.1"}, []string{"v1", "v1.2", "1.2.3.4", "vv1.2.3", "V1.2.3", "01.2.3", "release-1.2.3", "", "v"}},
		"caret":               {"^1.2.0", "", []string{"v1.2.0", "v1.9.0"}, []string{"v2.0.0", "v1.1.9"}},
		"tilde":               {"~1.2", "", []string{"v1.2.9"}, []string{"v1.3.0"}},
		"or":                  {"1.x || >=3.0.0", "", []string{"v1.5.0", "v3.0.0"}, []string{"v2.0.0"}},
		"and":                 {">=1.0.0, <2.0.0", "", []string{"v1.5.0"}, []string{"v2.0.0"}},
		"a prerelease named":  {">=2.0.0-0", "", []string{"v2.0.0-rc.1", "v2.1.0-rc.1", "v2.1.0"}, []string{"v1.9.9"}},
		"exactly":             {"=1.2.3", "", []string{"v1.2.3"}, []string{"v1.2.4", "v1.2.3-rc.1"}},
		"a range by a hyphen": {"1.2.0 - 1.4.0", "", []string{"v1.3.0"}, []string{"v1.5.0"}},
		"a prefix":            {">=1.0.0", "cart/v", []string{"cart/v1.2.3", "cart/v2.0.0+b"}, []string{"cart/v0.1.0", "v1.2.3", "1.2.3", "cart/1.2.3", "pay/v1.2.3", "cart/v", "cart/vv1.2.3", "Cart/v1.2.3"}},
		"a prefix without v":  {">=1.0.0", "cart/", []string{"cart/1.2.3"}, []string{"cart/v1.2.3", "cart/", "cart"}},
		"a prefix of digits":  {">=1.0.0", "2", []string{"21.0.0"}, []string{"1.0.0", "v1.0.0"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := scope{language: &language{constraints: map[semverTexts]*semverClause{}}}
			semver := s.semverClause(yamldoc.Text{Value: test.constraint, At: yamldoc.Position{Line: 1, Column: 1}}, yamldoc.Text{Value: test.prefix})
			for _, v := range test.takes {
				if !semver.holds(newSubject(&Event{Tag: v})) {
					t.Errorf("%s refuses %s", test.constraint, v)
				}
			}
			for _, v := range test.refuses {
				if semver.holds(newSubject(&Event{Tag: v})) {
					t.Errorf("%s takes %s", test.constraint, v)
				}
			}
		})
	}
}
