package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/stronghold-go/stronghold/protocol"
)

// The files of a home.
const (
	configFile   = "config.toml"
	identityFile = "identity.key"
	policyFile   = "policy.toml"
	vaultFile    = "vault.stronghold"
	stateFile    = "state.db"
)

func (s *Stronghold) path(file string) string { return filepath.Join(s.home, file) }

// Settings is what config.toml holds. Its zero value works.
type Settings struct {
	Listen []string `toml:"listen"` // multiaddrs to listen on for peers; nil if config.toml does not say
	Limits Limits   `toml:"limits"` // of what the zone takes in
	Keep   int      `toml:"keep"`   // how many replaced snapshot files stay in the home, at most 100
}

// Settings returns what config.toml holds.
func (s *Stronghold) Settings() Settings { return s.settings }

const newConfig = `# Where the node listens for peers, as multiaddrs. "shnode run --listen" goes before it.
# Without either it listens for peers on this machine only, at a port that the system picks;
# with an empty list it asks others and is not asked.
# listen = ["/ip4/0.0.0.0/tcp/7411"]

# How many older snapshots are kept, as vault.stronghold.1 (the newest) and so on, when the file is written
# anew: by "shnode snapshot save", and whenever it has grown. They still hold what was revoked or overwritten.
# keep = 0

# What is taken in, at most. What is there already stays and is used, whatever stands here.
# [limits]
# record_bytes = 65536     # of a record's secret; no more than this
# records = 2000000        # in all, without those that were removed; each takes some 300 bytes of memory
# path_bytes = 770         # of client/vault/record or client/key, as people write it; no more than this
# store_bytes = 67108864   # of the keys and values of a client's store
# store_values = 1048576   # of a client's store
# tombstones = 2000000     # of records that were removed: with as many, nothing is made where nothing was
# clients = 200000

# What one peer may have at most: what he made more than he took away, and how fast he may ask.
# "shnode peer ls --json" tells what each has; who is removed and added anew begins with nothing.
# [limits.peer]
# requests_per_second = 200000
# records = 250000
# tombstones = 250000
# clients = 10000
# store_bytes = 268435456
# journal_bytes_per_minute = 4294967296 # of his changes, as they are written
`

const newPolicy = `# Who may do what. Nothing matched means no.
#
# [[allow]]
# peers = ["laptop"]                     # names, groups, ids, or "*"
# ops   = ["ed25519.sign", "key.public"] # operations, or classes: use, write, list, …
# on    = ["wallet/keys/*"]              # * within a segment, ** across
`

// InitOptions are what a new home needs.
type InitOptions struct {
	Identity   []byte // the node's private key, as libp2p encodes it (node.NewIdentity); nil for a home that no node is to run on
	Passphrase []byte // not empty; the caller wipes it
	Cost       int    // scrypt, log2 N, 17 to 22; 0: 18
}

// Init makes a home: identity, configuration, an empty policy and an empty
// encrypted snapshot. It is there wholly, or not at all. The error is
// [ErrHomeExists] if there is anything in the folder.
func Init(ctx context.Context, cfg Config, o InitOptions) (err error) {
	if entries, err := os.ReadDir(cfg.Home); err == nil && len(entries) > 0 {
		return ErrHomeExists
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(filepath.Clean(cfg.Home))
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return err
	}
	building, err := os.MkdirTemp(parent, filepath.Base(cfg.Home)+unfinished) // 0700
	if err != nil {
		return err
	}
	defer os.RemoveAll(building) // it is gone already after the rename
	snapshot, err := newSnapshot(ctx, cfg, o)
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		configFile: []byte(newConfig), policyFile: []byte(newPolicy), identityFile: o.Identity, vaultFile: snapshot,
	} {
		if err := writeFile(filepath.Join(building, name), content); err != nil {
			return err
		}
	}
	state, err := openState(filepath.Join(building, stateFile))
	if err != nil {
		return err
	}
	if err := state.Close(); err != nil {
		return err
	}
	if err := syncFolder(building); err != nil {
		return err
	}
	if err := os.Rename(building, cfg.Home); errors.Is(err, fs.ErrExist) {
		return ErrHomeExists // since we looked
	} else if err != nil {
		return err
	}
	return syncFolder(parent)
}

// newSnapshot has a zone make an empty snapshot.
func newSnapshot(ctx context.Context, cfg Config, o InitOptions) ([]byte, error) {
	zone, err := (&Stronghold{workers: cfg.Workers}).startZone(ctx)
	if err != nil {
		return nil, fmt.Errorf("local: start the zone: %w", err)
	}
	defer zone.Close()
	ask := protocol.Client{H: protocol.HandlerFunc(func(ctx context.Context, req *protocol.Request) (*protocol.Response, error) {
		return call(ctx, zone, req)
	})}
	key, err := ask.Do(ctx, &protocol.Request{Operation: "zone.key"})
	if err != nil {
		return nil, err
	}
	req := &protocol.Request{Id: protocol.NewID(), Operation: "zone.create", Cost: uint32(o.Cost)}
	if req.Secret, err = protocol.Seal(key.PublicKey, req, "secret", protocol.ToZone, o.Passphrase); err != nil {
		return nil, err
	}
	resp, err := ask.Do(ctx, req)
	return resp.GetSnapshot(), err
}

// readHome reads what does not change while the home is open.
func (s *Stronghold) readHome() error {
	dir, err := os.Open(s.home)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNoHome
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := checkFile(dir, 0o700); err != nil {
		return err
	}
	s.identity, err = readPrivate(s.path(identityFile))
	if errors.Is(err, fs.ErrNotExist) {
		return noIdentity(dir)
	}
	if err != nil {
		return err
	}
	text, err := readPrivate(s.path(configFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.settings.parse(s.path(configFile), string(text))
}

// noIdentity tells a home that has lost identity.key from a folder that is no home.
func noIdentity(dir *os.File) error {
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	ours := func(name string) bool {
		return slices.Contains([]string{configFile, policyFile, stateFile}, name) || strings.HasPrefix(name, vaultFile)
	}
	if !slices.ContainsFunc(names, ours) {
		return ErrNoHome
	}
	return &HomeError{Path: filepath.Join(dir.Name(), identityFile), Reason: "is missing", err: fs.ErrNotExist}
}

// parse refuses what it does not know: a setting that is not heard is worse than one that is refused.
func (c *Settings) parse(path, text string) error {
	md, err := toml.Decode(text, c)
	if err != nil {
		return &HomeError{Path: path, Reason: err.Error()}
	}
	if unknown := md.Undecoded(); len(unknown) > 0 {
		return &HomeError{Path: path, Reason: "unknown setting " + unknown[0].String()}
	}
	if c.Keep < 0 || c.Keep > 100 {
		return &HomeError{Path: path, Reason: "keep is 0 to 100"}
	}
	return c.Limits.check(path)
}

// globEscape takes their meaning from the characters that filepath.Glob would read.
func globEscape(path string) string {
	return strings.NewReplacer(`[`, `[[]`, `*`, `[*]`, `?`, `[?]`).Replace(path)
}

// Version is this build's version, as its module system knows it.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
