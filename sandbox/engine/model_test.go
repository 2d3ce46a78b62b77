package engine

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/vault"
)

var long = flag.Bool("long", false, "run the model test for millions of operations")

// model is what a client must be to whoever asks: plain maps. Which bytes a
// record has is not known before they are seen: a record is the number of what
// made it.
type model struct {
	records map[string]uint64 // by vault/record or vault/@n; with disabled, if it is
	next    map[string]uint64 // by vault
	keep    map[string]uint64
	vaults  map[string]bool
	store   map[string]string
}

const disabled = 1 << 63

func newModel() *model {
	return &model{map[string]uint64{}, map[string]uint64{}, map[string]uint64{}, map[string]bool{}, map[string]string{}}
}

func (m *model) clone() *model {
	return &model{maps.Clone(m.records), maps.Clone(m.next), maps.Clone(m.keep), maps.Clone(m.vaults), maps.Clone(m.store)}
}

// path is where a location lies, for reading or for writing; "" if nowhere.
func (m *model) path(l *protocol.Location, write bool) string {
	in := string(l.Vault)
	switch {
	case l.Version != nil:
		return fmt.Sprintf("%s/@%d", in, *l.Version)
	case l.Head && write:
		return fmt.Sprintf("%s/@%d", in, m.next[in])
	case l.Head && m.next[in] == 0:
		return ""
	case l.Head:
		return fmt.Sprintf("%s/@%d", in, m.next[in]-1)
	}
	return in + "/" + string(l.Record)
}

func (m *model) floor(in string) uint64 {
	if m.keep[in] == 0 || m.next[in] < m.keep[in] {
		return 0
	}
	return m.next[in] - m.keep[in]
}

func (m *model) prune(in string) {
	floor := m.floor(in)
	maps.DeleteFunc(m.records, func(path string, _ uint64) bool {
		number, is := strings.CutPrefix(path, in+"/@")
		n, err := strconv.ParseUint(number, 10, 64)
		return is && err == nil && n < floor
	})
}

func (m *model) put(l *protocol.Location, what uint64, overwrite bool) protocol.Status {
	in, path := string(l.Vault), m.path(l, true)
	var n uint64
	_, name, _ := strings.Cut(path, "/")
	_, err := fmt.Sscanf(name, "@%d", &n)
	if err == nil && n < m.floor(in) {
		return protocol.Status_INVALID
	}
	if _, there := m.records[path]; there && !overwrite {
		return protocol.Status_EXISTS
	}
	m.records[path], m.vaults[in] = what, true
	if err == nil {
		m.next[in] = max(m.next[in], n+1)
		m.prune(in)
	}
	return protocol.Status_OK
}

// do does what a request asks for. made numbers what it makes.
func (m *model) do(req *protocol.Request, made func() uint64) (status protocol.Status) {
	switch req.Operation {
	case "slip10.generate":
		return m.put(req.Location, made(), req.Overwrite)
	case "record.copy", "record.move":
		from := m.path(req.Location, false)
		what, there := m.records[from]
		switch {
		case !there:
			return protocol.Status_NOT_FOUND
		case what&disabled != 0:
			return protocol.Status_DISABLED
		case !req.Target.Head && from == m.path(req.Target, true):
			return protocol.Status_INVALID
		}
		status := m.put(req.Target, what, req.Overwrite)
		if status == protocol.Status_OK && req.Operation == "record.move" {
			delete(m.records, from)
		}
		return status
	case "record.revoke":
		path := m.path(req.Location, false)
		if _, there := m.records[path]; !there {
			return protocol.Status_NOT_FOUND
		}
		delete(m.records, path)
	case "record.disable", "record.enable":
		path := m.path(req.Location, false)
		what, there := m.records[path]
		if !there {
			return protocol.Status_NOT_FOUND
		}
		if what &^= disabled; req.Operation == "record.disable" {
			what |= disabled
		}
		m.records[path] = what
	case "vault.keep":
		in := string(req.Location.Vault)
		if !m.vaults[in] {
			return protocol.Status_NOT_FOUND
		}
		m.keep[in] = req.GetKeep()
		m.prune(in)
	case "store.put":
		m.store[string(req.Location.Vault)] = string(req.Value)
	case "store.get":
		if _, there := m.store[string(req.Location.Vault)]; !there {
			return protocol.Status_NOT_FOUND
		}
	case "store.remove":
		if _, there := m.store[string(req.Location.Vault)]; !there {
			return protocol.Status_NOT_FOUND
		}
		delete(m.store, string(req.Location.Vault))
	case "pipeline.run":
		for _, step := range req.Steps {
			if status := m.do(step, made); status != protocol.Status_OK {
				return status // of a copy, which nobody will look at again
			}
		}
	}
	return protocol.Status_OK
}

