package primitive

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/tyler-smith/go-bip39"
	"github.com/tyler-smith/go-bip39/wordlists"
	"golang.org/x/text/unicode/norm"
)

type bip39Vector struct{ Language, Entropy, Mnemonic, Passphrase, Seed string }

var languages = []Language{English, Japanese}

func languageNamed(name string) Language {
	return languages[slices.IndexFunc(languages, func(l Language) bool { return l.String() == name })]
}

func bip39Vectors(t testing.TB) []bip39Vector {
	data, err := os.ReadFile("testdata/bip39.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []bip39Vector
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) < 48 {
		t.Fatalf("%d vectors", len(vectors))
	}
	return vectors
}

func TestBIP39Vectors(t *testing.T) {
	for i, tt := range bip39Vectors(t) {
		l := languageNamed(tt.Language)
		entropy := unhex(t, tt.Entropy)
		mnemonic, err := l.Mnemonic(make([]byte, 0, MaxMnemonicSize), entropy)
		if err != nil {
			t.Fatal(err)
		}
		if want := norm.NFKD.String(tt.Mnemonic); string(mnemonic) != want {
			t.Errorf("%d: mnemonic %q, want %q", i, mnemonic, want)
		}
		// As we write it, as the vector has it, and composed.
		for _, text := range [][]byte{mnemonic, []byte(tt.Mnemonic), norm.NFC.Bytes([]byte(tt.Mnemonic))} {
			back, err := l.Entropy(make([]byte, 0, MaxEntropySize), text)
			if err != nil || !bytes.Equal(back, entropy) {
				t.Errorf("%d: entropy of %q: %x %v", i, text, back, err)
			}
			var seed [64]byte
			scratch := make([]byte, MnemonicScratchSize(len(text), len(tt.Passphrase)))
			if err := MnemonicSeed(&seed, text, []byte(tt.Passphrase), scratch); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(seed[:], unhex(t, tt.Seed)) {
				t.Errorf("%d: seed %x", i, seed)
			}
			if !bytes.Equal(scratch, make([]byte, len(scratch))) {
				t.Errorf("%d: the scratch was left as it was", i)
			}
		}
	}
}

func TestBIP39LikeLibrary(t *testing.T) {
	defer bip39.SetWordList(wordlists.English)
	for _, l := range languages {
		list := map[Language][]string{English: wordlists.English, Japanese: wordlists.Japanese}[l]
		bip39.SetWordList(list)
		r := newRand(t)
		for i := range cases(300) {
			entropy := randBytes(r, 16+i%5*4)
			want, err := bip39.NewMnemonic(entropy)
			if err != nil {
				t.Fatal(err)
			}
			got, err := l.Mnemonic(make([]byte, 0, MaxMnemonicSize), entropy)
			if err != nil || string(got) != want {
				t.Fatalf("%s %x: %q %v, want %q", l, entropy, got, err, want)
			}
			back, err := l.Entropy(make([]byte, 0, MaxEntropySize), got)
			if err != nil || !bytes.Equal(back, entropy) {
				t.Fatalf("%s %x: %x %v", l, entropy, back, err)
			}
			// A changed word passes if its checksum happens to fit, here as there.
			words := strings.Split(want, " ")
			words[r.Uint64()%uint64(len(words))] = list[r.Uint64()%2048]
			text := strings.Join(words, " ")
			_, wantErr := bip39.EntropyFromMnemonic(text)
			if _, err := l.Entropy(make([]byte, 0, MaxEntropySize), []byte(text)); (err == nil) != (wantErr == nil) {
				t.Fatalf("%s %q: %v, the library: %v", l, text, err, wantErr)
			}
		}
	}
}

// Each word of each list, at its place, no longer than wordSize.
func TestBIP39WordLists(t *testing.T) {
	for l, words := range map[Language][]string{English: wordlists.English, Japanese: wordlists.Japanese} {
		longest := 0
		for i, text := range words {
			var w, buf word
			text = norm.NFKD.String(text)
			longest = max(longest, len(text))
			l.list().read(&w, uint32(i))
			index, ok := l.list().find(&w)
			if !ok || index != uint32(i) {
				t.Errorf("%s: word %d found at %d %v", l, i, index, ok)
			}
			if w == buf {
				t.Errorf("%s: word %d is empty", l, i)
			}
		}
		if longest > wordSize {
			t.Errorf("%s: word of %d bytes", l, longest)
		}
	}
}

