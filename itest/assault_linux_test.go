package itest

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/text/unicode/norm"

	"github.com/stronghold-go/stronghold/protocol"
)

// assaultVariable has this program be an attacker, whichever tests it would run.
const assaultVariable = "ITEST_ASSAULT"

func init() {
	if spec := os.Getenv(assaultVariable); spec != "" {
		os.Exit(assaultMain(spec))
	}
}

// assaultMain is the life of an attacker. It ends with its stdin.
func assaultMain(spec string) int {
	a := new(attacker)
	if err := json.Unmarshal([]byte(spec), &a.assault); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	if err := a.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "the attacker:", err)
		return 1
	}
	return 0
}

// attacker is that process.
type attacker struct {
	assault
	zone   []byte // its key
	next   atomic.Int64
	sent   atomic.Int64
	mu     sync.Mutex
	result tally
}

func (a *attacker) run(ctx context.Context) error {
	host, err := rawHost(a.Key)
	if err != nil {
		return err
	}
	defer host.Close()
	g := &guest{host: host, addr: a.Addr}
	kind, ok := assaultKinds[a.Kind]
	if !ok {
		return fmt.Errorf("no assault %q", a.Kind)
	}
	var clients []protocol.Client
	for range max(a.Streams, 1) {
		s, err := g.stream(ctx)
		if err != nil {
			return err
		}
		if kind.deaf {
			go func() { // what is written to the stream is never read
				<-ctx.Done()
				s.Reset()
			}()
			clients = append(clients, protocol.Client{H: deaf{s}})
			continue
		}
		clients = append(clients, protocol.Client{H: protocol.NewConn(s)})
	}
	if kind.sealed {
		reader := protocol.Client{H: protocol.NewConn(must(g.stream(ctx)))}
		resp, err := reader.Do(ctx, &protocol.Request{Operation: "zone.key", Location: at("inbox/a/b")})
		if err != nil {
			return err
		}
		a.zone = resp.PublicKey
	}
	if kind.before != nil {
		if err := kind.before(ctx, clients[0]); err != nil {
			return err
		}
	}
	a.result.Statuses = map[string]int64{}
	if a.Aside {
		if err := stepBack(); err != nil {
			return err
		}
	}
	fmt.Println("begun")
	var all sync.WaitGroup
	for _, c := range clients {
		for range max(a.InFlight, 1) {
			all.Go(func() {
				for ctx.Err() == nil && a.ask(ctx, c, kind.request) {
				}
			})
		}
	}
	all.Wait()
	if a.Count > 0 {
		<-ctx.Done() // the connection stays, until he is told to go
	}
	a.result.Sent = a.sent.Load()
	return json.NewEncoder(os.Stdout).Encode(a.result)
}

// stepBack leaves the processors to the node: where it matters how long others wait, an
// attacker stands for another machine. Where
// Linux groups processes by session, only what a whole session has counts beside others.
func stepBack() error {
	os.WriteFile("/proc/self/autogroup", []byte("19"), 0) // where there is one
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, thread := range threads {
		if id, err := strconv.Atoi(thread.Name()); err == nil { // those that follow inherit it
			if err := unix.SchedSetAttr(id, &unix.SchedAttr{Policy: unix.SCHED_IDLE, Nice: 19}, 0); err != nil && err != unix.ESRCH {
				return fmt.Errorf("leaving the processors to others: %w", err)
			}
		}
	}
	return nil
}

// ask sends a request, and reports whether there is to be another one.
func (a *attacker) ask(ctx context.Context, c protocol.Client, request func(*attacker, int) *protocol.Request) bool {
	n := a.next.Add(1) - 1
	if a.Count > 0 && n >= a.Count {
		return false
	}
	req := request(a, int(n))
	req.TimeoutMs = a.TimeoutMs
	a.sent.Add(1)
	limited, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	resp, err := c.H.Handle(limited, req)
	if ctx.Err() != nil {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.result.Failed = err.Error()
		a.result.Statuses["none"]++
		return limited.Err() != nil
	}
	a.result.Answered++
	a.result.Statuses[resp.Status.Code()]++
	return true
}

// deaf writes requests and reads nothing.
type deaf struct{ io.Writer }

func (d deaf) Handle(_ context.Context, req *protocol.Request) (*protocol.Response, error) {
	b, err := protocol.AppendFrame(nil, &protocol.Frame{Id: binary.BigEndian.Uint64(req.Id), Body: &protocol.Frame_Request{Request: req}})
	if err == nil {
		_, err = d.Write(b)
	}
	return &protocol.Response{Status: protocol.Status_OK}, err
}

// An assaultKind is something that a peer may ask for, again and again.
type assaultKind struct {
	sealed  bool // it brings secrets
	deaf    bool // nobody reads the answers
	before  func(context.Context, protocol.Client) error
	request func(a *attacker, n int) *protocol.Request
}

const abandon = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"

