package local_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/stronghold-go/stronghold/node/local"
	"github.com/stronghold-go/stronghold/protocol"
	_ "github.com/stronghold-go/stronghold/sandbox/engine/zone" // this program is the zone, too
)

// A wallet: it keeps a mnemonic that only its owner has seen, and signs with
// keys that are derived from it. No key is ever in its memory.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "wallet-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	cfg := local.Config{Home: filepath.Join(dir, "home")}
	passphrase := []byte("correct horse battery staple") // of the person who sits there

	// Once: an empty home. A wallet that people rely on leaves Cost at 0.
	if err := local.Init(ctx, cfg, local.InitOptions{Passphrase: passphrase, Cost: 17}); err != nil {
		log.Fatal(err)
	}

	// Each time it starts. The home is locked until its passphrase is given.
	s, err := local.Open(ctx, cfg)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	wallet := s.Client()
	if err := wallet.Unlock(ctx, passphrase); errors.Is(err, protocol.ErrWrongKey) {
		log.Fatal("that is another passphrase")
	} else if err != nil {
		log.Fatal(err)
	}

	// Records are named client/vault/record.
	seed, _ := protocol.ParseLocation("wallet/seeds/main")
	key, _ := protocol.ParseLocation("wallet/keys/savings")

	// The words are for the owner to write down. They are told once.
	words, err := wallet.GenerateMnemonic(ctx, seed, protocol.MnemonicOptions{Words: 12})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(strings.Fields(string(words))), "words")
	clear(words)

	public, err := wallet.DeriveKey(ctx, seed, key, "m/44'/4218'/0'", false)
	if err != nil {
		log.Fatal(err)
	}
	message := []byte("pay Bob 3 coins")
	signature, err := wallet.Sign(ctx, key, message)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("signed:", ed25519.Verify(public, message, signature))

	// Locked, it signs no more; what was made is on the disk.
	if err := wallet.Lock(ctx); err != nil {
		log.Fatal(err)
	}
	_, err = wallet.Sign(ctx, key, message)
	fmt.Println(err, errors.Is(err, protocol.ErrLocked))
	// Output:
	// 12 words
	// signed: true
	// locked true
}

// The ask pattern: many requests on their way at once, each with a channel that
// delivers its answer. Changes that come together share one fsync.
func ExampleStronghold_Client() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "keys-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	cfg := local.Config{Home: filepath.Join(dir, "home")}
	passphrase := []byte("correct horse battery staple")
	if err := local.Init(ctx, cfg, local.InitOptions{Passphrase: passphrase, Cost: 17}); err != nil {
		log.Fatal(err)
	}
	s, err := local.Open(ctx, cfg)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	c := s.Client()
	if err := c.Unlock(ctx, passphrase); err != nil {
		log.Fatal(err)
	}

	var answers []<-chan protocol.Result
	for i := range 10 {
		loc, _ := protocol.ParseLocation(fmt.Sprintf("shop/tills/%d", i))
		answers = append(answers, c.Go(ctx, &protocol.Request{Operation: "key.generate", Location: loc, Kind: protocol.Ed25519}))
	}
	made := 0
	for _, answer := range answers {
		if r := <-answer; r.Err == nil && len(r.Response.PublicKey) == ed25519.PublicKeySize {
			made++
		}
	}
	fmt.Println(made, "keys")
	// Output: 10 keys
}
