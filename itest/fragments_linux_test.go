package itest

import (
	"crypto/hmac"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"filippo.io/edwards25519"
)

// fragments are 8-byte pieces of secrets, each also byte-swapped as hashes load
// words, and what they are of.
type fragments struct {
	pieces map[uint64]string
	marks  []uint64 // a bit for the lower 24 bits of each piece: sorts out nearly everything
}

func newFragments() *fragments {
	return &fragments{pieces: make(map[uint64]string), marks: make([]uint64, 1<<24/64)}
}

// add takes every aligned piece, and every one at an offset of 4: code copies words.
func (f *fragments) add(name string, secret []byte) {
	for i := 0; i+8 <= len(secret); i += 4 {
		f.addPiece(fmt.Sprintf("%s[%d:]", name, i), [8]byte(secret[i:]))
	}
}

// addText takes the pieces of a text of English words that span two of them: the
// lists of words lie in memory for everybody to see. Nor is a piece a secret that the
// program has in a text of its own.
func (f *fragments) addText(name, text string, program []byte) {
	spanning := newFragments()
	for i := 0; i+8 <= len(text); i++ {
		if piece := text[i:][:8]; strings.Contains(piece[1:7], " ") {
			spanning.put(piece, [8]byte([]byte(piece)))
		}
	}
	known := spanning.in(program)
	for _, piece := range spanning.pieces {
		if !slices.Contains(known, piece) {
			f.addPiece(name, [8]byte([]byte(piece)))
		}
	}
}

func (f *fragments) addPiece(name string, piece [8]byte) {
	f.put(name, piece)
	slices.Reverse(piece[:])
	f.put(name+" swapped", piece)
	f.put(name+" swapped by halves", [8]byte{piece[4], piece[5], piece[6], piece[7], piece[0], piece[1], piece[2], piece[3]})
}

func (f *fragments) put(name string, piece [8]byte) {
	v := binary.LittleEndian.Uint64(piece[:])
	if v == 0 {
		return // zeros are everywhere
	}
	f.pieces[v] = name
	f.marks[v&(1<<24-1)/64] |= 1 << (v % 64)
}

// addHMAC adds a key of HMAC, and what the pads make of it.
func (f *fragments) addHMAC(name string, key []byte) {
	f.add(name, key)
	for _, pad := range []byte{0x36, 0x5c} {
		padded := slices.Clone(key)
		for i := range padded {
			padded[i] ^= pad
		}
		f.add(fmt.Sprintf("%s ^ %#x", name, pad), padded)
	}
}

// addKey adds what an Ed25519 seed becomes (RFC 8032, section 5.1.5).
func (f *fragments) addKey(name string, seed []byte) {
	h := sha512.Sum512(seed)
	f.add(name, seed)
	f.add(name+": hashed", h[:32])
	f.add(name+": prefix", h[32:])
	clamped := slices.Clone(h[:32])
	clamped[0] &= 248
	clamped[31] = clamped[31]&63 | 64
	f.add(name+": clamped", clamped)
	s, err := new(edwards25519.Scalar).SetBytesWithClamping(h[:32])
	if err != nil {
		panic(err)
	}
	f.add(name+": scalar", s.Bytes())
}

// addNonce adds the nonce of the signature of a message: with it, the signature
// gives the key away.
func (f *fragments) addNonce(name string, seed, message []byte) {
	h := sha512.Sum512(seed)
	digest := sha512.Sum512(append(slices.Clone(h[32:]), message...))
	r, err := new(edwards25519.Scalar).SetUniformBytes(digest[:])
	if err != nil {
		panic(err)
	}
	f.add(name+": digest", digest[:])
	f.add(name, r.Bytes())
}

// addPath adds every level of a derivation as SLIP-0010 says, and returns the last.
func (f *fragments) addPath(name string, seed []byte, path ...uint32) [64]byte {
	f.add(name, seed)
	key, data := []byte("ed25519 seed"), seed
	for i := 0; ; i++ {
		mac := hmac.New(sha512.New, key)
		mac.Write(data)
		sum := [64]byte(mac.Sum(nil))
		level := fmt.Sprintf("%s, level %d", name, i)
		f.addKey(level, sum[:32])
		f.addHMAC(level+": chain code", sum[32:])
		if i == len(path) {
			return sum
		}
		key, data = sum[32:], binary.BigEndian.AppendUint32(append([]byte{0}, sum[:32]...), path[i]|1<<31)
	}
}

// in returns what of the secrets is in b, at any offset.
func (f *fragments) in(b []byte) (found []string) {
	for i := 0; i+8 <= len(b); i++ {
		v := binary.LittleEndian.Uint64(b[i:])
		if f.marks[v&(1<<24-1)/64]&(1<<(v%64)) == 0 {
			continue
		}
		if name, ok := f.pieces[v]; ok {
			found = append(found, name)
		}
	}
	return found
}

// scan searches all of a process's memory that its kernel lets root read.
func scan(t *testing.T, pid int, secrets *fragments) (found []string) {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	var read int64
	buf := make([]byte, 1<<20)
	for line := range strings.Lines(string(maps)) {
		var from, to uint64
		var rights string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &rights); err != nil {
			t.Fatal(err)
		}
		// What cannot be written is the program.
		if !strings.HasPrefix(rights, "rw") || strings.Contains(line, "[vvar]") {
			continue
		}
		for at, to := int64(from), int64(to); at < to; {
			n, err := mem.ReadAt(buf[:min(int64(len(buf)), to-at)], at)
			if err != nil && err != io.EOF {
				// The arena of memfd_secret gives EIO. Everything else must be readable.
				if !strings.Contains(line, "secretmem") {
					t.Fatalf("%v: %s", err, line)
				}
				break
			}
			for _, name := range secrets.in(buf[:n]) {
				found = append(found, fmt.Sprintf("%s in %s", name, strings.TrimSpace(line)))
			}
			read += int64(n)
			if at += int64(n); at < to {
				at -= 7 // what lies across two parts
			}
		}
	}
	if read < 1<<20 {
		t.Fatalf("only %d bytes of process %d could be read", read, pid)
	}
	return found
}
