package engine

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"

	"github.com/stronghold-go/stronghold/procedures"
	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/sandbox/memory"
	"github.com/stronghold-go/stronghold/snapshot"
	"github.com/stronghold-go/stronghold/snapshot/rust"
)

// A password hash takes hundreds of megabytes and leaves copies of the password
// behind, which no code of ours can wipe. So the zone that keeps the secrets
// computes none. It makes a job of what is to be hashed and seals it to another
// zone, which does that and ends; the node carries job and result. The result is
// sealed to a key that the zone made for the job, and holds the random token that came
// with it: nobody else can make one, it fits this job only, and once.

// waiting is a request whose password is being hashed. There is one: the node
// brings one after the other, and who begins another gives up the one before it.
type waiting struct {
	id     [16]byte
	token  [32]byte
	key    *protocol.SealKey // what the result is sealed to, of its own: that of the zone may change meanwhile
	finish func(*protocol.Hashed) (*protocol.Response, error)
}

// hash answers req with a job. finish goes on with the request when the result is there.
func (e *Engine) hash(req *protocol.Request, job *protocol.Job, finish func(*protocol.Hashed) (*protocol.Response, error)) (*protocol.Response, error) {
	if req.HashKey == nil {
		return nil, &procedures.InputError{Field: "hash_key", Reason: "missing"}
	}
	key, err := protocol.NewSealKey()
	if err != nil {
		return nil, err
	}
	w := &waiting{id: [16]byte(req.Id), key: key, finish: finish}
	rand.Read(w.token[:])
	job.Token, job.AnswerTo = w.token[:], key.Public()
	sealed, err := sealJob(req, job)
	if err != nil {
		return nil, &procedures.InputError{Field: "hash_key", Reason: "not an X25519 public key"}
	}
	e.hashing.Lock()
	e.waits = w
	e.hashing.Unlock()
	return &protocol.Response{Job: sealed}, nil
}

// sealJob leaves nothing of the password on the stack.
func sealJob(req *protocol.Request, job *protocol.Job) (sealed []byte, err error) {
	memory.Erase(func() {
		var plain []byte
		if plain, err = protocol.Marshal(job); err == nil {
			defer memory.Wipe(plain)
			sealed, err = protocol.Seal(req.HashKey, &protocol.Request{Id: req.Id, Operation: "zone.hash"}, "job", protocol.ToZone, plain)
		}
	})
	return sealed, err
}

// goOn takes the result of a job and finishes the request that it was made of.
func (e *Engine) goOn(req *protocol.Request) (*protocol.Response, error) {
	e.hashing.Lock()
	w := e.waits
	e.hashing.Unlock()
	if w == nil || w.id != [16]byte(req.Id) {
		return nil, sealedError("hashed")
	}
	plain, err := open(w.key, req, "hashed", req.Hashed)
	if err != nil {
		return nil, err
	}
	defer memory.Wipe(plain)
	h := new(protocol.Hashed)
	if err := protocol.Unmarshal(plain, h); err != nil {
		return nil, sealedError("hashed")
	}
	defer wipeHashed(h)
	e.hashing.Lock()
	if e.waits != w || subtle.ConstantTimeCompare(w.token[:], h.Token) != 1 {
		e.hashing.Unlock()
		return nil, sealedError("hashed")
	}
	e.waits = nil
	e.hashing.Unlock()
	return w.finish(h)
}

func wipeHashed(h *protocol.Hashed) {
	for _, b := range [][]byte{h.Root, h.Content, h.FileKey} {
		memory.Wipe(b)
	}
}

// work does the job of another zone. This one is to end then.
func (e *Engine) work(req *protocol.Request) (*protocol.Response, error) {
	plain, err := e.unsealField(req, "job", req.Job)
	if err != nil {
		return nil, err
	}
	job := new(protocol.Job)
	if err := protocol.Unmarshal(plain, job); err != nil {
		return nil, sealedError("job")
	}
	h := &protocol.Hashed{Token: job.Token}
	if job.Header != nil {
		if h.Root, err = openSlot(job); err != nil {
			return nil, err
		}
	}
	if f := job.Foreign; f != nil {
		options := rust.Options{MaxScryptMemory: 1 << (f.Cost + 10)}
		content, tried, err := rust.Unseal(req.Snapshot, f.Password, f.Salt, rust.Kind(f.Format), options)
		if err != nil {
			return nil, &foreignError{err, tried}
		}
		h.Content, h.Attempts = content, attempts(tried)
	}
	if f := job.ForeignKey; f != nil {
		if h.FileKey, h.Header, err = rust.NewFileKey(rust.PasswordKey(f.Password), int(f.Cost)); err != nil {
			return nil, err
		}
	}
	if f := job.NewKey; f != nil {
		slot, err := snapshot.NewSlot(f.Key, int(f.Cost), e.Memory)
		if err != nil {
			return nil, err
		}
		h.SlotKind, h.Recipient, h.Lock = uint32(slot.Kind), slot.Recipient, slot.Lock
	}
	if plain, err = protocol.Marshal(h); err != nil {
		return nil, err
	}
	sealed, err := protocol.Seal(job.AnswerTo, &protocol.Request{Id: req.Id, Operation: "zone.hashed"}, "hashed", protocol.ToZone, plain)
	if err != nil {
		return nil, sealedError("job") // it names no key to answer to
	}
	return &protocol.Response{Hashed: sealed}, nil
}

// openSlot opens a slot of the header in a job.
func openSlot(job *protocol.Job) ([]byte, error) {
	h, _, err := snapshot.ReadHeader(bytes.NewReader(job.Header))
	if err != nil {
		return nil, err
	}
	return h.Open(job.Key, int(job.MaxCost))
}
