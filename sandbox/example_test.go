package sandbox_test

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/stronghold-go/stronghold/sandbox"
	"github.com/stronghold-go/stronghold/sandbox/memory"
)

// Somebody's own handler: it makes a key when it starts, which nobody else ever sees, and authenticates messages.
func init() {
	sandbox.Gate("example.org/authenticator", 4096, func(in sandbox.Inside) (sandbox.Handler, error) {
		key, err := in.Arena.New(32)
		if err != nil {
			return nil, err
		}
		if err := key.Use(func(b []byte) error { _, err := rand.Read(b); return err }); err != nil {
			return nil, err
		}
		return func(_ context.Context, message []byte) (tag []byte, err error) {
			if len(message) == 0 {
				return nil, errors.New("nothing to authenticate")
			}
			memory.Erase(func() {
				err = key.Use(func(b []byte) error {
					mac := hmac.New(sha256.New, b)
					mac.Write(message)
					tag = mac.Sum(nil)
					return nil
				})
			})
			return tag, err
		}, nil
	})
}

func Example() {
	ctx := context.Background()
	zone, err := sandbox.Start(ctx, sandbox.Config{Name: "example.org/authenticator"})
	if err != nil {
		fmt.Println(err) // which required layer is missing, for one
		return
	}
	defer zone.Close()

	tag, err := zone.Call(ctx, []byte("a message"))
	fmt.Println(len(tag), err)

	_, err = zone.Call(ctx, nil)
	var refused *sandbox.HandlerError
	fmt.Println(errors.As(err, &refused), err)

	process, _ := zone.Status().Layer("own process")
	fmt.Println(process)

	// Output:
	// 32 <nil>
	// true nothing to authenticate
	// own process: active, required
}
