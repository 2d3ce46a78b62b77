package engine

import (
	"crypto/rand"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/stronghold-go/stronghold/protocol"
)

// keyModel is a key that something was sealed to, and who has brought how much of it.
type keyModel struct {
	public string // once it is seen
	by     map[uint64]int
	all    int
	until  time.Time // when it opens no more; zero: it is the present one
}

// valueModel is a value that was sealed.
type valueModel struct {
	req   *protocol.Request
	to    *keyModel
	taken bool
}

// Whoever brings whatever, again or for the first time, and however the keys change: a
// value is taken once, and while its key is good; each peer leaves as much room as he
// takes, and all of them a quarter to the local user.
func TestInboxModel(t *testing.T) {
	const room, askers = 64, 4 // the first is the local user
	steps, failed := 0, 0
	defer func() {
		if t.Failed() {
			t.Logf("found after %d steps", failed)
		}
	}()
	outer := t
	rapid.Check(t, func(t *rapid.T) {
		rapid.SyncTest(t, func(t *rapid.T) {
			ended := false
			defer func() {
				if !ended && failed == 0 {
					failed = steps
				}
				time.Sleep(2 * inboxWhile) // what is to be forgotten later
			}()
			b := anInbox(outer, room)
			now := &keyModel{by: map[uint64]int{}}
			var before *keyModel
			renew := func(at time.Time) {
				if before == nil && now.all >= room/8 {
					before, now = now, &keyModel{by: map[uint64]int{}}
					before.until = at.Add(inboxWhile)
				}
			}
			var values []*valueModel
			// came holds what became of a value against what should.
			came := func(t *rapid.T, v *valueModel, asker uint64, err error) {
				peers := v.to.all - v.to.by[0]
				fits := v.to.all < room
				if asker != 0 {
					fits = peers+v.to.by[asker] < room-room/4
				}
				var crowded *crowdedError
				var closed sealedError
				switch dead := v.to != now && v.to != before; {
				case dead || v.taken:
					if !errors.As(err, &closed) {
						t.Fatalf("taken before: %t; its key is gone: %t; got %v", v.taken, dead, err)
					}
				case !fits:
					if !errors.As(err, &crowded) || crowded.wait <= 0 {
						t.Fatalf("asker %d has brought %d of %d, and is told %v", asker, v.to.by[asker], v.to.all, err)
					}
				case err != nil:
					t.Fatalf("asker %d has brought %d of %d, and is told %v", asker, v.to.by[asker], v.to.all, err)
				default:
					v.taken = true
					v.to.by[asker]++
					v.to.all++
				}
				renew(time.Now())
			}
			bring := func(t *rapid.T) {
				asker := rapid.Uint64Range(0, askers-1).Draw(t, "asker")
				v := &valueModel{req: aSealed(outer, b, asker), to: now}
				values = append(values, v)
				if rapid.Bool().Draw(t, "at once") {
					came(t, v, asker, b.takes(v.req))
				}
			}
			t.Repeat(map[string]func(*rapid.T){
				"bring": bring,
				"bring what there is": func(t *rapid.T) {
					if len(values) == 0 {
						t.Skip()
					}
					v := rapid.SampledFrom(values).Draw(t, "value")
					came(t, v, v.req.Asker, b.takes(v.req))
				},
				"bring much": func(t *rapid.T) { // what is opened besides is no matter of room
					asker := rapid.Uint64Range(0, askers-1).Draw(t, "asker")
					for range rapid.IntRange(1, room).Draw(t, "n") {
						var is [16]byte
						rand.Read(is[:])
						v := &valueModel{to: now}
						came(t, v, asker, b.remember(b.now, asker, is, "secret"))
					}
				},
				"time passes": func(t *rapid.T) {
					time.Sleep(rapid.SampledFrom([]time.Duration{time.Second, inboxWhile - time.Second, inboxWhile}).Draw(t, "time"))
				},
				"": func(t *rapid.T) {
					steps++
					synctest.Wait()
					for before != nil && !time.Now().Before(before.until) {
						at := before.until
						before = nil
						renew(at)
					}
					n, there := b.remembers()
					if n != now.all || there != (before != nil) {
						t.Fatalf("%d are remembered, and there is a key before: %t; want %d, %t", n, there, now.all, before != nil)
					}
					is := string(b.public())
					if now.public == "" && (before == nil || is != before.public) {
						now.public = is
					}
					if is != now.public {
						t.Fatal("the key is another one, or the one before")
					}
				},
			})
			ended = true
		})
	})
}
