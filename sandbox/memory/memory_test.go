package memory

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"
)

func newArena(t testing.TB, size int) *Arena {
	t.Helper()
	a, err := NewArena(size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Destroy)
	return a
}

func newSecret(t testing.TB, a *Arena, n int) *Secret {
	t.Helper()
	s, err := a.New(n)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func fill(b byte) func([]byte) error {
	return func(p []byte) error {
		for i := range p {
			p[i] = b
		}
		return nil
	}
}

func allZero(p []byte) error {
	for i := range p {
		if p[i] != 0 {
			return fmt.Errorf("byte %d is not zero", i)
		}
	}
	return nil
}

func TestSecretIsZeroedAndGivenBack(t *testing.T) {
	a := newArena(t, 1)
	t.Log(a.Kind())
	if a.Size() != pageSize() {
		t.Fatalf("an arena of one byte has %d, want a page", a.Size())
	}
	for range 3 {
		var all []*Secret
		for {
			s, err := a.New(100)
			if errors.Is(err, ErrFull) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Use(allZero); err != nil {
				t.Fatal(err)
			}
			if err := s.Use(fill(0xa5)); err != nil {
				t.Fatal(err)
			}
			all = append(all, s)
		}
		if want := pageSize() / 128; len(all) != want {
			t.Fatalf("%d secrets of 100 bytes fit, want %d", len(all), want)
		}
		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, s := range all {
			s.Destroy()
			s.Destroy()
		}
		if len(a.free) != 1 || a.free[0] != (span{0, a.Size()}) {
			t.Fatalf("free pieces were not merged: %v", a.free)
		}
		if err := allZero(a.m.pages); err != nil {
			t.Fatal(err)
		}
	}
	s := newSecret(t, a, 5)
	if s.Len() != 5 {
		t.Fatalf("length %d", s.Len())
	}
	s.Use(func(b []byte) error {
		if len(b) != 5 || cap(b) != 5 {
			t.Errorf("lent %d of %d bytes", len(b), cap(b))
		}
		return nil
	})
	s.Destroy()
	if s.Len() != 5 {
		t.Error("a destroyed secret has lost its length")
	}
}

func TestUseAfterDestroy(t *testing.T) {
	a := newArena(t, 4096)
	s := newSecret(t, a, 32)
	called := errors.New("called")
	if err := s.Use(func([]byte) error { return called }); err != called {
		t.Fatalf("Use returned %v", err)
	}
	s.Destroy()
	if err := s.Use(func([]byte) error { return called }); err != ErrDestroyed {
		t.Fatalf("Use of a destroyed secret: %v", err)
	}
	if err := new(Secret).Use(func([]byte) error { return called }); err != ErrDestroyed {
		t.Fatalf("Use of a zero secret: %v", err)
	}
	new(Secret).Destroy()
	live := newSecret(t, a, 32)
	a.Destroy()
	a.Destroy()
	if err := live.Use(func([]byte) error { return called }); err != ErrDestroyed {
		t.Fatalf("Use after the arena's end: %v", err)
	}
	live.Destroy()
	if _, err := a.New(1); err != ErrDestroyed {
		t.Fatalf("New after the arena's end: %v", err)
	}
}

func TestDestroyWhileLent(t *testing.T) {
	a := newArena(t, 4096)
	s := newSecret(t, a, 64)
	err := s.Use(func(b []byte) error {
		fill(7)(b)
		s.Destroy()
		if b[0] != 7 {
			t.Error("the bytes were wiped under a borrower")
		}
		if err := s.Use(func([]byte) error { return nil }); err != ErrDestroyed {
			t.Errorf("a new Use after Destroy: %v", err)
		}
		if b[0] != 7 {
			t.Error("a refused Use wiped the bytes under a borrower")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := allZero(a.m.pages); err != nil {
		t.Fatal(err)
	}
	// A panicking borrower gives back too.
	s = newSecret(t, a, 64)
	func() {
		defer func() { recover() }()
		s.Use(func(b []byte) error { fill(7)(b); panic("borrower") })
	}()
	s.Destroy()
	if err := allZero(a.m.pages); err != nil {
		t.Fatal(err)
	}
}

func TestConcurrentUse(t *testing.T) {
	a := newArena(t, 64<<10)
	master := newSecret(t, a, 32)
	master.Use(fill(9))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				s, err := a.New(1 + rand.IntN(2000))
				if err != nil {
					t.Error(err)
					return
				}
				if err := s.Use(allZero); err != nil {
					t.Error(err)
				}
				s.Use(fill(0xff))
				err = master.Use(func(b []byte) error {
					if !bytes.Equal(b, bytes.Repeat([]byte{9}, 32)) {
						t.Error("the master key changed")
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
				wg.Go(s.Destroy)
				s.Destroy()
			}
		})
	}
	wg.Wait()
	master.Destroy()
	if err := allZero(a.m.pages); err != nil {
		t.Fatal(err)
	}
}

// A secret shows in nothing that prints, formats or marshals.
func TestSecretShowsNothing(t *testing.T) {
	a := newArena(t, 4096)
	s := newSecret(t, a, 32)
	s.Use(fill('Q'))
	type wrap struct {
		Name   string
		S      *Secret
		Copy   Secret
		inside *Secret
		value  Secret
		arena  *Arena
		Arena  *Arena
	}
	w := wrap{"w", s, *s, s, *s, a, a}
	leaks := func(out string) bool {
		return strings.Contains(out, "QQ") || strings.Contains(out, "81 81") || strings.Contains(out, "5151")
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%08.3f", "%c", "%U", "%z"} {
		for _, v := range []any{s, *s} {
			if out := fmt.Sprintf(verb, v); out != "[secret]" {
				t.Errorf("%s prints %s", verb, out)
			}
		}
		for _, v := range []any{w, &w, []any{s}, map[string]*Secret{"k": s}, a, struct{ a *Arena }{a}} {
			if out := fmt.Sprintf(verb, v); leaks(out) {
				t.Errorf("%s prints %s", verb, out)
			}
		}
	}
	if out := fmt.Sprint(s.String(), s.GoString()); out != "[secret] [secret]" && out != "[secret][secret]" {
		t.Error(out)
	}
	for _, v := range []any{s, *s, w} {
		if out, err := json.Marshal(v); err == nil {
			t.Errorf("json made %s", out)
		}
	}
	var out bytes.Buffer
	if err := gob.NewEncoder(&out).Encode(s); err == nil {
		t.Error("gob encoded a secret")
	}
	if _, err := s.MarshalText(); err == nil {
		t.Error("MarshalText returned no error")
	}
	if _, err := s.MarshalBinary(); err == nil {
		t.Error("MarshalBinary returned no error")
	}
	out.Reset()
	slog.New(slog.NewTextHandler(&out, nil)).Info("m", "s", s, "w", w)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "s", s, "w", w)
	if leaks(out.String()) {
		t.Error(out.String())
	}
	if reflect.TypeFor[Secret]().Comparable() {
		t.Error("secrets can be compared")
	}
}

func TestNewArenaErrors(t *testing.T) {
	for _, n := range []int{0, -1} {
		if a, err := NewArena(n); err == nil {
			a.Destroy()
			t.Errorf("an arena of %d bytes", n)
		}
	}
}

func TestNewAllocatesLittle(t *testing.T) {
	a := newArena(t, 4096)
	n := testing.AllocsPerRun(100, func() {
		s, err := a.New(32)
		if err != nil {
			t.Fatal(err)
		}
		s.Destroy()
	})
	if n > 1 {
		t.Errorf("New and Destroy allocate %v times, want once", n)
	}
}

func BenchmarkNewUseDestroy(b *testing.B) {
	a := newArena(b, 64<<10)
	for b.Loop() {
		s, err := a.New(200)
		if err != nil {
			b.Fatal(err)
		}
		s.Use(func(p []byte) error { p[0] = 1; return nil })
		s.Destroy()
	}
}

func BenchmarkErase(b *testing.B) {
	for b.Loop() {
		Erase(func() {})
	}
}
