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
	mark      mark

	Salvaged *protocol.Salvaged // what could be had of a damaged file; nil if nobody asked for that
}

// VerifyOptions say how [Verify] goes about it.
type VerifyOptions struct {
	Secret  []byte // of a slot of the file; the caller wipes it
	MaxCost uint32 // what trying its passphrase slots may take, all together: log2 of scrypt's N, at most 27; 0: 20
	Salvage string // not empty: write what can be had of the file, which may be damaged, as a new file of this name
}

// Verify reads a snapshot file wholly, in a zone of its own. Refusals are a
// [*protocol.Error]: [protocol.ErrDamaged] says where. A file that there is already is
// not written to: that is fs.ErrExist.
func Verify(ctx context.Context, path string, o VerifyOptions) (_ *Verified, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s := &Stronghold{log: slog.New(slog.DiscardHandler), state: new(state)}
	open := protocol.UnlockOptions{AcceptOlder: true, MaxCost: o.MaxCost}
	if o.Salvage == "" {
		return s.verify(ctx, f, o.Secret, open, nil)
	}
	out, err := os.OpenFile(o.Salvage, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	v, err := s.verify(ctx, f, o.Secret, open, out)
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err == nil {
		err = syncFolder(filepath.Dir(o.Salvage))
	}
	if err != nil {
		os.Remove(o.Salvage)
		return nil, err
	}
	return v, nil
}

// verify opens what f holds in a zone that ends with it. What is older than what
// s remembers is refused, unless it is accepted. If there is an out, what can be had of a
// damaged file is written there.
func (s *Stronghold) verify(ctx context.Context, f *os.File, secret []byte, o protocol.UnlockOptions, out io.Writer) (*Verified, error) {
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
		opened, err = s.bring(ctx, zone, req, f, out != nil)
		return opened, err
	})}
	if err := c.UnlockWith(ctx, secret, o); err != nil {
		return nil, err
	}
	if out != nil {
		if err := give(ctx, zone, out); err != nil {
			return nil, err
		}
	}
	return &Verified{Salvaged: opened.Salvaged, Size: st.Size(), Base: int64(opened.Base), Length: int64(opened.Length), Recovered: opened.Recovered,
		Changes: opened.Change.GetSequence(), mark: markOf(opened)}, nil
}

// give writes the state of a zone as a new file.
func give(ctx context.Context, zone *handle, out io.Writer) error {
	for more := false; ; more = true {
		req := &protocol.Request{Id: protocol.NewID(), Operation: "zone.fold", More: more}
		resp, err := call(ctx, zone, req)
		if err == nil {
			err = protocol.AsError(req, resp)
		}
		if err == nil {
			_, err = out.Write(resp.Snapshot)
		}
		if err != nil || !resp.More {
			return err
		}
	}
}

// RestoreOptions say how [Restore] goes about it.
type RestoreOptions struct {
	Secret      []byte // of a slot of the file; the caller wipes it
	DryRun      bool   // change nothing
	AcceptOlder bool   // also if the file is older than the last one that was written here
	MaxCost     uint32 // as for Verify
	Salvage     bool   // the file may be damaged: restore what can be had of it
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
	var salvaged *protocol.Salvaged
	if o.Salvage {
		v, err := s.verify(ctx, from, o.Secret, protocol.UnlockOptions{AcceptOlder: true, MaxCost: o.MaxCost}, to)
		if err != nil {
			return nil, "", err
		}
		salvaged = v.Salvaged
	} else if _, err := io.Copy(to, from); err != nil {
		return nil, "", err
	}
	if err := to.Sync(); err != nil {
		return nil, "", err
	}
	if _, err := to.Seek(0, io.SeekStart); err != nil {
		return nil, "", err
	}
	v, err := s.verify(ctx, to, o.Secret, protocol.UnlockOptions{AcceptOlder: o.AcceptOlder || len(s.state.marks()) == 0, MaxCost: o.MaxCost}, nil) // a new home takes what it is given
	if v != nil {
		v.Salvaged = salvaged
	}
	if err != nil || o.DryRun {
		return v, "", err
	}
	replaced, err = s.putInPlace(temp, v)
	return v, replaced, err
}

// putInPlace puts a verified file in the place of the home's, which it keeps.
func (s *Stronghold) putInPlace(temp string, v *Verified) (replaced string, err error) {
	vault := s.path(vaultFile)
	if known := s.state.marks(); len(known) > 0 { // after a crash it may be any of these files
		if err := s.state.setMarks(append(known, v.mark)...); err != nil {
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
	return replaced, s.state.setMarks(v.mark)
}
