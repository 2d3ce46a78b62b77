package engine

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/stronghold-go/stronghold/procedures"
	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/sandbox/memory"
	"github.com/stronghold-go/stronghold/snapshot/rust"
	"github.com/stronghold-go/stronghold/vault"
)

// A file of the Rust Stronghold is opened whole, since its format is one sealed
// block: its secrets lie on the Go heap and not in the arena, for as long as it
// takes to seal each of them anew, and are wiped then. The decompression leaves
// what it has allocated to the collector, unwiped but for its result. All of this
// memory is the zone's. The password is hashed in another zone, which ends.

// The most and the least work factors, scrypt's log2 N, of a foreign file.
const (
	maxForeignCost     = 23 // 8 GiB; the Rust program reads no more
	defaultForeignCost = 20 // 1 GiB
)

const (
	maxReport = 1000    // parts, and things left out, that a report names
	maxSteps  = 100_000 // records and values that come at once: the change crosses the pipe in one piece

	yieldSteps = 16 // after so many of them others have the processor
)

// bringIn takes in the file of another Stronghold: all of it, or nothing.
func (e *Engine) bringIn(req *protocol.Request) (*protocol.Response, error) {
	cost := int(req.Cost)
	if cost == 0 {
		cost = defaultForeignCost
	}
	if cost > maxForeignCost {
		return nil, &procedures.InputError{Field: "cost", Reason: fmt.Sprintf("at most %d", maxForeignCost)}
	}
	if req.Format != "" && !slices.Contains(foreignFormats, rust.Kind(req.Format)) {
		return nil, &procedures.InputError{Field: "format", Reason: "must be wallet.rs, tauri, iota-sdk, cli or raw"}
	}
	file, err := e.coming.take(req)
	if err != nil {
		return nil, err
	}
	if file == nil {
		return new(protocol.Response), nil
	}
	if req.Secret == nil {
		return nil, &procedures.InputError{Field: "secret", Reason: "missing"}
	}
	password, err := e.unseal(req)
	if err != nil {
		return nil, err
	}
	defer memory.Wipe(password)
	job := &protocol.Job{Foreign: &protocol.ForeignFile{Password: password, Salt: req.Salt, Format: req.Format, Cost: uint32(cost)}}
	resp, err := e.hash(req, job, func(h *protocol.Hashed) (*protocol.Response, error) {
		e.mu.RLock()
		defer e.mu.RUnlock()
		if e.state == nil {
			return nil, errLocked
		}
		return e.opened(req, file, h)
	})
	if err == nil {
		resp.Snapshot = file // the other zone gets it beside its job: it is encrypted
	}
	return resp, err
}

// opened takes in what the other zone has found in the file.
func (e *Engine) opened(req *protocol.Request, file []byte, h *protocol.Hashed) (*protocol.Response, error) {
	state, err := rust.Decode(file, h.Content, rust.Options{MaxState: maxForeign})
	if err != nil {
		return nil, &foreignError{err: err}
	}
	defer state.Wipe()
	info, err := rust.Detect(file)
	if err != nil {
		return nil, err
	}
	im := importing{overwrite: req.Overwrite, skip: req.SkipLarge, now: e.state.DB.Now(), report: &protocol.Imported{
		Version: info.Version.String(), WorkFactor: uint32(info.WorkFactor), Attempts: h.Attempts, Total: new(protocol.ImportCounts)}}
	if err := im.plan(state); err != nil {
		return nil, err
	}
	resp := &protocol.Response{Imported: im.report}
	err = e.change(req, resp, func(tx *vault.Tx) error {
		if err := im.run(tx); err != nil {
			return err
		}
		switch n := im.report.Total.Conflicts; {
		case req.DryRun:
			return errDryRun
		case n > 0:
			return &conflictError{n, len(im.steps)}
		}
		return nil
	})
	if errors.Is(err, errDryRun) {
		err = nil
	}
	return resp, err
}

var foreignFormats = []rust.Kind{rust.KindWallet, rust.KindTauri, rust.KindSDK, rust.KindCLI, rust.KindRaw}

// errDryRun ends a change that is not to happen.
var errDryRun = errors.New("engine: dry run")

// importing is a file on its way in: first what is to be done is planned, so that
// nothing is staged before it is known that all of it fits.
type importing struct {
	overwrite, skip bool
	now             time.Time
	report          *protocol.Imported

	steps []step
	large uint64 // things that do not fit
}

// step brings a record or an entry to a place.
type step struct {
	place  vault.Place
	record *rust.Record
	entry  *rust.Entry
	counts *protocol.ImportCounts // of its vault or store
}

