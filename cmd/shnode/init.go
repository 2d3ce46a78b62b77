package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/stronghold-go/stronghold/node"
	"github.com/stronghold-go/stronghold/node/local"
)

// Bounds of --cost: log2 of scrypt's N. Each step doubles the time and the
// memory that one guess at the passphrase takes.
const (
	minCost = 17 // 128 MiB
	maxCost = 22 // 4 GiB
)

func (a *app) initCommand() *cobra.Command {
	var cost int
	cmd := &cobra.Command{
		Use:   "init",
		Short: "make a home: identity, configuration, an empty policy, an empty encrypted snapshot",
		Long: `init makes a home, and asks for the passphrase to encrypt its snapshot with.
A file that holds an identity of age, or a raw key, is that key: see
` + "`shnode help snapshot slot add`" + `.

A home that exists is left as it is. The new node's peer id goes to stdout.`,
		Example: `  shnode init
  shnode init --home /srv/signer --passphrase-file /run/secrets/signer`,
		Args: takes(0, 0),
	}
	cmd.Flags().IntVar(&cost, "cost", 0, costHelp)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkCost(cost); err != nil {
			return err
		}
		home, err := a.home()
		if err != nil {
			return err
		}
		ctx := cmd.Context()
		cfg := local.Config{Home: home, Log: slog.New(slog.DiscardHandler)}
		if err := noHomeYet(ctx, cfg); err != nil {
			return err
		}
		if zone, err := local.Posture(ctx); err == nil { // else Init tells
			a.warnUnfiltered(zone)
		}
		passphrase, err := a.passphrase(ctx, true)
		if err != nil {
			return err
		}
		defer passphrase.Destroy()
		identity, err := node.NewIdentity()
		if err != nil {
			return err
		}
		defer clear(identity)
		id, err := node.PeerID(identity)
		if err != nil {
			return err
		}
		err = local.Init(ctx, cfg, local.InitOptions{Identity: identity, Passphrase: passphrase.Bytes(), Cost: cost})
		if err != nil {
			return err
		}
		a.talkf("made a home in %s", home)
		a.talkf("nobody can open it without the passphrase, and nobody can reset that; start the node with `shnode run`")
		return a.print(map[string]string{"home": home, "peer": id}, id)
	}
	return cmd
}

// noHomeYet spares a person two passphrases for a home that exists.
func noHomeYet(ctx context.Context, cfg local.Config) error {
	s, err := local.Open(ctx, cfg)
	switch {
	case err == nil:
		return errors.Join(local.ErrHomeExists, s.Close())
	case errors.Is(err, local.ErrInUse), errors.As(err, new(*local.HomeError)) && errors.Is(err, fs.ErrNotExist):
		return local.ErrHomeExists
	}
	return nil // what else is wrong, Init tells
}
