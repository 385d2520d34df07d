package cli

import (
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"buildbridge/trigger/store"
)

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

func (completionCommand) Help() string {
	return `Prints a script for a shell that completes commands, flags and the states, results and outcomes that filters take.

Examples:

    source <(buildbridge completion bash)
    buildbridge completion bash >/etc/bash_completion.d/buildbridge
    buildbridge completion zsh >"${fpath[1]}/_buildbridge"
    buildbridge completion fish >~/.config/fish/completions/buildbridge.fish`
}

// completing is the first argument of a call by such a script; the words of the command line follow, up to the one to
// complete.
const completing = "__complete"

// The scripts ask the program itself: they have nothing to bring up to date.
const (
	bashCompletion = `_buildbridge() {
    local IFS=$'\n'
    COMPREPLY=($(buildbridge ` + completing + ` "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _buildbridge buildbridge
`
	zshCompletion = `#compdef buildbridge
_buildbridge() {
    local -a found
    found=("${(@f)$(buildbridge ` + completing + ` "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if (( ${#found} )) && [[ -n ${found[1]} ]]; then
        compadd -- "${found[@]}"
    else
        _files
    fi
}
if [[ ${funcstack[1]} == _buildbridge ]]; then
    _buildbridge "$@"
else
    compdef _buildbridge buildbridge
fi
`
	fishCompletion = `function __buildbridge_complete
    set -l words (commandline -opc) (commandline -ct)
    buildbridge ` + completing + ` $words[2..-1] 2>/dev/null
end
complete -c buildbridge -a '(__buildbridge_complete)'
`
)

// Run prints the script.
func (c *completionCommand) Run(env *Environment) error {
	script := map[string]string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}[c.Shell]
	_, err := io.WriteString(env.Stdout, script)
	return err
}

// complete gives what the last of the words can become, nil for what a shell knows better, such as a file.
func complete(app *kong.Application, words []string) (found []string) {
	if len(words) == 0 {
		words = []string{""}
	}
	last, node, value := words[len(words)-1], app.Node, (*kong.Flag)(nil)
	for _, word := range words[:len(words)-1] {
		switch {
		case value != nil:
			value = nil
		case strings.HasPrefix(word, "-"):
			if flag := flagOf(node, word); flag != nil && !flag.IsBool() && !strings.Contains(word, "=") {
				value = flag
			}
		default:
			if i := slices.IndexFunc(node.Children, func(n *kong.Node) bool { return n.Name == word }); i >= 0 {
				node = node.Children[i]
			}
		}
	}
	switch {
	case value != nil:
		found = valuesOf(value.Value)
	case strings.HasPrefix(last, "-"):
		for _, group := range node.AllFlags(true) {
			for _, flag := range group {
				found = append(found, "--"+flag.Name)
			}
		}
	default:
		for _, child := range node.Children {
			if !child.Hidden {
				found = append(found, child.Name)
			}
		}
		for _, argument := range node.Positional {
			found = append(found, valuesOf(argument)...)
		}
		if node.Name == "help" {
			return complete(app, []string{last})
		}
	}
	found = slices.DeleteFunc(found, func(s string) bool { return !strings.HasPrefix(s, last) })
	slices.Sort(found)
	return slices.Compact(found)
}

// flagOf is the flag that a word names, nil if there is none.
func flagOf(node *kong.Node, word string) *kong.Flag {
	name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
	for _, group := range node.AllFlags(false) {
		for _, flag := range group {
			if flag.Name == name || flag.Short != 0 && string(flag.Short) == name {
				return flag
			}
		}
	}
	return nil
}

// valuesOf are the values that a flag or an argument takes, nil if they cannot be listed.
func valuesOf(v *kong.Value) (values []string) {
	switch {
	case v.Enum != "":
		return strings.Split(v.Enum, ",")
	case v.Name == "state":
		for _, state := range store.States() {
			values = append(values, string(state))
		}
	case v.Name == "result":
		for _, result := range store.Results() {
			values = append(values, string(result))
		}
	case v.Name == "outcome":
		return []string{"accepted", "ignored", "duplicate", "rejected"}
	case v.Name == "level":
		return []string{"debug", "info", "warn", "error"}
	}
	return values
}
