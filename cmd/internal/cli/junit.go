package cli

import (
	"encoding/xml"
	"fmt"
	"strings"
	"time"

	"buildbridge/mapping"
)

// junitSuites is a report that Jenkins, GitLab and others read. There is no standard of it:
// this is what the schemas of Jenkins' and of Ant's have in common.
type junitSuites struct {
	XMLName xml.Name     `xml:"testsuites"`
	Name    string       `xml:"name,attr"`
	Suites  []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Time     string      `xml:"time,attr"` // seconds
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	Time    string        `xml:"time,attr"`
	Error   *junitMessage `xml:"error"`
	Failure *junitMessage `xml:"failure"`
}

type junitMessage struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",chardata"`
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.6f", d.Seconds()) }

// junit gives the report as JUnit XML: a suite for each file. Faults are a test that could not
// be run.
func (r *testReport) junit() ([]byte, error) {
	out := junitSuites{Name: "buildbridge test"}
	for _, f := range r.Files {
		s := junitSuite{Name: f.File, Tests: len(f.Tests)}
		var all time.Duration
		for _, t := range f.Tests {
			c := junitCase{Name: t.Name, Class: f.File, Time: seconds(t.took)}
			if !t.OK {
				s.Failures++
				first, _, _ := strings.Cut(t.Differences[0], "\n")
				c.Failure = &junitMessage{Message: first, Type: "difference", Text: t.text(f.File)}
			}
			all += t.took
			s.Cases = append(s.Cases, c)
		}
		s.Time = seconds(all)
		out.Suites = append(out.Suites, s)
	}
	if len(r.Faults) > 0 {
		faults := &junitMessage{Message: r.Faults[0].Error(), Type: "fault", Text: mapping.Faults(r.Faults).Error()}
		out.Suites = append(out.Suites, junitSuite{
			Name: "faults", Tests: 1, Errors: 1, Time: seconds(0),
			Cases: []junitCase{{Name: "rules and tests can be read", Class: "faults", Time: seconds(0), Error: faults}},
		})
	}
	text, err := xml.MarshalIndent(out, "", "  ")
	return append([]byte(xml.Header), append(text, '\n')...), err
}
