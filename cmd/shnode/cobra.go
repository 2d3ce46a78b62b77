package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// group makes parent a command that only has commands below it.
func group(parent *cobra.Command, children ...*cobra.Command) *cobra.Command {
	parent.AddCommand(children...)
	parent.SuggestionsMinimumDistance = 2
	parent.Args = cobra.ArbitraryArgs // else cobra answers in its own words
	parent.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		hint := fmt.Sprintf("`%s --help` tells what there is", cmd.CommandPath())
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			hint = fmt.Sprintf("did you mean `%s %s`?", cmd.CommandPath(), strings.Join(near, "`, `"+cmd.CommandPath()+" "))
		}
		return usage(fmt.Sprintf("%s has no command %q", cmd.CommandPath(), args[0]), hint)
	}
	return parent
}

// takes says how many arguments a command takes, in the words of its usage line.
func takes(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if least <= len(args) && len(args) <= most {
			return nil
		}
		return usage(fmt.Sprintf("`%s` takes %s", cmd.CommandPath(), count(least, most)), "usage: "+cmd.UseLine())
	}
}

func count(least, most int) string {
	switch {
	case most == 0:
		return "no arguments"
	case least == most && most == 1:
		return "1 argument"
	case least == most:
		return fmt.Sprintf("%d arguments", most)
	case least == 0:
		return fmt.Sprintf("at most %d arguments", most)
	}
	return fmt.Sprintf("%d or %d arguments", least, most)
}

// flagError is a wrong flag, with the one that may have been meant.
func flagError(cmd *cobra.Command, err error) error {
	if errors.Is(err, pflag.ErrHelp) {
		return err
	}
	hint := fmt.Sprintf("`%s --help` tells what there is", cmd.CommandPath())
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		best := 3 // letters that differ; more is another word
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if d := distance(unknown.GetSpecifiedName(), f.Name); d < best && !f.Hidden {
				best = d
				hint = "did you mean --" + f.Name + "?"
			}
		})
		return usage(fmt.Sprintf("`%s` has no flag --%s", cmd.CommandPath(), unknown.GetSpecifiedName()), hint)
	}
	var value *pflag.InvalidValueError
	if errors.As(err, &value) {
		// pflag's own words repeat the value.
		return usage("--"+value.GetFlag().Name+" does not take this value", "it takes a "+value.GetFlag().Value.Type()+"; "+hint)
	}
	return usage(err.Error(), hint)
}

// distance is how many letters have to be put in, left out or changed to get
// from a to b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