var assaultKinds = map[string]assaultKind{
	"sign": {before: makeMine, request: func(*attacker, int) *protocol.Request {
		return ask("ed25519.sign", "inbox/keys/mine", func(r *protocol.Request) { r.Message = []byte("m") })
	}},
	"generate": {request: func(_ *attacker, n int) *protocol.Request {
		return ask("key.generate", fmt.Sprintf("inbox/keys/%d", n%1000), func(r *protocol.Request) { r.Kind, r.Overwrite = protocol.Ed25519, true })
	}},
	"put": {request: func(_ *attacker, n int) *protocol.Request {
		return ask("store.put", fmt.Sprintf("inbox/%d", n%1000), func(r *protocol.Request) { r.Value = make([]byte, 3500) })
	}},
	"get":     {before: putBig, request: func(*attacker, int) *protocol.Request { return ask("store.get", "inbox/big", nil) }},
	"unread":  {deaf: true, before: putBig, request: func(*attacker, int) *protocol.Request { return ask("store.get", "inbox/big", nil) }},
	"recover": {sealed: true, request: func(a *attacker, n int) *protocol.Request { return a.recover(n%1000, nil) }},
	"marks":   {sealed: true, request: func(a *attacker, n int) *protocol.Request { return a.recover(n%1000, marks()) }},
	"inputs": {sealed: true, request: func(a *attacker, n int) *protocol.Request {
		r := &protocol.Request{Id: protocol.NewID(), Operation: "pipeline.run"}
		for i := range 64 {
			step := ask("key.import", fmt.Sprintf("inbox/keys/%d", i), func(r *protocol.Request) { r.Kind, r.Overwrite = protocol.Ed25519, true })
			step.Secret = a.seal(step, "secret", bytes.Repeat([]byte{byte(n + 1)}, 32))
			r.Steps = append(r.Steps, step)
		}
		return r
	}},
	"pipeline": {sealed: true, request: func(a *attacker, n int) *protocol.Request {
		r := &protocol.Request{Id: protocol.NewID(), Operation: "pipeline.run"}
		for i := range 64 {
			r.Steps = append(r.Steps, a.recover(n*64+i, nil))
		}
		return r
	}},
	"frames": {request: func(_ *attacker, n int) *protocol.Request { // nearly as long as a frame may be
		r := &protocol.Request{Id: protocol.NewID(), Operation: "pipeline.run"}
		for i := range 14 {
			r.Steps = append(r.Steps, ask("store.put", fmt.Sprintf("inbox/%d", i), func(r *protocol.Request) { r.Value = make([]byte, 64<<10) }))
		}
		return r
	}},
	"list": {request: func(*attacker, int) *protocol.Request {
		return &protocol.Request{Id: protocol.NewID(), Operation: "record.list"}
	}},
	"denied": {request: func(*attacker, int) *protocol.Request {
		return ask("ed25519.sign", "wallet/keys/main", func(r *protocol.Request) { r.Message = []byte("m") })
	}},
	"clients": {request: func(_ *attacker, n int) *protocol.Request {
		return ask("store.put", fmt.Sprintf("inbox-%d/key", n), func(r *protocol.Request) { r.Value = []byte("v") })
	}},
	"tombstones": {request: func(_ *attacker, n int) *protocol.Request {
		r := &protocol.Request{Id: protocol.NewID(), Operation: "pipeline.run"}
		for i := range 32 {
			loc := fmt.Sprintf("inbox/t/%d", n*32+i)
			r.Steps = append(r.Steps, ask("key.generate", loc, func(r *protocol.Request) { r.Kind = protocol.Ed25519 }), ask("record.revoke", loc, nil))
		}
		return r
	}},
}

func ask(operation, loc string, more func(*protocol.Request)) *protocol.Request {
	r := &protocol.Request{Id: protocol.NewID(), Operation: operation, Location: at(loc)}
	if more != nil {
		more(r)
	}
	return r
}

func makeMine(ctx context.Context, c protocol.Client) error {
	_, err := c.GenerateKey(ctx, at("inbox/keys/mine"), protocol.Ed25519, true)
	return err
}

func putBig(ctx context.Context, c protocol.Client) error {
	if d, ok := c.H.(deaf); ok { // which gives no answer, and the next requests come after it
		_, err := d.Handle(ctx, ask("store.put", "inbox/big", func(r *protocol.Request) { r.Value = make([]byte, 64<<10) }))
		return err
	}
	_, err := c.Do(ctx, ask("store.put", "inbox/big", func(r *protocol.Request) { r.Value = make([]byte, 64<<10) }))
	return err
}

func (a *attacker) seal(r *protocol.Request, field string, plain []byte) []byte {
	return must(protocol.Seal(a.zone, r, field, protocol.ToZone, plain))
}

// recover takes in a mnemonic, which costs 2048 rounds of a hash, and the square of what
// combines in the passphrase.
func (a *attacker) recover(n int, passphrase []byte) *protocol.Request {
	r := ask("bip39.recover", fmt.Sprintf("inbox/m/%d", n), func(r *protocol.Request) { r.Overwrite = true })
	r.Secret = a.seal(r, "secret", []byte(abandon))
	if passphrase != nil {
		r.Passphrase = a.seal(r, "passphrase", passphrase)
	}
	return r
}

// marks is a passphrase that takes long to normalise: its combining marks stand in the
// wrong order, so that each moves past all before it.
var marks = sync.OnceValue(func() []byte {
	byClass := map[uint8]string{}
	for r := rune(0x300); r < 0x800; r++ {
		p := norm.NFKD.PropertiesString(string(r))
		if class := p.CCC(); class != 0 && p.Decomposition() == nil {
			byClass[class] = string(r)
		}
	}
	var run strings.Builder
	run.WriteString("a")
	const all = 1023 // of two bytes each, and twice the run is as long as a passphrase may be
	left, classes := all, len(byClass)
	for class := 255; class > 0; class-- {
		if mark := byClass[uint8(class)]; mark != "" {
			n := left / classes
			run.WriteString(strings.Repeat(mark, n))
			left, classes = left-n, classes-1
		}
	}
	return []byte(strings.Repeat(run.String(), 2))[:4094]
})

// must is for an attacker, who ends where something is not as it should be.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
