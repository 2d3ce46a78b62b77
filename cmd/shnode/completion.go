package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stronghold-go/stronghold/protocol"
)

func (a *app) completionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "print a script that completes commands, and the names that a node knows",
		Long: `completion prints a script for a shell. Commands and flags are completed by
themselves; records, peers and operations by asking the node, where one runs and
is unlocked.`,
		Example: `  source <(shnode completion bash)
  shnode completion zsh > "${fpath[1]}/_shnode"
  shnode completion fish > ~/.config/fish/completions/shnode.fish`,
		Args:      takes(1, 1),
		ValidArgs: []string{"bash", "zsh", "fish"},
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.stdout, true)
			case "zsh":
				return root.GenZshCompletion(a.stdout)
			case "fish":
				return root.GenFishCompletion(a.stdout, true)
			}
			return usage("completion is for bash, zsh and fish", "usage: "+cmd.UseLine())
		},
	}
}

// completeTimeout is how long a person who pressed Tab waits for names.
const completeTimeout = time.Second

// names gives what may stand in one place.
type names func(context.Context, protocol.Client) ([]string, error)

// completeNames says of each command's arguments what they name. A place
// without names completes files.
func (a *app) completeNames(root *cobra.Command) {
	arguments := map[string][]names{
		"sign":             {recordNames},
		"exec":             {operationNames},
		"key public":       {recordNames},
		"key rm":           {recordNames},
		"key stat":         {recordNames},
		"key disable":      {recordNames},
		"key enable":       {recordNames},
		"key cp":           {recordNames, recordNames},
		"key mv":           {recordNames, recordNames},
		"key wrap":         {recordNames},
		"key derive":       {recordNames, recordNames},
		"key versions":     {vaultNames},
		"key ls":           {vaultNames},
		"peer rename":      {peerNames},
		"peer rm":          {peerNames},
		"peer ping":        {peerNames},
		"policy can":       {peerNames, operationNames, recordNames},
		"mnemonic recover": {recordNames},
	}
	for path, places := range arguments {
		cmd, _, err := root.Find(strings.Fields(path))
		if err != nil || cmd.CommandPath() != root.Name()+" "+path {
			panic("shnode: internal error: names for a command that is none: " + path)
		}
		cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
			if len(args) >= len(places) {
				return nil, cobra.ShellCompDirectiveDefault
			}
			return a.complete(cmd, places[len(args)], begun)
		}
	}
	flag := func(name string, n names) {
		root.RegisterFlagCompletionFunc(name, func(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
			return a.complete(cmd, n, begun)
		})
	}
	flag("peer", peerNames)
	for _, path := range []string{"key generate", "key import", "key derive", "key unwrap"} {
		cmd, _, _ := root.Find(strings.Fields(path))
		cmd.RegisterFlagCompletionFunc("flags", cobra.FixedCompletions(protocol.Flags(), cobra.ShellCompDirectiveNoFileComp))
		cmd.RegisterFlagCompletionFunc("type", cobra.FixedCompletions(protocol.Kinds(), cobra.ShellCompDirectiveNoFileComp))
	}
}

// complete asks for names; where the node does not give any there are none.
func (a *app) complete(cmd *cobra.Command, n names, begun string) ([]string, cobra.ShellCompDirective) {
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completeTimeout)
	defer cancel()
	a.timeout = completeTimeout
	var found []string
	a.ask(ctx, func(c protocol.Client) (err error) {
		found, err = n(ctx, c)
		return err
	})
	if len(found) == 0 {
		found, _ = n(ctx, protocol.Client{}) // what is known without a node
	}
	var out []string
	for _, name := range found {
		if strings.HasPrefix(name, begun) {
			out = append(out, name)
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

func recordNames(ctx context.Context, c protocol.Client) (out []string, err error) {
	if c.H == nil {
		return nil, nil
	}
	err = c.List(ctx, nil, func(e *protocol.Entry) bool {
		out = append(out, e.Location.Text())
		return true
	})
	return out, err
}

func vaultNames(ctx context.Context, c protocol.Client) (out []string, err error) {
	records, err := recordNames(ctx, c)
	seen := map[string]bool{}
	for _, r := range records {
		vault := r[:max(0, strings.LastIndexByte(r, '/'))]
		if !seen[vault] {
			seen[vault] = true
			out = append(out, vault)
		}
	}
	return out, err
}

func peerNames(ctx context.Context, c protocol.Client) (out []string, err error) {
	if c.H == nil {
		return nil, nil
	}
	if h, ok := c.H.(asker); ok { // of this node, also for what --peer asks of another
		h.to = ""
		c.H = h
	}
	resp, err := c.Do(ctx, &protocol.Request{Operation: "peer.list"})
	for _, p := range resp.GetPeers() {
		out = append(out, p.Name)
	}
	return out, err
}

func operationNames(context.Context, protocol.Client) (out []string, err error) {
	for i := range protocol.Operations {
		if protocol.Operations[i].Door >= protocol.DoorLocal {
			out = append(out, protocol.Operations[i].Name)
		}
	}
	return out, nil
}
