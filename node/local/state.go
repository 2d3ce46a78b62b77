package local

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
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
	newestKey   = []byte("newest")       // the last change that was written: its number, and the file's lineage
	policyKey   = []byte("policy")       // SHA-256 of the text that was applied
	namesBucket = []byte("policy-names") // what the names in it meant: name → peer id
	peersBucket = []byte("peers")        // name → protocol.Peer
	usageBucket = []byte("usage")        // peer id → protocol.Usage
)

func openState(path string) (*state, error) {
	// Another node holds the lock for as long as it runs: waiting does not help.
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: 50 * time.Millisecond})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, ErrInUse
	}
	if err != nil {
		return nil, &HomeError{Path: path, Reason: err.Error()}
	}
	st := &state{DB: db}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{metaBucket, namesBucket, peersBucket, usageBucket} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
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

// newest is what setNewest was told last; no lineage: nothing was ever written.
func (st *state) newest() (lineage []byte, seq uint64) {
	st.View(func(tx *bbolt.Tx) error {
		if b := tx.Bucket(metaBucket).Get(newestKey); len(b) > 8 {
			seq, lineage = binary.BigEndian.Uint64(b), bytes.Clone(b[8:])
		}
		return nil
	})
	return lineage, seq
}

// setNewest remembers that a file of this lineage ends with this change, or a
// later one. While a file takes another's place there are two lineages, joined.
func (st *state) setNewest(lineage []byte, seq uint64) error {
	if known, last := st.newest(); last == seq && bytes.Equal(known, lineage) {
		return nil
	}
	b := append(binary.BigEndian.AppendUint64(nil, seq), lineage...)
	return st.Update(func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Put(newestKey, b) })
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