// anyRequest is a random request for a client.
func anyRequest(r *rand.Rand, client []byte, inPipeline bool) *protocol.Request {
	spot := func() *protocol.Location {
		l := &protocol.Location{Client: client, Vault: []byte{"ab"[r.IntN(2)]}}
		switch n := r.IntN(8); {
		case n < 3:
			l.Record = []byte{"xyz"[n]}
		case n < 6:
			l.Head = true
		default:
			v := uint64(r.IntN(6))
			l.Version = &v
		}
		return l
	}
	key := &protocol.Location{Client: client, Vault: []byte{"kl"[r.IntN(2)]}}
	req := &protocol.Request{Id: protocol.NewID(), Overwrite: r.IntN(2) == 0}
	plain := func(op string, at *protocol.Location) *protocol.Request {
		return &protocol.Request{Id: req.Id, Operation: op, Location: at}
	}
	switch n := r.IntN(24); {
	case n >= 20: // half of these change nothing
		return plain([]string{"record.disable", "record.enable"}[n%2], spot())
	case n < 6:
		req.Operation, req.Location, req.Size = "slip10.generate", spot(), 16
	case n < 8:
		req.Operation, req.Location, req.Target = "record.copy", spot(), spot()
	case n < 9:
		req.Operation, req.Location, req.Target = "record.move", spot(), spot()
	case n < 12:
		return plain("record.revoke", spot())
	case n < 14:
		req = plain("store.put", key)
		req.Value = []byte(fmt.Sprint(r.Uint32()))
	case n < 15:
		return plain("store.remove", key)
	case n < 16:
		return plain("store.get", key)
	case n < 17 && !inPipeline:
		req = plain("vault.keep", &protocol.Location{Client: client, Vault: []byte{"ab"[r.IntN(2)]}})
		keep := uint64(r.IntN(4))
		req.Keep = &keep
	case !inPipeline:
		req = &protocol.Request{Id: protocol.NewID(), Operation: "pipeline.run"}
		put := plain("store.put", key) // one that always changes something
		put.Id, put.Value = protocol.NewID(), []byte("in a pipeline")
		for range 1 + r.IntN(3) {
			req.Steps = append(req.Steps, anyRequest(r, client, true))
		}
		req.Steps = slices.Insert(req.Steps, r.IntN(len(req.Steps)+1), put)
	default:
		return plain("record.revoke", spot())
	}
	return req
}

// disk stands for the node: it appends changes in their order, and tells the
// engine so; or loses some, or the engine, or writes the file anew.
type disk struct {
	t    *testing.T
	file []byte
	wake chan struct{}

	hasher *Engine
	gate   sync.RWMutex // held for reading by who asks, until his change waits
	engine *Engine

	mu      sync.Mutex
	waiting map[uint64]*written
	resting []*written // on changes, and have none
	next    uint64

	known     []string    // clients that are in the file for good
	unloading atomic.Bool // some client may be away

	aborts, deaths, torn, folds, loads, renames, nothings int
}

type written struct {
	seq   uint64
	entry []byte
	done  chan bool // whether it is on the disk
}

// ask asks, and says whether what was answered holds.
func (d *disk) ask(req *protocol.Request) (resp *protocol.Response, holds bool) {
	d.gate.RLock()
	resp, err := d.engine.Handle(context.Background(), req)
	if err != nil || resp.Status != protocol.Status_OK || resp.Change == nil {
		d.gate.RUnlock()
		return resp, err == nil
	}
	w := &written{resp.Change.Sequence, resp.Change.Entry, make(chan bool, 1)}
	d.mu.Lock()
	if len(w.entry) > 0 {
		d.waiting[w.seq] = w
	} else {
		d.resting = append(d.resting, w)
		d.nothings++
		d.rest()
	}
	d.mu.Unlock()
	d.gate.RUnlock()
	select {
	case d.wake <- struct{}{}:
	default:
	}
	return resp, <-w.done
}

// rest answers those that rest on what is on the disk. d.mu is held.
func (d *disk) rest() {
	d.resting = slices.DeleteFunc(d.resting, func(w *written) bool {
		if w.seq < d.next {
			w.done <- true
		}
		return w.seq < d.next
	})
}

