package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tidaldb/tidalsim/harness/campaign"
	"github.com/tidaldb/tidalsim/internal/nearest"
)

// didYouMean returns the end of an error's text that names the nearest of names, "" if none is
// near.
func didYouMean(name, prefix string, names []string) string {
	if near := nearest.Name(name, names); near != "" {
		return fmt.Sprintf("; did you mean %s%s?", prefix, near)
	}
	return ""
}

// onlyCommands are the arguments of a command that has subcommands and does little itself.
func onlyCommands(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	hint := didYouMean(args[0], "", names)
	if hint == "" {
		hint = "; there are " + strings.Join(names, ", ")
	}
	return fmt.Errorf("unknown command %q for %q%s", args[0], cmd.CommandPath(), hint)
}

// wrongFlag names the wanted value of a flag that cannot be read.
func wrongFlag(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var value *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown):
		name := unknown.GetSpecifiedName()
		if short := unknown.GetSpecifiedShortnames(); short != "" { // -seeds=3, perhaps
			name, _, _ = strings.Cut(short, "=")
		}
		return fmt.Errorf("%w%s", err, didYouMean(name, "--", flagNames(cmd)))
	case errors.As(err, &value):
		f := value.GetFlag()
		return &campaign.FlagError{Flag: f.Name, Value: value.GetValue(), Want: wantedOf(f)}
	}
	return err
}

// flagNames returns the flags that people may give to a command.
func flagNames(cmd *cobra.Command) (names []string) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return names
}

// wantedOf says which values a flag takes.
func wantedOf(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "int":
		return "a whole number"
	case "uint64":
		return "a whole number from 0 on"
	case "duration":
		return "a time like 500ms, 30s or 2m"
	case "bool":
		return "true or false"
	}
	return f.Usage
}

// from returns an error if a flag's number is below the least that is wanted.
func from(least int, flag string, value int, want string) error {
	if value < least {
		return &campaign.FlagError{Flag: flag, Value: value, Want: want}
	}
	return nil
}

// variable is the one of the environment that sets a flag.
func variable(flag string) string {
	return variables + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

const variables = "SIMRUN_"

// foreign are the variables with our prefix that cobra reads.
var foreign = []string{variables + "ACTIVE_HELP"}

// unknownVariable returns an error for a SIMRUN_ variable that sets no flag of any command: it
// is most likely mistyped.
func unknownVariable(root *cobra.Command, environment []string) error {
	var flags []string
	every(root, func(cmd *cobra.Command) { flags = append(flags, flagNames(cmd)...) })
	for _, entry := range environment {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, variables) || slices.Contains(foreign, name) || slices.ContainsFunc(flags, func(f string) bool { return variable(f) == name }) {
			continue
		}
		wanted := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, variables)), "_", "-")
		hint := "; unset it"
		if near := nearest.Name(wanted, flags); near != "" {
			hint = fmt.Sprintf("; did you mean %s?", variable(near))
		}
		return fmt.Errorf("unknown variable %s=%s: no command has a flag --%s%s", name, value, wanted, hint)
	}
	return nil
}

// every visits a command and all below it.
func every(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, sub := range cmd.Commands() {
		every(sub, visit)
	}
}

// prepare looks at the environment before a command runs.
func prepare(cmd *cobra.Command, _ []string) error {
	if err := unknownVariable(cmd.Root(), os.Environ()); err != nil {
		return err
	}
	return fromEnvironment(cmd)
}
