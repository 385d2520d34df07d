package cli

import (
	"encoding/xml"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"buildbridge/mapping"
)

func TestJUnit(t *testing.T) {
	r := testReport{Tests: 2, Failed: 1, Files: []testedFile{{File: "a.test.yaml", Tests: []testResult{
		{Name: "main builds", Line: 2, Column: 5, OK: true, took: 1500 * time.Microsecond},
		{Name: `"x" <&> \u0007`, Line: 6, Column: 5, Differences: []string{"not expected: a\n  b]]>\x07"}},
	}}}}
	got, err := r.junit()
	if err != nil {
		t.Fatal(err)
	}
	want := xml.Header + `<testsuites name="buildbridge test">
  <testsuite name="a.test.yaml" tests="2" failures="1" errors="0" time="0.001500">
    <testcase name="main builds" classname="a.test.yaml" time="0.001500"></testcase>
    <testcase name="&#34;x&#34; &lt;&amp;&gt; \u0007" classname="a.test.yaml" time="0.000000">
      <failure message="not expected: a" type="difference">a.test.yaml:6:5: FAILED: &#34;x&#34; &lt;&amp;&gt; \u0007&#xA;    not expected: a&#xA;      b]]&gt;\a&#xA;</failure>
    </testcase>
  </testsuite>
</testsuites>
`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}

	r = testReport{Faults: []mapping.Fault{{File: "a.yaml", Line: 1, Column: 2, Message: "not YAML"}}}
	if got, err = r.junit(); err != nil {
		t.Fatal(err)
	}
	want = xml.Header + `<testsuites name="buildbridge test">
  <testsuite name="faults" tests="1" failures="0" errors="1" time="0.000000">
    <testcase name="rules and tests can be read" classname="faults" time="0.000000">
      <error message="a.yaml:1:2: not YAML" type="fault">a.yaml:1:2: not YAML</error>
    </testcase>
  </testsuite>
</testsuites>
`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("report of faults (-want +got):\n%s", diff)
	}
}