func TestBIP39Errors(t *testing.T) {
	const good = "legal winner thank year wave sausage worth useful legal winner thank yellow"
	word := func(n int) error { return &WordError{n} }
	for _, tt := range []struct {
		name, text string
		want       error
	}{
		{"good", good, nil},
		{"ideographic space", strings.ReplaceAll(good, " ", "\u3000"), nil},
		{"empty", "", errWordCount},
		{"one word", "legal", errWordCount},
		{"11 words", strings.TrimSuffix(good, " yellow"), errWordCount},
		{"13 words", good + " yellow", errWordCount},
		{"25 words", good + " " + good + " zoo", errWordCount},
		{"27 words", good + " " + good + " zoo zoo zoo", errWordCount},
		{"space before", " " + good, errWordCount},
		{"space after", good + " ", errWordCount},
		{"two spaces", strings.Replace(good, " ", "  ", 1), errWordCount},
		{"tab", strings.Replace(good, " ", "\t", 1), word(1)},
		{"upper case", strings.Replace(good, "winner", "Winner", 1), word(2)},
		{"prefix of a word", strings.Replace(good, "wave", "wav", 1), word(5)},
		{"word with a zero byte", strings.Replace(good, "wave", "wave\x00", 1), word(5)},
		{"long word", strings.Replace(good, "wave", strings.Repeat("w", 100), 1), word(5)},
		{"no text", strings.Replace(good, "wave", "wa\xff", 1), word(5)},
		{"checksum", strings.Replace(good, "yellow", "zoo", 1), errChecksum},
		{"swapped", strings.Replace(good, "legal winner", "winner legal", 1), errChecksum},
	} {
		_, err := English.Entropy(make([]byte, 0, MaxEntropySize), []byte(tt.text))
		var wordErr, wantWord *WordError
		if errors.As(tt.want, &wantWord) {
			if !errors.As(err, &wordErr) || *wordErr != *wantWord {
				t.Errorf("%s: %v", tt.name, err)
			}
		} else if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	for n := range 40 {
		_, err := English.Mnemonic(make([]byte, 0, MaxMnemonicSize), make([]byte, n))
		if ok := n >= 16 && n <= 32 && n%4 == 0; ok != (err == nil) {
			t.Errorf("entropy of %d bytes: %v", n, err)
		}
	}
	if err := MnemonicSeed(new([64]byte), []byte("a\xff"), nil, make([]byte, 100)); !errors.Is(err, errNotUTF8) {
		t.Error(err)
	}
	for n := range len(good) + 8 + 2 {
		if err := MnemonicSeed(new([64]byte), []byte(good), []byte("ab"), make([]byte, n)); !errors.Is(err, errScratch) {
			t.Fatalf("scratch of %d bytes: %v", n, err)
		}
	}
	mustPanic(t, "no room for the mnemonic", func() { English.Mnemonic(make([]byte, 0, 40), make([]byte, 16)) })
	mustPanic(t, "no room for the entropy", func() { English.Entropy(make([]byte, 0, 15), []byte(good)) })
	mustPanic(t, "unknown language", func() { Language(0).Mnemonic(nil, nil) })
}

func TestBIP39Allocations(t *testing.T) {
	for _, l := range languages {
		noAllocs(t, l.String(), func() {
			var entropy [32]byte
			var text [MaxMnemonicSize]byte
			var back [MaxEntropySize]byte
			mnemonic, err := l.Mnemonic(text[:0], entropy[:])
			if err != nil {
				panic(err)
			}
			if _, err := l.Entropy(back[:0], mnemonic); err != nil {
				panic(err)
			}
		})
	}
	noAllocs(t, "seed", func() {
		var text, scratch [2000]byte
		var seed [64]byte
		n := copy(text[:], "あいこくしん　がガ각 ㍍")
		if err := MnemonicSeed(&seed, text[:n], text[:n], scratch[:]); err != nil {
			panic(err)
		}
	})
}

// What is accepted is, after normalization, what Mnemonic writes for it.
func FuzzMnemonic(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, l := range languages {
			entropy, err := l.Entropy(make([]byte, 0, MaxEntropySize), text)
			if err != nil {
				continue
			}
			back, err := l.Mnemonic(make([]byte, 0, MaxMnemonicSize), entropy)
			if err != nil || !bytes.Equal(back, norm.NFKD.Bytes(text)) {
				t.Errorf("%s: %q was read as %q", l, text, back)
			}
		}
	})
}

func BenchmarkMnemonicFromEntropy(b *testing.B) {
	entropy := make([]byte, 32)
	text := make([]byte, 0, MaxMnemonicSize)
	for b.Loop() {
		if _, err := English.Mnemonic(text, entropy); err != nil {
			b.Fatal(err)
		}
	}
}