// plan decides what comes and what cannot.
func (im *importing) plan(s *rust.State) error {
	total := im.report.Total
	for i := range s.Clients {
		c := &s.Clients[i]
		total.Clients++
		client := vault.Place{Client: vault.ID(c.ID), ClientName: knownClients[c.ID]}
		for j := range c.Vaults {
			v := &c.Vaults[j]
			total.Garbage += uint64(v.Garbage)
			if len(v.Records) == 0 {
				total.EmptyVaults++
				continue
			}
			total.Vaults++
			at := client
			at.Vault, at.VaultName = vault.ID(v.ID), knownVaults[v.ID]
			counts := im.part(&protocol.ImportedPart{Location: location(at)})
			for k := range v.Records {
				r := &v.Records[k]
				at.Record, at.RecordName = vault.ID(r.ID), knownRecords[v.ID][r.ID]
				if len(r.Secret) > vault.MaxSecret {
					im.leaveOut(counts, location(at), len(r.Secret))
					continue
				}
				im.steps = append(im.steps, step{place: at, record: r, counts: counts})
			}
		}
		if len(c.Store) == 0 {
			continue
		}
		counts := im.part(&protocol.ImportedPart{Location: storeOf(client)})
		for k := range c.Store {
			it := &c.Store[k]
			switch {
			case !it.Expires.IsZero() && !it.Expires.After(im.now):
				counts.Expired++
				total.Expired++
			case len(it.Value) > vault.MaxValue || len(it.Key) > vault.MaxName || len(it.Key) == 0:
				at := storeOf(client)
				at.Vault = it.Key[:min(len(it.Key), vault.MaxName)]
				im.leaveOut(counts, at, len(it.Value))
			default:
				im.steps = append(im.steps, step{place: client, entry: it, counts: counts})
			}
		}
	}
	if len(im.steps) > maxSteps {
		return &tooManyError{len(im.steps)}
	}
	if im.large > 0 && !im.skip {
		first := im.report.LeftOut[0]
		return &tooLargeError{im.large, first.Location.Text(), first.Size}
	}
	return nil
}

// storeOf is the location of a client's store.
func storeOf(client vault.Place) *protocol.Location {
	l := &protocol.Location{Client: client.ClientName}
	if l.Client == nil {
		l.ClientId = client.Client[:]
	}
	return l
}

// part begins a row of the report.
func (im *importing) part(p *protocol.ImportedPart) *protocol.ImportCounts {
	p.Location.RecordId, p.Location.Record = nil, nil // a vault as a place has a record, which has no id
	p.Counts = new(protocol.ImportCounts)
	if len(im.report.Parts) < maxReport {
		im.report.Parts = append(im.report.Parts, p)
	} else {
		im.report.MoreParts = true
	}
	return p.Counts
}

func (im *importing) leaveOut(counts *protocol.ImportCounts, at *protocol.Location, size int) {
	im.large++
	counts.LeftOut++
	im.report.Total.LeftOut++
	if len(im.report.LeftOut) < maxReport {
		im.report.LeftOut = append(im.report.LeftOut, &protocol.LeftOut{Location: at, Size: uint64(size)})
	}
}

// run stages all steps but those that find something in their place, which it
// counts, so that a person is told of all of them.
func (im *importing) run(tx *vault.Tx) error {
	total := im.report.Total
	for i, s := range im.steps {
		if i%yieldSteps == 0 {
			tx.Within(func(*vault.DB) error { runtime.Gosched(); return nil }) // with no lock in hand
		}
		typed, err := s.bring(tx, im.overwrite)
		if errors.Is(err, vault.ErrExists) {
			s.counts.Conflicts++
			total.Conflicts++
			continue
		}
		if err != nil {
			return err
		}
		switch {
		case s.entry != nil:
			s.counts.Entries++
			total.Entries++
			continue
		case s.record.Revoked:
			s.counts.Revoked++
			total.Revoked++
		default:
			s.counts.Records++
			total.Records++
		}
		if typed {
			s.counts.Typed++
			total.Typed++
		}
	}
	return nil
}

// bring stages one step, and says whether the kind of the record is known.
func (s *step) bring(tx *vault.Tx, overwrite bool) (typed bool, err error) {
	if s.entry != nil {
		key, value := bytes.Clone(s.entry.Key), bytes.Clone(s.entry.Value)
		if _, err := tx.Item(s.place.Client, key); err == nil && !overwrite {
			return false, vault.ErrExists
		}
		var expires int64
		if !s.entry.Expires.IsZero() {
			expires = s.entry.Expires.UnixMilli()
		}
		return false, tx.PutItem(s.place, key, value, expires)
	}
	if s.record.Revoked {
		return false, tx.Import(s.place, nil, overwrite)
	}
	v := &vault.Value{Flags: vault.FromOutside, Hint: s.record.Hint, Secret: s.record.Secret}
	if s.place.RecordName != nil && string(s.place.RecordName) == sdkSeed && len(v.Secret) == sdkSeedSize {
		v.Kind, typed = vault.Seed, true
		v.Flags |= procedures.Uses(v.Kind)
	}
	return typed, tx.Import(s.place, v, overwrite)
}