// take takes the changes that can be written now.
func (d *disk) take() (batch []*written) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		w, ok := d.waiting[d.next+uint64(len(batch))]
		if !ok {
			return batch
		}
		delete(d.waiting, w.seq)
		batch = append(batch, w)
	}
}

// write makes what can be written durable.
func (d *disk) write() {
	batch := d.take()
	if len(batch) == 0 {
		return
	}
	var entries []byte
	for _, w := range batch {
		entries = append(entries, w.entry...)
	}
	d.file = append(d.file, inBatch(entries)...)
	ok(d.t, d.engine, &protocol.Request{Operation: "zone.commit", Sequence: d.next + uint64(len(batch)) - 1})
	d.mu.Lock()
	d.next += uint64(len(batch))
	d.rest()
	d.mu.Unlock()
	for _, w := range batch {
		w.done <- true
	}
}

// lose has nothing of what waits happen. The gate is closed.
func (d *disk) lose() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range d.waiting {
		w.done <- false
	}
	clear(d.waiting)
	for _, w := range d.resting {
		w.done <- false
	}
	d.resting = nil
}

func (d *disk) abort() {
	d.gate.Lock()
	defer d.gate.Unlock()
	ok(d.t, d.engine, &protocol.Request{Operation: "zone.abort", Sequence: d.next})
	d.lose()
	d.aborts++
}

// die ends the engine and opens the file in another, with what was just being
// written at its end, cut somewhere.
func (d *disk) die(r *rand.Rand) {
	d.gate.Lock()
	defer d.gate.Unlock()
	d.mu.Lock()
	if w := d.waiting[d.next]; w != nil && r.IntN(2) == 0 {
		batch := inBatch(w.entry)
		d.file = append(d.file, batch[:r.IntN(len(batch))]...)
		d.torn++
	}
	d.mu.Unlock()
	d.lose()
	d.deaths++
	var some []string
	for _, c := range d.known {
		if r.IntN(2) == 0 {
			some = append(some, c)
		}
	}
	d.unloading.Store(true)
	d.reopen(some...)
}

// reopen opens the file with these clients, or with all.
func (d *disk) reopen(some ...string) {
	arena := d.engine.arena
	d.engine.state.Close()
	e, err := New(arena)
	if err != nil {
		d.t.Fatal(err)
	}
	unlock := sealFor(d.t, e, &protocol.Request{Operation: "node.unlock"}, passphrase)
	req := &protocol.Request{Id: unlock.Id, Operation: "zone.open", AcceptOlder: true, Secret: unlock.Secret, Device: []byte("a device"), HashKey: d.hasher.inbox.public()}
	part := d.file[:min(PartSize, len(d.file))]
	req.Snapshot, req.More = part, len(part) < len(d.file)
	for _, c := range some {
		req.Within = append(req.Within, &protocol.Location{Client: []byte(c)})
	}
	resp := ok(d.t, d.hasher, &protocol.Request{Id: req.Id, Operation: "zone.hash", Job: handle(d.t, e, req).Job, Snapshot: part})
	resp = handle(d.t, e, &protocol.Request{Id: req.Id, Operation: "zone.hashed", Hashed: resp.Hashed})
	for resp.Wanted != nil {
		at := min(int(resp.Wanted.At), len(d.file))
		part = d.file[at:min(at+PartSize, len(d.file))]
		resp = ok(d.t, e, &protocol.Request{Operation: "zone.open", Snapshot: part, More: at+len(part) < len(d.file)})
	}
	want(d.t, resp, protocol.Status_OK)
	d.file = d.file[:resp.Length]
	d.engine, d.next = e, resp.Change.GetSequence()+1
}

// fold writes the file anew, while changes go on.
func (d *disk) fold() {
	var file []byte
	req := &protocol.Request{Operation: "zone.fold"}
	for {
		resp := ok(d.t, d.engine, req)
		file = append(file, resp.Snapshot...)
		if c := resp.Copied; c != nil {
			file = append(file, d.file[c.At:c.At+c.Bytes]...)
		}
		if !resp.More {
			break
		}
		req = &protocol.Request{Operation: "zone.fold", More: true, Snapshot: d.part(resp.Wanted)}
	}
	d.write()
	d.gate.Lock()
	defer d.gate.Unlock()
	d.write()
	if since := ok(d.t, d.engine, &protocol.Request{Operation: "zone.carry"}).Snapshot; len(since) > 0 {
		file = append(file, inBatch(since)...)
	}
	ok(d.t, d.engine, &protocol.Request{Operation: "zone.adopt"})
	d.file = file
	d.folds++
}

