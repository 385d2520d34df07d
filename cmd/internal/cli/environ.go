package cli

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"

	"buildbridge/cmd/internal/rulesfile"
	"buildbridge/mapping"
)

// variablePrefix is that of every variable of this program.
const variablePrefix = "BUILDBRIDGE_"

// serviceVariable are those that Kubernetes and Docker make of the names of services.
var serviceVariable = regexp.MustCompile(
	`^BUILDBRIDGE(_[A-Z0-9_]+)?_(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// unknownVariable is a variable that this program does not read.
type unknownVariable struct {
	name string
	hint string // `; did you mean "x"?`, "" for none
}

func (u unknownVariable) String() string {
	return "the variable " + u.name + " is not known, and has no effect" + u.hint
}

// unknownVariables gives the variables of the environment that are meant for this program by their names, and that
// no command reads, for a command that reads variables. A name that the rules have is one of theirs: of a secret.
// A command that reads no rules only tells of those that are probably misspelt.
func unknownVariables(k *kong.Kong, command *kong.Command, environ []string) (unknown []unknownVariable) {
	if !slices.ContainsFunc(command.Flags, func(f *kong.Flag) bool { return len(f.Envs) > 0 }) {
		return nil
	}
	var known []string
	_ = kong.Visit(k.Model, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok {
			for _, name := range flag.Envs {
				known = append(known, strings.TrimPrefix(name, variablePrefix)) // which would make all names alike
			}
		}
		return next(nil)
	})
	var own []string // of the command
	for _, flag := range command.Flags {
		for _, name := range flag.Envs {
			own = append(own, strings.TrimPrefix(name, variablePrefix))
		}
	}
	var rules []string
	named := os.Getenv("BUILDBRIDGE_RULES")
	if named != "" {
		rules = strings.Split(named, ",")
	}
	strict := false
	for _, flag := range command.Flags {
		if paths, ok := reflect.TypeAssert[[]string](flag.Target); ok && flag.Name == "rules" {
			strict = true
			if len(paths) > 0 {
				rules = paths
			}
		}
	}
	if len(rules) == 0 {
		rules = []string{defaultRules}
	}
	var files []mapping.File
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		short, ours := strings.CutPrefix(name, variablePrefix)
		if !ours || value == "" || slices.Contains(own, short) || serviceVariable.MatchString(name) {
			continue
		}
		meant := known
		if slices.Contains(known, short) { // by another command: BUILDBRIDGE_ADMIN_TOKEN, where serve has BUILDBRIDGE_ADMIN_TOKENS
			if meant = own; !strict || mapping.Suggest(short, own) == "" {
				continue
			}
		}
		u := unknownVariable{name: name, hint: strings.Replace(mapping.Suggest(short, meant), `"`, `"`+variablePrefix, 1)}
		if !strict && u.hint == "" || slices.ContainsFunc(command.Flags, func(f *kong.Flag) bool { return names(f, name) }) {
			continue
		}
		if files == nil {
			files = rulesfile.Read(rules)
		}
		if !slices.ContainsFunc(files, func(f mapping.File) bool { return bytes.Contains(f.Data, []byte(name)) }) {
			unknown = append(unknown, u)
		}
	}
	return unknown
}

// names reports whether the value of a flag names a variable, as a reference to a token does.
func names(flag *kong.Flag, variable string) bool {
	return strings.Contains(fmt.Sprint(flag.Target.Interface()), variable)
}

// checkProxies refuses addresses of proxies that can be none: calls through them would fail without saying why.
func checkProxies() error {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"} {
		given := os.Getenv(name)
		if given == "" || isProxy(given) || isProxy("http://"+given) {
			continue
		}
		return usageError(name + " is not the address of a proxy: want http://host:port") // it may have a password
	}
	return nil
}

func isProxy(given string) bool {
	u, err := url.Parse(given)
	if err != nil || !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme) || u.Hostname() == "" {
		return false
	}
	if port := u.Port(); port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		return err == nil && n > 0
	}
	return !strings.HasSuffix(u.Host, ":")
}
