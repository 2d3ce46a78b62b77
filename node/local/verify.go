package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/stronghold-go/stronghold/protocol"
)

// Verified is what is known of a snapshot file that was read wholly.
type Verified struct {
	Size      int64  // of the file, in bytes
	Base      int64  // of the state in it; behind that is the journal
	Length    int64  // of both; what is behind them was cut short, or is room for more
	Recovered bool   // it was
	Changes   uint64 // number of the last change
	lineage   []byte
}

// VerifyOptions say how [Verify] goes about it.
type VerifyOptions struct {
	Secret  []byte // of a slot of the file; the caller wipes it
	MaxCost uint32 // what trying its passphrase slots may take, all together: log2 of scrypt's N, at most 27; 0: 20
}

// Verify reads a snapshot file wholly, in a zone of its own. Refusals are a
// [*protocol.Error]: [protocol.ErrDamaged] says where.
func Verify(ctx context.Context, path string, o VerifyOptions) (*Verified, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s := &Stronghold{log: slog.New(slog.DiscardHandler), state: new(state)}
	return s.verify(ctx, f, o.Secret, protocol.UnlockOptions{AcceptOlder: true, MaxCost: o.MaxCost})
}

// verify opens what f holds in a zone that ends with it. What is older than what
// s remembers is refused, unless it is accepted.
func (s *Stronghold) verify(ctx context.Context, f *os.File, secret []byte, o protocol.UnlockOptions) (*Verified, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	zone, err := s.startZone(ctx)
	if err != nil {
		return nil, fmt.Errorf("local: start the zone: %w", err)
	}
	defer zone.Close()
	var opened *protocol.Response
	c := protocol.Client{H: protocol.HandlerFunc(func(ctx context.Context, req *protocol.Request) (_ *protocol.Response, err error) {
		if req.Operation != "node.unlock" {
			return call(ctx, zone, req)
		}
		opened, err = s.bring(ctx, zone, req, f)
		return opened, err
	})}
	if err := c.UnlockWith(ctx, secret, o); err != nil {
		return nil, err
	}
	return &Verified{Size: st.Size(), Base: int64(opened.Base), Length: int64(opened.Length), Recovered: opened.Recovered,
		Changes: opened.Change.GetSequence(), lineage: opened.Lineage}, nil
}

// RestoreOptions say how [Restore] goes about it.
type RestoreOptions struct {
	Secret      []byte // of a slot of the file; the caller wipes it
	DryRun      bool   // change nothing
	AcceptOlder bool   // also if the file is older than the last one that was written here
	MaxCost     uint32 // as for Verify
}

// Restore puts a copy of a snapshot file in the place of the home's, after it was
// read wholly. No node may run on the home. The file that was there stays, under
// the name that Restore returns.
func Restore(ctx context.Context, cfg Config, path string, o RestoreOptions) (_ *Verified, replaced string, err error) {
	s := &Stronghold{home: cfg.Home, log: cfg.Log, workers: cfg.Workers, disk: systemDisk{}}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := s.readHome(); err != nil {
		return nil, "", err
	}
	if s.state, err = openState(s.path(stateFile)); err != nil {
		return nil, "", err
	}
	defer func() { err = errors.Join(err, s.state.Close()) }()
	from, err := os.Open(path)
	if err != nil {
		return nil, "", err
	}
	defer from.Close()
	// What is verified is the copy: nobody else can change it.
	temp := unfinishedName(s.path(vaultFile))
	to, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL|noFollow, 0o600)
	if err != nil {
		return nil, "", err
	}
	defer os.Remove(temp) // it is gone already after the rename
	defer to.Close()
	if _, err := io.Copy(to, from); err != nil {
		return nil, "", err
	}
	if err := to.Sync(); err != nil {
		return nil, "", err
	}
	if _, err := to.Seek(0, io.SeekStart); err != nil {
		return nil, "", err
	}
	v, err := s.verify(ctx, to, o.Secret, protocol.UnlockOptions{AcceptOlder: o.AcceptOlder, MaxCost: o.MaxCost})
	if err != nil || o.DryRun {
		return v, "", err
	}
	replaced, err = s.putInPlace(temp, v)
	return v, replaced, err
}

// putInPlace puts a verified file in the place of the home's, which it keeps.
func (s *Stronghold) putInPlace(temp string, v *Verified) (replaced string, err error) {
	vault := s.path(vaultFile)
	if known, newest := s.state.newest(); known != nil { // after a crash it may be either file
		if err := s.state.setNewest(append(known[:16:16], v.lineage...), min(newest, v.Changes)); err != nil {
			return "", err
		}
	}
	replaced = vault + ".replaced-" + time.Now().UTC().Format("20060102T150405.000Z")
	switch err := s.disk.Link(vault, replaced); {
	case errors.Is(err, fs.ErrNotExist):
		replaced = "" // there was none
	case err != nil:
		return "", err
	}
	if err := s.disk.Rename(temp, vault); err != nil {
		return "", err
	}
	if err := s.disk.SyncFolder(filepath.Dir(vault)); err != nil {
		return "", err
	}
	return replaced, s.state.setNewest(v.lineage, v.Changes)
}