// part is what the engine wants of the file.
func (d *disk) part(wanted *protocol.Range) []byte {
	if wanted == nil {
		return nil
	}
	rest := d.file[min(int(wanted.At), len(d.file)):]
	return rest[:min(int(wanted.Bytes), len(rest))]
}

// load loads a client, or all of them.
func (d *disk) load(clients ...*protocol.Location) {
	req := &protocol.Request{Operation: "zone.load", Within: clients}
	for {
		resp := ok(d.t, d.engine, req)
		if resp.Wanted == nil {
			return
		}
		req = &protocol.Request{Operation: "zone.load", More: true, Snapshot: d.part(resp.Wanted)}
	}
}

// rename gives a client that is loaded another path.
func (d *disk) rename(from, to *protocol.Location) {
	change := ok(d.t, d.engine, &protocol.Request{Operation: "client.load", Location: from, Target: to}).Change
	d.file = append(d.file, inBatch(change.Entry)...)
	d.next = change.Sequence + 1
	ok(d.t, d.engine, &protocol.Request{Operation: "zone.commit", Sequence: change.Sequence})
	d.renames++
}

// shuffle loads a client or unloads it; or it is known by another path for a while.
func (d *disk) shuffle(r *rand.Rand) {
	d.gate.Lock()
	defer d.gate.Unlock()
	d.write()
	list := ok(d.t, d.engine, &protocol.Request{Operation: "client.list"}).Clients
	d.known = nil
	for _, c := range list {
		d.known = append(d.known, string(c.Location.Client))
	}
	if len(list) == 0 {
		return
	}
	c := list[r.IntN(len(list))]
	elsewhere := &protocol.Location{Client: []byte("elsewhere")}
	switch {
	case c.Unloaded:
		d.load(c.Location)
		d.loads++
	case r.IntN(4) == 0:
		d.rename(c.Location, elsewhere)
		if r.IntN(2) == 0 {
			ok(d.t, d.engine, &protocol.Request{Operation: "client.unload", Location: elsewhere})
			d.load(elsewhere)
		}
		d.rename(elsewhere, c.Location)
	default:
		d.unloading.Store(true)
		ok(d.t, d.engine, &protocol.Request{Operation: "client.unload", Location: c.Location})
	}
}

