package handlers

import (
	"buildbridge/mapping"
	"buildbridge/mapping/printable"
)

// DecidedEvent is an event of a stored delivery, as the rules of now were asked about it. Its texts
// are as they came.
type DecidedEvent struct {
	Kind         mapping.Kind `json:"kind"`
	Repository   string       `json:"repository"`
	URL          string       `json:"url,omitempty"` // web address of the repository, as the body says
	Ref          string       `json:"ref"`
	Commit       string       `json:"commit,omitempty"`
	Before       string       `json:"before,omitempty"`
	Created      bool         `json:"created,omitempty"`
	Forced       bool         `json:"forced,omitempty"`
	Author       string       `json:"author,omitempty"`
	Pusher       string       `json:"pusher,omitempty"`
	Title        string       `json:"title,omitempty"`         // the first line of the message
	Files        []string     `json:"files,omitempty"`         // at most maxTold
	MoreFiles    int          `json:"more_files,omitempty"`    // how many more there are
	FilesUnknown string       `json:"files_unknown,omitempty"` // why these may not be all

	// Rules is how many of the decision's rules are about this event: those of the first event come
	// first.
	Rules int `json:"rules"`
}

// maxTold bounds the events, and the files of each, that an explained decision has.
const maxTold = 100

// told is an event with what people are told of it, and how many rules are about it.
func told(e *mapping.Event, rules int) DecidedEvent {
	few := e.Files[:min(len(e.Files), maxTold)]
	return DecidedEvent{
		Kind: e.Kind, Repository: e.Repository, URL: e.URL, Ref: e.Ref, Commit: e.Commit, Before: e.Before, Created: e.Created,
		Forced: e.Forced, Author: e.Author, Pusher: e.Pusher, Title: printable.Text(e.Title()), Files: few,
		MoreFiles: len(e.Files) - len(few), FilesUnknown: e.FilesUnknown, Rules: rules,
	}
}
