package protocol

import (
	"fmt"
	"slices"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Class is a kind of right. A policy grants operations by name or by class;
// no class contains [Extract].
type Class string

const (
	Use        Class = "use"         // compute with a secret; only a public result leaves
	Write      Class = "write"       // make, overwrite or remove a record
	List       Class = "list"        // learn that a record exists
	Extract    Class = "extract"     // let a secret out, wrapped or to the asker
	StoreRead  Class = "store-read"  // read the key-value store
	StoreWrite Class = "store-write" // change it
)

// Classes are all classes.
var Classes = []Class{Use, Write, List, Extract, StoreRead, StoreWrite}

// Door is where an operation may be asked. Each door admits what the doors
// after it admit: what a peer may ask, the local user may ask, and so on.
type Door int

const (
	DoorZone  Door = iota // only the node asks its own zone
	DoorLocal             // the user of this machine, by the control socket or the Go API
	DoorPeer              // a permitted peer
)

// String names the door as PROTOCOL.md does.
func (d Door) String() string { return [...]string{"zone", "local", "peer"}[d] }

// Shape is how deep a location must reach.
type Shape int

const (
	ShapeRecord Shape = iota // client/vault/record, or a version
	ShapePrefix              // empty, client, or client/vault
	ShapeStore               // client/key
	ShapeClient              // client
	ShapeVault               // client/vault
)

// Field is one field that an operation takes.
type Field struct {
	Name     string // as in stronghold.proto
	Required bool
	Needs    Class  // for a location: the right it takes there
	Also     Class  // for a location: a second one
	Shape    Shape  // for a location: how deep it reaches
	Doc      string // what it means here, where the name does not say it
	Local    bool   // not for a peer to set
	Inner    bool   // only the node may set it, when it asks its zone
}

// Operation is one row of the table.
type Operation struct {
	Name    string // noun.verb
	Doc     string // one line for people
	Door    Door
	In      []Field
	Out     []string // fields of the response
	Changes bool     // changes the state: has two steps
	Hashes  bool     // with a secret it takes a password hash, which another zone computes
}

var (
	useAt   = Field{Name: "location", Required: true, Needs: Use}
	writeAt = Field{Name: "location", Required: true, Needs: Write}
	takeAt  = Field{Name: "location", Required: true, Needs: Use, Also: Write, Doc: "where it is"}
	kind    = Field{Name: "kind", Required: true, Doc: "the record's kind"}
	over    = Field{Name: "overwrite", Doc: "replace the record that is there"}
	sealed  = Field{Name: "secret", Required: true, Doc: "sealed to the zone's key"}
	hint    = Field{Name: "hint", Doc: "at most 24 bytes that a listing shows"}
	flagsIn = Field{Name: "flags", Doc: "what it may be used for: what its kind can, if absent"}
	putAt   = Field{Name: "location", Required: true, Needs: StoreWrite, Shape: ShapeStore}
	getAt   = Field{Name: "location", Required: true, Needs: StoreRead, Shape: ShapeStore}
	hashKey = Field{Name: "hash_key", Inner: true, Doc: "between node and zone only: of the zone that hashes for it"}
	ttl     = Field{Name: "ttl_ms", Doc: "how long it lives; for ever, if absent"}
	session = Field{Name: "session", Doc: "in the store that is never saved, and gone when it is locked"}
	reach   = Field{Name: "reach", Local: true, Doc: "only what lies in one of these, at most 1000; not for peers"}
	except  = Field{Name: "except", Local: true, Doc: "and in none of these, at most 1000; not for peers"}
	page    = []Field{{Name: "after", Doc: "`next` of the page before"}, {Name: "limit", Doc: "entries, at most 1000"}}
)

// proof is the field of an operation that takes a [Proof], with these fields of it.
func proof(fields string) Field {
	return Field{Name: "secret", Required: true, Doc: "a message Proof, sealed to the zone's key: " + fields}
}

// Operations is the one table of everything that can be asked, sorted by name.
// What has no row here is refused everywhere.
var Operations = []Operation{
	{Name: "aes.unwrap", Door: DoorPeer, Doc: "take in a key that was wrapped under another (RFC 3394)", Changes: true,
		In: []Field{{Name: "location", Required: true, Needs: Use, Doc: "the key it was wrapped under"},
			{Name: "target", Required: true, Needs: Write, Doc: "where the key goes"}, kind, {Name: "wrapped", Required: true}, hint, over, flagsIn},
		Out: []string{"kind", "public_key", "version"}},
	{Name: "aes.wrap", Door: DoorPeer, Doc: "give a key, wrapped under another (RFC 3394)",
		In: []Field{{Name: "location", Required: true, Needs: Use, Doc: "the key to wrap under"},
			{Name: "target", Required: true, Needs: Extract, Doc: "the key that leaves"}},
		Out: []string{"kind", "wrapped"}},
	{Name: "bip39.generate", Door: DoorLocal, Doc: "make a mnemonic and the seed of it (BIP 39)", Changes: true,
		In: []Field{writeAt, hint, over, flagsIn, {Name: "language", Doc: "english or japanese"}, {Name: "size", Doc: "bytes of entropy: 16 to 32, 32 if absent"},
			{Name: "passphrase", Doc: "sealed to the zone's key"}, {Name: "reply_key", Required: true, Doc: "the words are sealed to it"}},
		Out: []string{"kind", "sealed", "version"}},
	{Name: "bip39.recover", Door: DoorPeer, Doc: "take in a mnemonic and make its seed (BIP 39)", Changes: true,
		In: []Field{writeAt, hint, over, flagsIn, {Name: "language", Doc: "english or japanese"}, {Name: "secret", Required: true, Doc: "the words, sealed to the zone's key"},
			{Name: "passphrase", Doc: "sealed to the zone's key"}},
		Out: []string{"kind", "version"}},
	{Name: "client.create", Door: DoorLocal, Doc: "make a client that holds nothing; writing makes one too, this says that it is new", Changes: true,
		In: []Field{{Name: "location", Required: true, Shape: ShapeClient, Doc: "the client"}}},
	{Name: "client.list", Door: DoorLocal, Doc: "list clients, and how much each holds, a page at a time", In: page, Out: []string{"clients", "next"}},
	{Name: "client.load", Door: DoorLocal, Doc: "load a client of the snapshot that is not loaded, or all of them; and give it another path", Changes: true,
		In: []Field{{Name: "location", Shape: ShapeClient, Doc: "the client; all, if absent"}, {Name: "target", Shape: ShapeClient, Doc: "the path it is to have from now on"}}},
	{Name: "client.purge", Door: DoorLocal, Doc: "take a client away with all it holds: nothing stays", Changes: true,
		In: []Field{{Name: "location", Required: true, Shape: ShapeClient, Doc: "the client"}}},
	{Name: "client.unload", Door: DoorLocal, Doc: "drop what a client holds from memory; the snapshot keeps it",
		In: []Field{{Name: "location", Required: true, Shape: ShapeClient, Doc: "the client"}}},
	{Name: "ed25519.sign", Door: DoorPeer, Doc: "sign a message (RFC 8032)",
		In:  []Field{useAt, {Name: "message", Required: true, Doc: "may be empty"}},
		Out: []string{"signature"}},
	{Name: "key.generate", Door: DoorPeer, Doc: "make a key that never leaves", Changes: true,
		In: []Field{writeAt, kind, hint, over, flagsIn}, Out: []string{"kind", "public_key", "version"}},
	{Name: "key.import", Door: DoorPeer, Doc: "take in a key from outside", Changes: true,
		In: []Field{writeAt, kind, sealed, hint, over, flagsIn}, Out: []string{"kind", "public_key", "version"}},
	{Name: "key.public", Door: DoorPeer, Doc: "tell the public half of a key",
		In: []Field{useAt}, Out: []string{"kind", "public_key"}},
	{Name: "node.lock", Door: DoorLocal, Doc: "drop every secret and close the snapshot"},
	{Name: "node.status", Door: DoorLocal, Doc: "tell how the node is", Out: []string{"node"}},
	{Name: "node.unlock", Door: DoorLocal, Doc: "open the snapshot in the zone",
		In: []Field{{Name: "secret", Required: true, Doc: "the passphrase, sealed to the zone's key"},
			{Name: "accept_older", Doc: "open it also if it is older than the last one written here"},
			{Name: "cost", Doc: "what trying its passphrase slots may take, all together: scrypt's log2 N, 20 if absent, at most 27"},
			{Name: "within", Shape: ShapeClient, Doc: "load these clients and no others, at most 1000; all, if absent"}}},
	{Name: "peer.add", Door: DoorLocal, Doc: "know another node by a name",
		In: []Field{{Name: "name", Required: true}, {Name: "address", Required: true, Doc: "a multiaddr that ends in /p2p/ID, or an id alone"}}},
	{Name: "peer.list", Door: DoorLocal, Doc: "tell which nodes are known", Out: []string{"peers"}},
	{Name: "peer.ping", Door: DoorLocal, Doc: "tell how far away a peer is", In: []Field{{Name: "peer", Required: true}}, Out: []string{"ping"}},
	{Name: "peer.remove", Door: DoorLocal, Doc: "know another node no more, or one address of it; `text` says where the policy speaks of it",
		In: []Field{{Name: "name", Required: true}, {Name: "address", Doc: "only this address of it, with or without /p2p/ID"}}, Out: []string{"text"}},
	{Name: "peer.rename", Door: DoorLocal, Doc: "give another node a new name; no right moves; `text` says where the policy speaks of it",
		In: []Field{{Name: "name", Required: true}, {Name: "new_name", Required: true}}, Out: []string{"text"}},
	{Name: "pipeline.run", Door: DoorPeer, Doc: "do several operations as one change: all of them, or none", Changes: true,
		In: []Field{{Name: "steps", Required: true, Doc: "each takes the rights of its operation"}}, Out: []string{"results"}},
	{Name: "policy.apply", Door: DoorLocal, Doc: "replace the policy; `text` says what may not be expected of it, a line each",
		In: []Field{{Name: "text", Doc: "policy.toml; nobody may do anything, if absent"}}, Out: []string{"text"}},
	{Name: "policy.can", Door: DoorLocal, Doc: "tell whether a peer may do something, and why",
		In: []Field{{Name: "peer", Required: true}, {Name: "query", Required: true, Doc: "an operation"},
			{Name: "location", Required: true}}, Out: []string{"decision"}},
	{Name: "policy.show", Door: DoorLocal, Doc: "tell the policy in force, and whom its names mean", Out: []string{"text"}},
	{Name: "policy.test", Door: DoorLocal, Doc: "run the tests of a policy and apply nothing; `text` says which failed",
		In: []Field{{Name: "text", Doc: "policy.toml; the policy in force, if absent"}}, Out: []string{"text"}},
	{Name: "record.copy", Door: DoorPeer, Doc: "put the same record in another place, with its flags", Changes: true,
		In: []Field{takeAt, {Name: "target", Required: true, Needs: Write, Doc: "where the copy goes"}, over}, Out: []string{"kind", "version"}},
	{Name: "record.disable", Door: DoorPeer, Doc: "have a record refuse every use, until it is enabled", Changes: true, In: []Field{writeAt}},
	{Name: "record.enable", Door: DoorPeer, Doc: "let a record be used again that was disabled", Changes: true, In: []Field{writeAt}},
	{Name: "record.exists", Door: DoorPeer, Doc: "tell whether there is a record",
		In: []Field{{Name: "location", Required: true, Needs: List}}, Out: []string{"exists"}},
	{Name: "record.list", Door: DoorPeer, Doc: "list records, a page at a time",
		In: append([]Field{{Name: "location", Needs: List, Shape: ShapePrefix, Doc: "what to list below; all, if absent"},
			{Name: "hint", Doc: "only records with this hint"}, reach, except}, page...),
		Out: []string{"entries", "next", "unloaded"}},
	{Name: "record.move", Door: DoorPeer, Doc: "put a record in another place, with its flags, and revoke it where it was", Changes: true,
		In: []Field{takeAt, {Name: "target", Required: true, Needs: Write, Doc: "where it goes"}, over}, Out: []string{"kind", "version"}},
	{Name: "record.revoke", Door: DoorPeer, Doc: "take a record's secret away; that it was there stays known", Changes: true, In: []Field{writeAt}},
	{Name: "record.stat", Door: DoorPeer, Doc: "tell all of a record but its secret",
		In: []Field{{Name: "location", Required: true, Needs: List}}, Out: []string{"entries"}},
	{Name: "record.type", Door: DoorPeer, Doc: "say what an imported record is, so that it can be used", Changes: true,
		In: []Field{takeAt, {Name: "kind", Required: true, Doc: "what it is: aes-256, ed25519, seed, slip10-ed25519 or data"},
			{Name: "overwrite", Local: true, Doc: "also if it has more bytes than its kind keeps; not for peers"},
			{Name: "untyped", Local: true, Doc: "not one of kind data; so it is for peers"}}, Out: []string{"kind"}},
	{Name: "record.write", Door: DoorPeer, Doc: "store bytes as a record", Changes: true,
		In: []Field{writeAt, kind, sealed, hint, over, flagsIn}, Out: []string{"kind", "public_key", "version"}},
	{Name: "slip10.derive", Door: DoorPeer, Doc: "derive a key (SLIP-0010, Ed25519) from a seed, a mnemonic or an extended key", Changes: true,
		In: []Field{useAt, {Name: "target", Required: true, Needs: Write, Doc: "where the derived key goes"},
			{Name: "path", Required: true, Doc: "m/44'/4218'/0', every element hardened"}, {Name: "kind", Doc: "of the target: ed25519, or slip10-ed25519 to derive on; ed25519 if absent"}, hint, over, flagsIn},
		Out: []string{"kind", "public_key", "version"}},
	{Name: "slip10.generate", Door: DoorPeer, Doc: "make a seed to derive from (SLIP-0010)", Changes: true,
		In: []Field{writeAt, {Name: "size", Doc: "bytes: 16 to 64, 64 if absent"}, hint, over, flagsIn}, Out: []string{"kind", "version"}},
	{Name: "slot.add", Door: DoorLocal, Doc: "let another passphrase or key open the snapshot", Hashes: true,
		In: []Field{proof("key, new_key or recipient, cost, label"), hashKey}, Out: []string{"slots", "job"}},
	{Name: "slot.list", Door: DoorLocal, Doc: "tell what opens the snapshot", Out: []string{"slots"}},
	{Name: "slot.remove", Door: DoorLocal, Doc: "take a slot away, and encrypt everything anew under a new root key", Hashes: true,
		In: []Field{proof("key, slot"), hashKey}, Out: []string{"job"}},
	{Name: "snapshot.export", Door: DoorLocal, Doc: "give every secret as one file, encrypted, a part at a time", Hashes: true,
		In: []Field{{Name: "secret", Doc: "with the first part: a message Proof, sealed to the zone's key: key, format, new_key, cost"},
			{Name: "offset", Doc: "of the part; all have the same request id"}, hashKey},
		Out: []string{"snapshot", "more", "job"}},
	{Name: "snapshot.import", Door: DoorLocal, Doc: "take in all that a file of the Rust Stronghold holds, a part at a time", Changes: true, Hashes: true,
		In: []Field{{Name: "snapshot", Required: true, Doc: "the part of the file"}, {Name: "offset", Doc: "of the part; all have the same request id"},
			{Name: "more", Doc: "more parts follow"}, {Name: "secret", Doc: "its password, with the last part"},
			{Name: "format", Doc: "what wrote it: wallet.rs, tauri, iota-sdk, cli or raw; all are tried, if absent"},
			{Name: "salt", Doc: "of the password, where the program kept one"}, {Name: "cost", Doc: "the highest work factor to pay, in all: 20 if absent, at most 23"},
			{Name: "dry_run", Doc: "change nothing, tell what would come"}, over, {Name: "skip_large", Doc: "leave out what is larger than its limit, instead of all"}, hashKey},
		Out: []string{"imported", "job", "snapshot"}},
	{Name: "snapshot.rekey", Door: DoorLocal, Doc: "encrypt everything anew under a new root key; the same slots open it", Hashes: true,
		In: []Field{proof("key"), hashKey}, Out: []string{"job"}},
	{Name: "snapshot.save", Door: DoorLocal, Doc: "write the whole state as a fresh file: what was revoked is not in it"},
	{Name: "store.get", Door: DoorPeer, Doc: "read a value of a client's store", In: []Field{getAt, session}, Out: []string{"value", "entries"}},
	{Name: "store.list", Door: DoorPeer, Doc: "list the keys of a client's store, a page at a time",
		In: append([]Field{{Name: "location", Required: true, Needs: StoreRead, Shape: ShapeClient, Doc: "the client"},
			{Name: "prefix", Doc: "only keys that begin so"}, session, reach, except}, page...),
		Out: []string{"entries", "next"}},
	{Name: "store.put", Door: DoorPeer, Doc: "write a value to a client's store", Changes: true,
		In:  []Field{putAt, {Name: "value", Required: true, Doc: "at most 64 KiB; may be empty"}, ttl, session},
		Out: []string{"version"}},
	{Name: "store.remove", Door: DoorPeer, Doc: "take a value out of a client's store", Changes: true, In: []Field{putAt, session}},
	{Name: "store.swap", Door: DoorPeer, Doc: "write a value to a client's store, if what is there is what is expected", Changes: true,
		In: []Field{{Name: "location", Required: true, Needs: StoreWrite, Also: StoreRead, Shape: ShapeStore}, {Name: "value", Required: true, Doc: "at most 64 KiB; may be empty"},
			{Name: "if_absent", Doc: "nothing is there"}, {Name: "if_value", Doc: "this value is there"}, {Name: "if_version", Doc: "a value with this version is there"}, ttl, session},
		Out: []string{"version"}},
	{Name: "vault.collect", Door: DoorLocal, Doc: "wipe the ciphertext of what was revoked or replaced from memory and from the file"},
	{Name: "vault.keep", Door: DoorLocal, Doc: "have a vault keep its last versions; older ones go, now and whenever one is added", Changes: true,
		In: []Field{{Name: "location", Required: true, Shape: ShapeVault}, {Name: "keep", Required: true, Doc: "how many; 0: all"}}},
	{Name: "vault.stat", Door: DoorLocal, Doc: "tell how many versions a vault keeps, and which number comes next",
		In: []Field{{Name: "location", Required: true, Shape: ShapeVault}}, Out: []string{"vault"}},
	{Name: "zone.abort", Door: DoorZone, Doc: "undo a staged change, and all after it",
		In: []Field{{Name: "sequence", Required: true}}},
	{Name: "zone.adopt", Door: DoorZone, Doc: "go on with the file that zone.fold gave: it is on the disk"},
	{Name: "zone.carry", Door: DoorZone, Doc: "give the changes since, sealed for the file that zone.fold gave, a part at a time", Out: []string{"snapshot", "more"}},
	{Name: "zone.collect", Door: DoorZone, Doc: "overwrite the ciphertext of what was revoked or replaced"},
	{Name: "zone.commit", Door: DoorZone, Doc: "let a staged change, and all before it, be seen",
		In: []Field{{Name: "sequence", Required: true}}},
	{Name: "zone.create", Door: DoorZone, Doc: "make an empty snapshot under a new root key",
		In:  []Field{sealed, {Name: "cost", Doc: "scrypt, log2 N"}},
		Out: []string{"snapshot"}},
	{Name: "zone.fold", Door: DoorZone, Doc: "give the whole state as a new file, a part at a time",
		In:  []Field{{Name: "more", Doc: "the next part, not the first"}, {Name: "snapshot", Doc: "what was wanted of the present file; it ends where this is shorter"}},
		Out: []string{"snapshot", "more", "lineage", "wanted", "copied"}},
	{Name: "zone.hash", Door: DoorZone, Doc: "do the job of another zone: hash a password",
		In:  []Field{{Name: "job", Required: true, Doc: "sealed to this zone's key"}, {Name: "snapshot", Doc: "the file that it is about"}},
		Out: []string{"hashed"}},
	{Name: "zone.hashed", Door: DoorZone, Doc: "go on with the request that a job was made of, which has the same id",
		In:  []Field{{Name: "hashed", Required: true, Doc: "what zone.hash gave"}},
		Out: []string{"length", "base", "recovered", "change", "imported", "snapshot", "more", "slots", "wanted", "salvaged"}},
	{Name: "zone.inspect", Door: DoorZone, Doc: "tell what a snapshot tells without a key",
		In: []Field{{Name: "snapshot", Doc: "the file's beginning"}}, Out: []string{"info"}},
	{Name: "zone.key", Door: DoorPeer, Doc: "tell the zone's public key, to seal a secret that is to be written",
		In: []Field{{Name: "location", Needs: Write, Doc: "where it is to be written; a peer must say"}}, Out: []string{"public_key"}},
	{Name: "zone.load", Door: DoorZone, Doc: "load clients of the present file, of which it says what it wants",
		In: []Field{{Name: "within", Shape: ShapeClient, Doc: "which, at most 1000; all, if absent"}, {Name: "more", Doc: "the next part, not the first request"},
			{Name: "snapshot", Doc: "what was wanted; the file ends where this is shorter"}},
		Out: []string{"wanted"}},
	{Name: "zone.open", Door: DoorZone, Doc: "take a snapshot, a part at a time, and open it", Hashes: true,
		In: []Field{{Name: "secret", Doc: "the passphrase, with the first part, as it was sealed for node.unlock"},
			{Name: "snapshot", Doc: "the part of the file that was wanted; the first is its beginning, with the whole header"},
			{Name: "more", Doc: "the file goes on behind it"}, {Name: "within", Shape: ShapeClient, Doc: "with the first part: load these clients and no others"}, {Name: "max_record_bytes", Doc: "with the first part, as the other limits: of a record"}, {Name: "max_records", Doc: "in all"},
			{Name: "max_path_bytes", Doc: "of client/vault/record"}, {Name: "max_store_bytes", Doc: "of keys and values, for each client"}, {Name: "max_store_values", Doc: "for each client"},
			{Name: "max_tombstones", Doc: "of records that were removed: with as many there is no new place"}, {Name: "max_clients"},
			{Name: "device", Doc: "8 bytes, written into changes"},
			{Name: "cost", Doc: "with the secret, as node.unlock has it"},
			{Name: "salvage", Doc: "with the first part: open what can be had of a damaged file, and say what is missing"},
			{Name: "accept_older", Doc: "open it whatever the node knows"},
			{Name: "known", Doc: "else refuse a file that has none of these in it, or, if there are none, that has been changed"}, hashKey},
		Out: []string{"length", "base", "last", "lineage", "tag", "latest_ms", "recovered", "change", "job", "wanted", "salvaged"}},
	{Name: "zone.stage", Door: DoorZone, Doc: "do several requests that change something, each as if it came by itself",
		In: []Field{{Name: "steps", Required: true}}, Out: []string{"results"}},
}

// A row is one of the table, with what Check goes by.
type row struct {
	*Operation
	numbers []protowire.Number     // of In
	takes   [DoorPeer + 1]fieldSet // In, by the door it is asked at
}

// brings says whether requests of it may bring something sealed, of which the zone is told who does.
func (o *Operation) brings() bool {
	return slices.ContainsFunc(o.In, func(f Field) bool { return f.Name == "secret" || f.Name == "passphrase" || f.Name == "steps" })
}

// byName is the table by name.
var byName = sync.OnceValue(func() map[string]*row {
	m := make(map[string]*row, len(Operations))
	for i := range Operations {
		r := &row{Operation: &Operations[i]}
		m[r.Name] = r
		for _, f := range r.In {
			n := requestFields().ByName(protoreflect.Name(f.Name)).Number()
			r.numbers = append(r.numbers, n)
			r.takes[DoorZone].put(askerField, r.brings())
			r.takes[DoorZone].put(leftField, r.Changes)
			for door := range r.takes {
				r.takes[door].put(n, !(f.Inner && Door(door) != DoorZone || f.Local && Door(door) == DoorPeer))
			}
		}
	}
	return m
})

func requestFields() protoreflect.FieldDescriptors {
	return new(Request).ProtoReflect().Descriptor().Fields()
}

// fieldName is the name of a field of a Request, the first of some.
func fieldName(s fieldSet) string {
	for fields, i := requestFields(), 0; i < fields.Len(); i++ {
		if f := fields.Get(i); s.has(f.Number()) {
			return string(f.Name())
		}
	}
	panic("protocol: internal error: a field that is not in the .proto")
}

// Lookup finds an operation by its name.
func Lookup(name string) (*Operation, bool) {
	r, ok := byName()[name]
	if !ok {
		return nil, false
	}
	return r.Operation, true
}

// Access is one thing that a request does to one place.
type Access struct {
	Class    Class
	Location *Location // nil or a prefix for a listing
	Prefix   bool      // everything below Location, not Location alone
	Step     string    // the operation of the step that does it, in a pipeline
}

// Accesses are the rights that req needs: one for each location in it that its
// row marks, and those of each step of a pipeline. A row that marks none needs
// none, and is for the local door.
func (o *Operation) Accesses(req *Request) []Access {
	var out []Access
	for _, f := range o.In {
		if f.Name == "steps" {
			out = append(out, stepAccesses(req.Steps)...)
		}
		if f.Needs == "" {
			continue
		}
		loc := req.Location
		if f.Name == "target" {
			loc = req.Target
		}
		out = append(out, Access{Class: f.Needs, Location: loc, Prefix: f.Shape == ShapePrefix || f.Shape == ShapeClient})
		if f.Also != "" {
			out = append(out, Access{Class: f.Also, Location: loc, Prefix: out[len(out)-1].Prefix})
		}
	}
	return out
}

// Check holds req against its row: the operation exists and may be asked at
// this door, what is required is there, nothing else is, and every value is
// within its limits. It returns nil, or the answer that refuses req.
func Check(req *Request, door Door) *Response {
	if req.To != "" {
		if door == DoorPeer {
			return Invalid("to", "a peer cannot ask another through this node")
		}
		door = DoorPeer // what the peer would refuse is refused here
	}
	op, ok := byName()[req.Operation]
	if !ok || op.Door < door {
		return Refuse(Status_UNSUPPORTED, "no such operation here")
	}
	if len(req.Id) != 16 {
		return Invalid("id", "must be 16 bytes")
	}
	set := present(req)
	if more := set.without(op.takes[door]); !more.empty() {
		return Invalid(fieldName(more), "not a field of this operation")
	}
	for i := range op.In {
		f := &op.In[i]
		if !set.has(op.numbers[i]) {
			if f.Required {
				return Invalid(f.Name, "missing")
			}
			if f.Needs != "" && f.Shape == ShapeRecord && door == DoorPeer {
				return Invalid(f.Name, "missing")
			}
			continue
		}
		if r := checkValue(req, f, door); r != nil {
			return r
		}
	}
	return nil
}

// checkValue holds one field's value against the limits that hold wherever it is used.
func checkValue(req *Request, f *Field, door Door) *Response {
	switch f.Name {
	case "location":
		return checkLocation(req.Location, f, door)
	case "target":
		return checkLocation(req.Target, f, door)
	case "within":
		return checkWithin(req.Within, door)
	case "reach":
		return checkReach(f.Name, req.Reach)
	case "except":
		return checkReach(f.Name, req.Except)
	case "kind":
		if !KnownKind(req.Kind) {
			return Invalid("kind", "unknown kind")
		}
	case "secret":
		if len(req.Secret) < SealOverhead || len(req.Secret) > MaxSecret+SealOverhead {
			return Invalid("secret", "not a sealed value")
		}
	case "steps":
		if req.Operation == stage {
			return checkStaged(req.Steps)
		}
		return checkSteps(req.Steps, door)
	case "passphrase":
		if len(req.Passphrase) < SealOverhead || len(req.Passphrase) > MaxPassphrase+SealOverhead {
			return Invalid("passphrase", "not a sealed value")
		}
	case "hint":
		if len(req.Hint) > MaxHint {
			return Invalid("hint", fmt.Sprintf("at most %d bytes", MaxHint))
		}
	case "flags":
		if wrong := checkFlags(req.Flags); wrong != "" {
			return Invalid("flags", wrong)
		}
	case "if_value":
		if len(req.IfValue) > MaxValue {
			return Invalid("if_value", fmt.Sprintf("at most %d bytes", MaxValue))
		}
	case "prefix":
		if len(req.Prefix) > MaxSegment {
			return Invalid("prefix", fmt.Sprintf("at most %d bytes", MaxSegment))
		}
	case "wrapped":
		if len(req.Wrapped) > MaxSecret+WrapOverhead {
			return Invalid("wrapped", "not a wrapped key")
		}
	case "value":
		if len(req.Value) > MaxValue {
			return Invalid("value", fmt.Sprintf("at most %d bytes", MaxValue))
		}
	case "ttl_ms":
		if req.TtlMs > MaxTTL {
			return Invalid("ttl_ms", "more than 100 years")
		}
	case "reply_key":
		if len(req.ReplyKey) != 32 {
			return Invalid("reply_key", "must be 32 bytes")
		}
	case "after":
		if len(req.After) > maxCursor {
			return Invalid("after", "not a cursor")
		}
	case "limit":
		if req.Limit > MaxPage {
			return Invalid("limit", fmt.Sprintf("at most %d", MaxPage))
		}
	case "salt":
		if len(req.Salt) > MaxSalt {
			return Invalid("salt", fmt.Sprintf("at most %d bytes", MaxSalt))
		}
	case "format":
		if len(req.Format) > maxFormat {
			return Invalid("format", "unknown format")
		}
	case "hash_key":
		if len(req.HashKey) != 32 {
			return Invalid("hash_key", "must be 32 bytes")
		}
	case "device":
		if len(req.Device) != 8 {
			return Invalid("device", "must be 8 bytes")
		}
	case "known":
		for _, m := range req.Known {
			if len(m.Lineage) != 16 || len(m.Tag) != 16 {
				return Invalid("known", "a lineage and a tag have 16 bytes each")
			}
		}
	}
	return nil
}

// maxCursor bounds a page's cursor: three ids, or a store's key, and what a node seals them with.
const maxCursor = MaxSegment + 64

const maxFormat = 32

// checkWithin holds the clients that are loaded against the limits.
func checkWithin(clients []*Location, door Door) *Response {
	if len(clients) > MaxPage {
		return Invalid("within", fmt.Sprintf("at most %d clients", MaxPage))
	}
	for _, l := range clients {
		if r := checkLocation(l, &Field{Name: "within", Shape: ShapeClient}, door); r != nil {
			return r
		}
	}
	return nil
}

// checkReach holds the parts that a listing is kept to, or from, against the limits.
func checkReach(field string, parts []*Reach) *Response {
	if len(parts) > MaxPage {
		return Invalid(field, fmt.Sprintf("at most %d", MaxPage))
	}
	for _, r := range parts {
		if len(r.GetPath()) > 3 {
			return Invalid(field, "more than client/vault/record")
		}
		for i, s := range r.GetPath() {
			has := 0
			for _, set := range []bool{s.GetIs() != nil, len(s.GetPieces()) > 0, s.GetVersions(), s != nil && s.Version != nil} {
				if set {
					has++
				}
			}
			long := len(s.GetIs())
			for _, piece := range s.GetPieces() {
				long += len(piece)
			}
			if s == nil || has > 1 || long > MaxSegment || len(s.Pieces) == 1 || i < 2 && (s.Versions || s.Version != nil) {
				return Invalid(field, "not a condition on a segment")
			}
		}
	}
	return nil
}
