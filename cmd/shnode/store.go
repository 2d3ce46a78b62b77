package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stronghold-go/stronghold/protocol"
)

func (a *app) storeCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "store",
		Short: "the encrypted key-value store: data that may be read back",
		Long: `A store belongs to a client and keeps values under keys: client/key. Values rest
encrypted like secrets, but are given to whoever may read the store. What must
not leave is a record: see ` + "`shnode key`" + `.`,
		Example: `  shnode store put wallet/last-height 81234
  shnode store get wallet/last-height
  shnode store ls wallet`,
	}, a.storePutCommand(), a.storeGetCommand(), a.storeRemoveCommand(), a.storeListCommand())
}

// storeKey reads an argument that names a value.
func storeKey(arg string) (*protocol.Location, error) {
	const hint = "for example wallet/last-height; bytes that would not do are written %2F"
	loc, err := protocol.ParseLocation(arg)
	if err != nil {
		return nil, usage(err.Error(), hint)
	}
	if loc.Depth() != 2 {
		return nil, usage("a value is named client/key", hint)
	}
	return loc, nil
}

// askStore is [app.ask] for one request, which says of what is not there how to
// see what is.
func (a *app) askStore(ctx context.Context, req *protocol.Request, f func(*protocol.Response) error) error {
	return a.ask(ctx, func(c protocol.Client) error {
		resp, err := c.Do(ctx, req)
		if err != nil {
			err = a.hinted(err, protocol.Status_EXISTS, "`shnode store get KEY` tells it; without --if-absent it is replaced")
			return a.hinted(err, protocol.Status_NOT_FOUND, "`shnode store ls CLIENT` tells what there is; a value that has expired is gone")
		}
		return f(resp)
	})
}

func (a *app) storePutCommand() *cobra.Command {
	var ttl time.Duration
	var expected string
	var absent, session bool
	var version uint64
	cmd := &cobra.Command{
		Use:   "put KEY VALUE|-|@FILE",
		Short: "write a value, for ever or for as long as --ttl says",
		Long: `put writes a value of at most 64 KiB. What is there under the same key is
replaced, with its expiry. A VALUE that is - comes from stdin, @FILE from a file,
byte by byte.

With --if-absent, --if or --if-version it is written only if what is there is what
is expected, and else nothing is changed: exit code 1, and the code "exists" or
"conflict" with --json. That takes the right to read the store, too. With --json
put tells the version that the value has now.

With --session the value goes to a store that is never saved: it is gone when the
node is locked or stops.`,
		Example: `  shnode store put wallet/last-height 81234
  shnode store put wallet/last-height 81235 --if 81234
  shnode store put wallet/session @token --ttl 15m
  date | shnode store put wallet/checked -`,
		Args:        takes(2, 2),
		Annotations: map[string]string{forPeers: "yes"},
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			key, err := storeKey(args[0])
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("ttl") && ttl < time.Millisecond {
				return usage("--ttl must be at least 1ms", "without --ttl the value stays for ever")
			}
			if absent && (version != 0 || cmd.Flags().Changed("if")) {
				return usage("--if-absent expects nothing there, and --if or --if-version something", "give one of them")
			}
			value, err := a.value(ctx, "the value", args[1])
			if err != nil {
				return err
			}
			if len(value) > protocol.MaxValue { // what came from a file has been refused
				return &tooMuch{"the value", protocol.MaxValue}
			}
			if value == nil {
				value = []byte{} // there is one, and it is empty
			}
			req := &protocol.Request{Operation: "store.put", Location: key, Value: value, TtlMs: uint64(ttl.Milliseconds()), Session: session}
			if absent || version != 0 || cmd.Flags().Changed("if") {
				req.Operation, req.IfAbsent, req.IfVersion = "store.swap", absent, version
			}
			if cmd.Flags().Changed("if") {
				if req.IfValue, err = a.value(ctx, "the expected value", expected); err != nil {
					return err
				}
				if req.IfValue == nil {
					req.IfValue = []byte{}
				}
			}
			return a.askStore(ctx, req, func(resp *protocol.Response) error {
				return a.printIf(map[string]any{"key": key.Text(), "bytes": len(value), "version": resp.GetVersion()})
			})
		},
	}
	cmd.Flags().DurationVar(&ttl, "ttl", 0, "how long the value lives, such as 90s or 720h")
	cmd.Flags().BoolVar(&absent, "if-absent", false, "only if there is no value under this key")
	cmd.Flags().StringVar(&expected, "if", "", "only if this is the value there: VALUE, - or @FILE")
	cmd.Flags().Uint64Var(&version, "if-version", 0, "only if the value there has this version, which get and ls tell with --json")
	sessionFlag(cmd, &session)
	return cmd
}

