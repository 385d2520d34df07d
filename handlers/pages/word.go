package pages

import (
	"fmt"
	"strings"

	"buildbridge/mapping"
	"buildbridge/trigger/store"
)

// rejected is the outcome of a delivery that was refused, which is in no row.
const rejected = "rejected"

// kinds are the classes of the style sheet for words of the store. Any other word is its own kind,
// if it is one, or "off".
var kinds = map[string]string{
	string(store.Waiting): "wait", string(store.Calling): "busy", string(store.Started): "busy", string(store.Unknown): "warn",
	string(store.Dead): "bad", string(store.Superseded): "off", string(store.DryRun): "off",

	string(store.Running): "busy", string(store.Success): "good", string(store.Failure): "bad", string(store.Aborted): "warn",
	string(store.Timeout): "bad", string(store.Lost): "warn",

	string(store.Accepted): "good", string(store.Ignored): "off", string(store.Duplicate): "off", rejected: "bad",

	string(mapping.SaysYes): "good", string(mapping.SaysNo): "bad", string(mapping.SaysFailed): "warn", string(mapping.SaysNotAsked): "off",

	"good": "good", "bad": "bad", "warn": "warn", "busy": "busy", "wait": "wait",
	"waits_for_a_person": "warn", "canceled": "off", "paused": "warn", "held": "warn", "queued": "wait",
}

// kind is the class for a state, a result or an outcome.
func kind(word any) string {
	if k, ok := kinds[fmt.Sprint(word)]; ok {
		return k
	}
	return "off"
}

// words is a name of the API as people write it: dry run.
func words(name any) string { return strings.ReplaceAll(fmt.Sprint(name), "_", " ") }

func texts[T ~string](names ...T) []string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = string(name)
	}
	return all
}