// The paths of iota-sdk and wallet.rs, which are the same in every file of
// theirs. An id that is made of one of them stands for it, whatever wrote the file.
const (
	sdkVault    = "iota-wallet-secret"
	sdkSeed     = "iota-wallet-seed"
	sdkSeedSize = 64 // of BIP 39
)

var (
	knownClients = map[rust.ID][]byte{}
	knownVaults  = map[rust.ID][]byte{rust.VaultID([]byte(sdkVault)): []byte(sdkVault)}
	knownRecords = map[rust.ID]map[rust.ID][]byte{rust.VaultID([]byte(sdkVault)): {}}
)

func init() {
	for _, c := range []string{"iota_seed", "iota-wallet-records"} {
		knownClients[rust.ClientID([]byte(c))] = []byte(c)
	}
	for _, r := range []string{sdkSeed, "iota-wallet-derived", "userdata-store-key"} {
		knownRecords[rust.VaultID([]byte(sdkVault))][rust.RecordID([]byte(sdkVault), []byte(r))] = []byte(r)
	}
}

// attempts is what a report says of the passwords' ways.
func attempts(tried []rust.Attempt) (out []*protocol.Attempt) {
	for _, a := range tried {
		at := &protocol.Attempt{Name: a.Method.Name, Format: string(a.Method.Kind), Tried: a.Err == nil || errors.Is(a.Err, rust.ErrWrongKey)}
		if !at.Tried {
			at.Note = reason(a.Err)
		}
		out = append(out, at)
	}
	return out
}

func reason(err error) string {
	var expensive *rust.ExpensiveError
	switch {
	case errors.Is(err, rust.ErrNoSalt):
		return "it needs the salt"
	case errors.Is(err, rust.ErrNotAKey):
		return "the password is not a key of 32 bytes"
	case errors.As(err, &expensive):
		return fmt.Sprintf("it needs %d MiB", expensive.Needs>>20)
	}
	return strings.TrimPrefix(err.Error(), "rust: ")
}

// foreignError is why the file of another Stronghold does not open.
type foreignError struct {
	err   error
	tried []rust.Attempt
}

func (e *foreignError) Error() string { return e.err.Error() }
func (e *foreignError) Unwrap() error { return e.err }

// refusal says it in words, none of which are of the file.
func (e *foreignError) refusal() *protocol.Response {
	var version *rust.UnsupportedVersionError
	var damaged *rust.DamagedError
	var expensive *rust.ExpensiveError
	text := strings.TrimPrefix(e.err.Error(), "rust: ")
	switch {
	case errors.Is(e.err, rust.ErrNotSnapshot):
		return protocol.Refuse(protocol.Status_NOT_A_SNAPSHOT, "")
	case errors.As(e.err, &version):
		return protocol.Refuse(protocol.Status_UNSUPPORTED_VERSION, text)
	case errors.As(e.err, &damaged):
		return protocol.Refuse(protocol.Status_DAMAGED, text)
	case errors.As(e.err, &expensive):
		return protocol.Refuse(protocol.Status_TOO_EXPENSIVE, fmt.Sprintf("%s takes %d MiB of memory, and %d MiB are allowed",
			expensive.What, (expensive.Needs+1<<20-1)>>20, expensive.Allowed>>20))
	case errors.Is(e.err, rust.ErrNoMethod):
		return protocol.Invalid("format", "no such program wrote files of this version")
	case errors.Is(e.err, rust.ErrWrongKey), errors.Is(e.err, rust.ErrNoSalt), errors.Is(e.err, rust.ErrNotAKey):
		return protocol.Refuse(protocol.Status_WRONG_KEY, triedText(e.tried))
	}
	return protocol.Refuse(protocol.Status_INTERNAL, "")
}

func triedText(tried []rust.Attempt) string {
	var yes, no []string
	for _, a := range attempts(tried) {
		if a.Tried {
			yes = append(yes, a.Name)
		} else {
			no = append(no, a.Name+" ("+a.Note+")")
		}
	}
	var text []string
	if len(yes) > 0 {
		text = append(text, "tried "+strings.Join(yes, "; "))
	}
	if len(no) > 0 {
		text = append(text, "not tried "+strings.Join(no, "; "))
	}
	return strings.Join(text, ". ")
}

// tooLargeError says what of a file has no room here.
type tooLargeError struct {
	n     uint64
	first string
	size  uint64
}

func (e *tooLargeError) Error() string {
	return fmt.Sprintf("there is no room for all of it (a record or value has at most 64 KiB, a key 1 to 256 bytes): %d do not fit, the first of them %s with %d bytes", e.n, e.first, e.size)
}

// tooManyError says that a file holds too much.
type tooManyError struct{ n int }

func (e *tooManyError) Error() string {
	return fmt.Sprintf("it holds %d records and values, and %d come at once", e.n, maxSteps)
}

// conflictError says how much of a file is here already.
type conflictError struct {
	n   uint64
	all int
}

func (e *conflictError) Error() string {
	return fmt.Sprintf("of %d records and values that would come, %d are here already", e.all, e.n)
}
