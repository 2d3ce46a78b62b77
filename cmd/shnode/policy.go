package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/stronghold-go/stronghold/permissions"
	"github.com/stronghold-go/stronghold/protocol"
)

func (a *app) policyCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "policy",
		Short: "who may do what",
		Long: `The policy says which peers may do what with which records. What no rule allows
is denied, and a rule that denies wins. It is about peers: whoever may use the
socket in the home may use everything.`,
		Example: `  shnode policy show > policy.toml
  shnode policy apply policy.toml
  shnode policy can laptop ed25519.sign wallet/keys/main`,
	}, a.policyShowCommand(), a.policyApplyCommand(), a.policyTestCommand(), a.policyCanCommand())
}

func (a *app) policyShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "print the policy in force, as policy.toml",
		Long: `show prints the policy in force. Under [names] stands whom its names mean: the
peers that had them when it was applied. So it means the same when it is applied
again, whatever has been renamed or replaced since; a name without its line there
means who has it when the policy is applied.`,
		Example: `  shnode policy show > policy.toml`,
		Args:    takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.askHome(cmd.Context(), func(c protocol.Client, _ bool) error {
				resp, err := c.Do(cmd.Context(), &protocol.Request{Operation: "policy.show"})
				if err != nil {
					return err
				}
				if a.json {
					return a.printJSON(map[string]string{"policy": resp.Text})
				}
				_, err = fmt.Fprint(a.stdout, resp.Text)
				return err
			})
		},
	}
}

func (a *app) policyApplyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "apply FILE",
		Short: "replace the policy by that of a file, or of stdin with -",
		Long: `apply checks the file, with its tests, and puts it in force at once: the next
request is held against it. A file with an error changes nothing; one that is
empty takes every right from everybody.

Names mean the peers that have them now, and go on to mean those; what [names] in
the file says of one goes before. apply says where a name means another peer than
it did so far, or than the one that is called so.`,
		Example: `  shnode policy apply policy.toml
  shnode policy show | sed 's|wallet/keys/|work/keys/|' | shnode policy apply -`,
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			text, err := a.read(ctx, "the policy", args[0], permissions.MaxText)
			if err != nil {
				return err
			}
			return a.askHome(ctx, func(c protocol.Client, _ bool) error {
				resp, err := c.Do(ctx, &protocol.Request{Operation: "policy.apply", Text: string(text)})
				if refused := (*protocol.Error)(nil); errors.As(err, &refused) && refused.Field == "text" {
					return &failure{exit: exitFailed, code: "invalid", message: "the policy: " + refused.Detail,
						hint: "the policy in force has not changed", requestID: refused.RequestID}
				}
				if err != nil {
					return err
				}
				a.talkf("the policy is in force")
				out := map[string]any{"applied": true}
				if notes := textLines(resp.Text); len(notes) > 0 {
					out["notes"] = notes
					for _, note := range notes {
						a.warnf("%s", printable(note))
					}
				}
				return a.printIf(out)
			})
		},
	}
}

func (a *app) policyCanCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "can PEER OP LOC",
		Short: "tell whether a peer may do something, and why",
		Long: `can asks the policy in force, and does nothing. It ends with 0 for yes and 3 for
no. PEER is a name or an id; OP one of ` + "`shnode ops`" + `.`,
		Example: `  shnode policy can laptop ed25519.sign wallet/keys/main`,
		Args:    takes(3, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, ok := protocol.Lookup(args[1]); !ok {
				return usage(fmt.Sprintf("there is no operation %q", args[1]), "`shnode ops` tells all of them")
			}
			loc, err := location(args[2])
			if err != nil {
				return err
			}
			return a.askHome(cmd.Context(), func(c protocol.Client, _ bool) error {
				resp, err := c.Do(cmd.Context(), &protocol.Request{Operation: "policy.can", Peer: args[0], Query: args[1], Location: loc})
				if err != nil {
					return err
				}
				d := resp.GetDecision()
				word := "no"
				if d.GetAllowed() {
					word = "yes"
				}
				if err := a.print(map[string]any{"allowed": d.GetAllowed(), "reason": d.GetReason()}, word+": "+printable(d.GetReason())); err != nil {
					return err
				}
				if !d.GetAllowed() {
					return answeredNo(exitDenied)
				}
				return nil
			})
		},
	}
}