// holds is what an engine holds, by path.
func holds(t *testing.T, e *Engine) map[string]string {
	t.Helper()
	all := map[string]string{}
	for after := (vault.Cursor{}); ; {
		page, err := e.state.DB.List(&vault.Query{After: after, Limit: 500})
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range page.Records {
			if err := e.state.DB.LendRecord(l.Record, l.Place.Client, l.Place.Vault, func(b []byte) error {
				all[location(l.Place).Text()] = string(b)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if l.Record.Flags&vault.Disabled != 0 {
				all["disabled "+location(l.Place).Text()] = ""
			}
		}
		if after = page.Next; !page.More {
			break
		}
	}
	for _, c := range e.state.DB.Freeze().Clients {
		_, items := c.Items()
		for it := range items {
			all[fmt.Sprintf("store %x/%s", c.ID, it.Key)] = string(it.Value)
		}
	}
	return all
}

// Random operations by many at once, while changes are lost, the zone dies and
// the file is written anew: each client is at all times what plain maps would
// be, in memory and in the file.
func TestModel(t *testing.T) {
	const workers = 8
	operations := int64(100_000)
	switch {
	case *long:
		operations = 5_000_000
	case raceDetector:
		operations = 4_000
	case testing.Short():
		operations = 40_000
	}
	e, file := opened(t)
	d := &disk{t: t, file: file, engine: e, hasher: newEngine(t), waiting: map[uint64]*written{}, next: 1, wake: make(chan struct{}, 1)}
	var done, rounds atomic.Int64
	defer func() {
		if t.Failed() {
			t.Logf("found after %d steps", done.Load())
		}
	}()
	var numbers atomic.Uint64
	made := func() uint64 { return numbers.Add(1) }
	models := make([]*model, workers)
	var asking sync.WaitGroup
	for w := range workers {
		models[w] = newModel()
		asking.Go(func() {
			client := fmt.Appendf(nil, "client %d", w)
			r := rand.New(rand.NewPCG(uint64(w), 7))
			for (done.Add(1) <= operations || rounds.Load() < operations/100) && !t.Failed() {
				runtime.Gosched() // what is refused waits for nobody, and keeps nobody waiting
				req := anyRequest(r, client, false)
				after := models[w].clone()
				want := after.do(req, made)
				resp, holds := d.ask(req)
				if resp.GetStatus() == protocol.Status_NOT_LOADED && d.unloading.Load() {
					continue // nothing was done
				}
				if resp.GetStatus() != want {
					t.Errorf("%s: %v, want %s\n%v\n%+v", req.Operation, resp, want.Code(), req, *models[w])
					return
				}
				if req.Operation == "store.get" && string(resp.Value) != models[w].store[string(req.Location.Vault)] {
					t.Errorf("the value is %q, want %q", resp.Value, models[w].store[string(req.Location.Vault)])
				}
				if want == protocol.Status_OK && holds {
					models[w] = after
				}
			}
		})
	}
	finished := make(chan struct{})
	go func() { asking.Wait(); close(finished) }()
	r := rand.New(rand.NewPCG(3, 9))
	for running := true; running; {
		select {
		case <-d.wake:
		case <-finished:
			running = false
		}
		for range r.IntN(16) { // so that others stage on what is not written yet
			runtime.Gosched()
		}
		rounds.Add(1)
		switch n := r.IntN(400); {
		case n < 40:
			d.abort()
		case n < 52:
			d.die(r)
		case n < 66:
			d.fold()
		case n < 150:
			d.shuffle(r)
		default:
			d.write()
		}
	}
	if t.Failed() {
		return
	}

	// In memory, in the file as it is, and in one that is written anew.
	is := map[uint64]string{} // what each record that was made turned out to be
	check := func(what string) {
		t.Helper()
		got, n := holds(t, d.engine), 0
		for w, m := range models {
			client := fmt.Sprintf("client %d", w)
			for path, made := range m.records {
				at := &protocol.Location{Client: []byte(client)}
				in, name, _ := strings.Cut(path, "/")
				at.Vault = []byte(in)
				var v uint64
				if _, err := fmt.Sscanf(name, "@%d", &v); err == nil {
					at.Version = &v
				} else {
					at.Record = []byte(name)
				}
				if made&disabled != 0 {
					made &^= disabled
					if _, is := got["disabled "+at.Text()]; !is {
						t.Errorf("%s: %s is not disabled", what, at.Text())
					}
					n++
				}
				secret, there := got[at.Text()]
				if !there || is[made] != "" && is[made] != secret {
					t.Errorf("%s: %s is there %v, and not what was made", what, at.Text(), there)
				}
				is[made] = secret
				n++
			}
			for key, value := range m.store {
				if got[fmt.Sprintf("store %x/%s", vault.ClientID([]byte(client)), key)] != value {
					t.Errorf("%s: the value at %s/%s is another", what, client, key)
				}
				n++
			}
			for in := range m.vaults {
				at := &protocol.Location{Client: []byte(client), Vault: []byte(in)}
				if v := ok(t, d.engine, &protocol.Request{Operation: "vault.stat", Location: at}).Vault; v.Keep != m.keep[in] || v.NextVersion != m.next[in] {
					t.Errorf("%s: %s: %v, want %d and %d", what, at.Text(), v, m.keep[in], m.next[in])
				}
			}
		}
		if n != len(got) {
			t.Errorf("%s: it holds %d, want %d", what, len(got), n)
		}
	}
	d.load()
	check("in memory")
	d.reopen()
	check("from the file")
	d.fold()
	d.reopen()
	check("from a fresh file")
	for _, c := range ok(t, d.engine, &protocol.Request{Operation: "client.list"}).Clients {
		ok(t, d.engine, &protocol.Request{Operation: "client.unload", Location: c.Location})
	}
	d.fold()
	d.load()
	check("from a file that was copied")
	secrets := map[string]bool{}
	for _, secret := range is {
		secrets[secret] = true
	}
	if len(secrets) != len(is) {
		t.Errorf("%d records hold %d secrets", len(is), len(secrets))
	}
	if !raceDetector && (d.aborts == 0 || d.deaths == 0 || d.torn == 0 || d.folds == 0 || d.loads == 0 || d.renames == 0 || d.nothings == 0) {
		t.Errorf("%d aborts, %d deaths, %d in the middle of a write, %d folds, %d loads, %d renames, %d changes of nothing", d.aborts, d.deaths, d.torn, d.folds, d.loads, d.renames, d.nothings)
	}
	t.Logf("%d operations, %d aborts, %d deaths, %d folds, %d loads, %d renames, %d changes of nothing", operations, d.aborts, d.deaths, d.folds, d.loads, d.renames, d.nothings)
}