func sessionFlag(cmd *cobra.Command, session *bool) {
	cmd.Flags().BoolVar(session, "session", false, "of the store that is never saved")
}

func (a *app) storeGetCommand() *cobra.Command {
	var session bool
	cmd := &cobra.Command{
		Use:   "get KEY",
		Short: "write a value to stdout, byte by byte",
		Example: `  shnode store get wallet/last-height
  shnode store get wallet/session --json | jq -r .value | base64 -d`,
		Args:        takes(1, 1),
		Annotations: map[string]string{forPeers: "yes"},
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := storeKey(args[0])
			if err != nil {
				return err
			}
			req := &protocol.Request{Operation: "store.get", Location: key, Session: session}
			return a.askStore(cmd.Context(), req, func(resp *protocol.Response) error {
				if !a.json {
					_, err := a.stdout.Write(resp.Value)
					if err == nil && a.onTerminal() && !strings.HasSuffix(string(resp.Value), "\n") {
						_, err = a.stdout.Write([]byte("\n")) // not to a file: it is no part of the value
					}
					return err
				}
				out := map[string]any{"key": key.Text(), "value": base64Text(resp.Value)}
				for _, e := range resp.Entries {
					describe(out, e)
				}
				return a.printJSON(out)
			})
		},
	}
	sessionFlag(cmd, &session)
	return cmd
}

// describe adds what version of its key a value is, when it was written, and when it goes.
func describe(out map[string]any, e *protocol.Entry) {
	if e.Version != 0 {
		out["version"] = e.Version
	}
	if e.ChangedMs != 0 {
		out["changed"] = moment(e.ChangedMs)
	}
	if e.ExpiresMs != 0 {
		out["expires"] = moment(e.ExpiresMs)
	}
}

func (a *app) storeRemoveCommand() *cobra.Command {
	var session bool
	cmd := &cobra.Command{
		Use:         "rm KEY",
		Short:       "take a value out",
		Example:     `  shnode store rm wallet/session`,
		Args:        takes(1, 1),
		Annotations: map[string]string{forPeers: "yes"},
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := storeKey(args[0])
			if err != nil {
				return err
			}
			req := &protocol.Request{Operation: "store.remove", Location: key, Session: session}
			return a.askStore(cmd.Context(), req, func(*protocol.Response) error {
				a.talkf("removed %s", key.Text())
				return a.printIf(map[string]string{"removed": key.Text()})
			})
		},
	}
	sessionFlag(cmd, &session)
	return cmd
}

func (a *app) storeListCommand() *cobra.Command {
	var prefix string
	var session bool
	cmd := &cobra.Command{
		Use:   "ls CLIENT",
		Short: "list the keys of a client's store",
		Long: `ls lists the keys of a client's store, in their order. Of a peer it lists what
the policy there lets this node read.`,
		Example: `  shnode store ls wallet
  shnode store ls wallet --prefix last-
  shnode store ls wallet --json | jq -r .key`,
		Args:        takes(1, 1),
		Annotations: map[string]string{forPeers: "yes"},
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := location(args[0])
			if err != nil {
				return err
			}
			if client.Depth() != 1 {
				return usage("a store is that of a client", "for example `shnode store ls wallet`")
			}
			var entries []*protocol.Entry
			err = a.ask(cmd.Context(), func(c protocol.Client) (err error) {
				entries, _, err = pages(cmd.Context(), c, &protocol.Request{Operation: "store.list", Location: client, Prefix: []byte(prefix), Session: session})
				return a.hinted(err, protocol.Status_NOT_FOUND, "`shnode client ls` tells which clients there are")
			})
			if err != nil {
				return err
			}
			slices.SortFunc(entries, func(x, y *protocol.Entry) int { return strings.Compare(x.Location.Text(), y.Location.Text()) })
			return a.printKeys(entries)
		},
	}
	cmd.Flags().StringVar(&prefix, "prefix", "", "only keys that begin so")
	sessionFlag(cmd, &session)
	return cmd
}

func (a *app) printKeys(entries []*protocol.Entry) error {
	rows := [][]string{{"KEY", "CHANGED", "EXPIRES"}}
	for _, e := range entries {
		l := map[string]any{"key": e.Location.Text()}
		describe(l, e)
		if a.json {
			if err := a.printJSON(l); err != nil {
				return err
			}
			continue
		}
		when := func(ms uint64) string {
			if ms == 0 {
				return "-"
			}
			return moment(ms)
		}
		rows = append(rows, []string{e.Location.Text(), when(e.ChangedMs), when(e.ExpiresMs)})
	}
	switch {
	case a.json:
		return nil
	case len(entries) == 0:
		a.talkf("no values")
		return nil
	}
	return a.table(rows)
}
