package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stronghold-go/stronghold/permissions"
	"github.com/stronghold-go/stronghold/protocol"
)

func (a *app) policyTestCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "test [FILE]",
		Short: "run the [[test]]s of a policy, and apply nothing",
		Long: `test runs the tests in a policy: in FILE, in stdin with -, or in the policy in
force. It ends with 0 if each found what it expects; each that did not is a line
on stdout, and the end is 1. apply runs them too, and stops if one fails.`,
		Example: `  shnode policy test
  shnode policy test policy.toml && shnode policy apply policy.toml`,
		Args: takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			req := &protocol.Request{Operation: "policy.test"}
			if len(args) == 1 {
				text, err := a.read(ctx, "the policy", args[0], permissions.MaxText)
				if err != nil {
					return err
				}
				if req.Text = string(text); req.Text == "" { // the node would take that for the one in force
					req.Text = "\n"
				}
			}
			return a.askHome(ctx, func(c protocol.Client, _ bool) error {
				resp, err := c.Do(ctx, req)
				if refused := (*protocol.Error)(nil); errors.As(err, &refused) && refused.Field == "text" {
					return &failure{exit: exitFailed, code: "invalid", message: "the policy: " + refused.Detail, requestID: refused.RequestID}
				}
				if err != nil {
					return err
				}
				return a.printFailures(resp.Text)
			})
		},
	}
}

// printFailures prints what policy.test found: a line for each test that failed.
func (a *app) printFailures(text string) error {
	failures := textLines(text)
	if a.json {
		if err := a.printJSON(map[string]any{"passed": len(failures) == 0, "failures": failures}); err != nil {
			return err
		}
	}
	if len(failures) == 0 {
		a.talkf("no test fails")
		return nil
	}
	for _, f := range failures {
		if !a.json {
			fmt.Fprintln(a.stdout, printable(f))
		}
	}
	return answeredNo(exitFailed)
}

// textLines are the lines of an answer's text, none if it is empty.
func textLines(text string) []string {
	if text == "" {
		return []string{}
	}
	return strings.Split(text, "\n")
}
