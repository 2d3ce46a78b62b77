package node

import (
	"crypto/rand"
	"errors"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/crypto/pb"
	"github.com/libp2p/go-libp2p/core/peer"
)

// errIdentity tells nothing of what was read: it is a private key, if a broken one.
var errIdentity = errors.New("node: not an identity: want a marshalled Ed25519 private key")

// NewIdentity makes the key that a node proves its peer id with: an Ed25519
// private key, marshalled as libp2p does (the PrivateKey message of its peer id
// specification).
func NewIdentity() ([]byte, error) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, err
	}
	return crypto.MarshalPrivateKey(key)
}

// PeerID is the peer id of an identity.
func PeerID(identity []byte) (string, error) {
	_, id, err := parseIdentity(identity)
	return id.String(), err
}

func parseIdentity(identity []byte) (crypto.PrivKey, peer.ID, error) {
	key, err := crypto.UnmarshalPrivateKey(identity)
	if err != nil || key.Type() != pb.KeyType_Ed25519 {
		return nil, "", errIdentity
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return nil, "", errIdentity
	}
	return key, id, nil
}
