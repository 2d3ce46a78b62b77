package local

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/stronghold-go/stronghold/protocol"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// state is state.db: what a node remembers that is neither a secret nor set by
// hand. Its lock is the home's lock.
type state struct {
	*bbolt.DB
	device [8]byte // random, made with the home: tells its changes from those of other devices
}

var (
	metaBucket  = []byte("meta")
	deviceKey   = []byte("device")
	marksKey    = []byte("marks")        // where the file ends that was written last: lineage, number of the change, tag
	policyKey   = []byte("policy")       // SHA-256 of the text that was applied
	namesBucket = []byte("policy-names") // what the names in it meant: name → peer id
	peersBucket = []byte("peers")        // name → protocol.Peer
	usageBucket = []byte("usage")        // peer id → protocol.Usage
)

func openState(path string) (_ *state, err error) {
	if err := checkDB(path); err != nil {
		return nil, err
	}
	var db *bbolt.DB
	defer func() {
		if recover() != nil { // bbolt's, of a page that is not what it should be
			if err = damagedDB(path); db != nil {
				db.Close()
			}
		}
	}()
	// Another node holds the lock for as long as it runs: waiting does not help.
	db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: 50 * time.Millisecond})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, ErrInUse
	}
	if err != nil {
		return nil, &HomeError{Path: path, Reason: err.Error(), Damaged: errors.Is(err, bolterrors.ErrInvalid) || errors.Is(err, bolterrors.ErrChecksum)}
	}
	st := &state{DB: db}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{metaBucket, namesBucket, peersBucket, usageBucket} {
			b, err := tx.CreateBucketIfNotExists(name)
			if err == nil { // it is read wholly before anything depends on it
				err = b.ForEach(func(_, _ []byte) error { return nil })
			}
			if err != nil {
				return err
			}
		}
		meta := tx.Bucket(metaBucket)
		if copy(st.device[:], meta.Get(deviceKey)) == len(st.device) {
			return nil
		}
		rand.Read(st.device[:])
		return meta.Put(deviceKey, st.device[:])
	})
	if err != nil {
		db.Close()
		return nil, err
	}
	return st, nil
}

// mark is where a file ends that was written here.
type mark struct {
	lineage, tag [16]byte
	seq          uint64
}

// markOf is where a file ends that the zone has opened.
func markOf(opened *protocol.Response) mark {
	return mark{[16]byte(opened.Lineage), [16]byte(opened.Tag), opened.Change.GetSequence()}
}

const markSize = 16 + 16 + 8

// marks are what setMarks was told last; none: nothing was ever written here.
func (st *state) marks() (marks []mark) {
	st.View(func(tx *bbolt.Tx) error {
		for b := range slices.Chunk(tx.Bucket(metaBucket).Get(marksKey), markSize) {
			if len(b) == markSize {
				marks = append(marks, mark{[16]byte(b), [16]byte(b[16:]), binary.BigEndian.Uint64(b[32:])})
			}
		}
		return nil
	})
	return marks
}

// setMarks remembers where the file ends. While another takes its place there are two:
// after a crash it may be either.
func (st *state) setMarks(marks ...mark) error {
	if slices.Equal(st.marks(), marks) {
		return nil
	}
	var b []byte
	for _, m := range marks {
		b = append(append(b, m.lineage[:]...), m.tag[:]...)
		b = binary.BigEndian.AppendUint64(b, m.seq)
	}
	return st.Update(func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Put(marksKey, b) })
}

func (st *state) peers() (list []*protocol.Peer, err error) {
	err = st.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(peersBucket).ForEach(func(_, v []byte) error {
			p := new(protocol.Peer)
			if err := protocol.Unmarshal(v, p); err != nil {
				return err
			}
			list = append(list, p)
			return nil
		})
	})
	return list, err
}

func (st *state) setPeers(list []*protocol.Peer) error {
	return st.Update(func(tx *bbolt.Tx) error {
		bucket, err := emptyBucket(tx, peersBucket)
		if err != nil {
			return err
		}
		for _, p := range list {
			b, err := protocol.Marshal(p)
			if err != nil {
				return err
			}
			if err := bucket.Put([]byte(p.Name), b); err != nil {
				return err
			}
		}
		return nil
	})
}

// usage is what peers have made.
func (st *state) usage() (by map[string]*protocol.Usage, err error) {
	by = map[string]*protocol.Usage{}
	err = st.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(usageBucket).ForEach(func(k, v []byte) error {
			u := new(protocol.Usage)
			by[string(k)] = u
			return protocol.Unmarshal(v, u)
		})
	})
	return by, err
}

// setUsage remembers what some peers have made, and forgets those for which it is nil.
func (st *state) setUsage(some map[string]*protocol.Usage) error {
	if len(some) == 0 {
		return nil
	}
	return st.Update(func(tx *bbolt.Tx) error {
		for id, u := range some {
			if u == nil {
				if err := tx.Bucket(usageBucket).Delete([]byte(id)); err != nil {
					return err
				}
				continue
			}
			b, err := protocol.Marshal(u)
			if err != nil {
				return err
			}
			if err := tx.Bucket(usageBucket).Put([]byte(id), b); err != nil {
				return err
			}
		}
		return nil
	})
}

func emptyBucket(tx *bbolt.Tx, name []byte) (*bbolt.Bucket, error) {
	if err := tx.DeleteBucket(name); err != nil {
		return nil, err
	}
	return tx.CreateBucket(name)
}

// names returns what the names meant in the policy that was applied last, and
// whether that had this hash.
func (st *state) names(hash [32]byte) (names map[string]string, ok bool) {
	names = map[string]string{}
	st.View(func(tx *bbolt.Tx) error {
		ok = string(tx.Bucket(metaBucket).Get(policyKey)) == string(hash[:])
		return tx.Bucket(namesBucket).ForEach(func(k, v []byte) error { names[string(k)] = string(v); return nil })
	})
	return names, ok
}

func (st *state) setNames(hash [32]byte, names map[string]string) error {
	return st.Update(func(tx *bbolt.Tx) error {
		b, err := emptyBucket(tx, namesBucket)
		if err != nil {
			return err
		}
		for name, id := range names {
			if err := b.Put([]byte(name), []byte(id)); err != nil {
				return err
			}
		}
		return tx.Bucket(metaBucket).Put(policyKey, hash[:])
	})
}
