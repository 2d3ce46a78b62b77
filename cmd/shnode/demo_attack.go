package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/stronghold-go/stronghold/node/control"
	"github.com/stronghold-go/stronghold/protocol"
)

const (
	attackQuiet   = 2 * time.Second // that honest peers sign undisturbed
	attackTime    = 5 * time.Second // and attacked
	attackAtOnce  = 8               // requests of each attacker
	attackSealed  = 64              // requests that bring secrets, made before: to seal takes this machine's time, and no node's
	attackMade    = 20              // of so many requests of an honest peer one makes a key
	attackWords   = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"
	attackMine    = "inbox/keys/moe"
	demoAttackFor = `[[allow]]
peers = ["alice", "bob"]
ops   = ["ed25519.sign", "key.generate"]
on    = ["demo/keys/**"]

[[allow]]
peers = ["mallory", "mike", "moe"]
ops   = ["write"]
on    = ["inbox/**"]
`
)

// attackResult is `demo --attack --json`.
type attackResult struct {
	Attackers    []attackerResult `json:"attackers"`
	Honest       []honestResult   `json:"honest"`
	Acknowledged int              `json:"acknowledged"` // keys that the honest were told are made
	Kept         bool             `json:"kept"`         // all of them were there when the node was locked and unlocked
	Seconds      float64          `json:"seconds"`
}

// attackerResult is what an attacker got.
type attackerResult struct {
	Name     string `json:"name"`
	Does     string `json:"does"`
	Requests int    `json:"requests"`
	Done     int    `json:"done"`
	Refused  int    `json:"refused"` // by the policy
	Limited  int    `json:"limited"` // since he asks for too much at a time
	Other    int    `json:"other"`   // not done: nobody waited for it any more, or it was not understood
}

// honestResult is what an honest peer noticed: how long he waited, in milliseconds.
type honestResult struct {
	Name      string  `json:"name"`
	Requests  int     `json:"requests"` // while attacked
	QuietP50  float64 `json:"quiet_p50_ms"`
	QuietP99  float64 `json:"quiet_p99_ms"`
	AttackP50 float64 `json:"attack_p50_ms"`
	AttackP99 float64 `json:"attack_p99_ms"`
}

// siege is the nodes of `demo --attack`: one that is attacked, and its peers.
type siege struct {
	*demo
	house  *actor
	honest []*actor
	result attackResult

	mu           sync.Mutex
	acknowledged []*protocol.Location
}

func (a *app) demoAttack(ctx context.Context) (err error) {
	started := time.Now()
	dir, err := os.MkdirTemp("", "shnode-demo-")
	if err != nil {
		return err
	}
	s := &siege{demo: &demo{app: a, dir: dir}}
	defer func() { err = errors.Join(err, s.end()) }()
	if err := s.play(ctx); err != nil {
		return err
	}
	if err := s.end(); err != nil {
		return err
	}
	r := &s.result
	r.Seconds = time.Since(started).Round(time.Millisecond).Seconds()
	s.tell("all nodes are stopped and their homes removed, after %.1f s", r.Seconds)
	if a.json {
		if err := a.printJSON(r); err != nil {
			return err
		}
	}
	if !r.Kept {
		if a.json {
			return answeredNo(exitFailed)
		}
		return failed("failed", "something that was acknowledged is not there", "please report what the demo printed")
	}
	if !a.json {
		fmt.Fprintf(a.stdout, "ok: %d acknowledged changes are kept\n", r.Acknowledged)
	}
	return nil
}

func (s *siege) play(ctx context.Context) error {
	s.house = s.enter("house")
	s.honest = []*actor{s.enter("alice"), s.enter("bob")}
	attackers := []*actor{s.enter("mallory"), s.enter("mike"), s.enter("moe")}
	if err := s.prepare(ctx, append(slices.Clone(s.honest), attackers...)); err != nil {
		return err
	}
	quiet, err := s.sign(ctx, attackQuiet)
	if err != nil {
		return err
	}
	attacked, cancel := context.WithCancel(ctx)
	defer cancel()
	s.result.Attackers = []attackerResult{
		{Name: "mallory", Does: "asks for signatures that he has no right to"},
		{Name: "mike", Does: "has mnemonics hashed, many at a time, and waits a millisecond for it"},
		{Name: "moe", Does: "disables and enables a key of his, in pairs, without pause"},
	}
	var all sync.WaitGroup
	errs := make([]error, len(attackers))
	for i, who := range attackers {
		all.Go(func() { errs[i] = s.attack(attacked, who, &s.result.Attackers[i]) })
	}
	under, err := s.sign(ctx, attackTime)
	cancel()
	all.Wait()
	if err := errors.Join(append(errs, err)...); err != nil {
		return err
	}
	for i := range s.result.Attackers {
		r := &s.result.Attackers[i]
		s.tell("%s %s: %d requests, %d done, %d refused by the policy, %d over a limit, %d not done since nobody waited", r.Name, r.Does,
			r.Requests, r.Done, r.Refused, r.Limited, r.Other)
	}
	for i, who := range s.honest {
		r := honestResult{who.name, len(under[i]), quantile(quiet[i], 0.5), quantile(quiet[i], 0.99), quantile(under[i], 0.5), quantile(under[i], 0.99)}
		s.result.Honest = append(s.result.Honest, r)
		s.tell("%s, who is honest, waited %.2f ms (p50) and %.2f ms (p99) when it was quiet, and %.2f and %.2f ms meanwhile", r.Name,
			r.QuietP50, r.QuietP99, r.AttackP50, r.AttackP99)
	}
	return s.reopen(ctx)
}

// enter makes an actor who is stopped in the end.
func (s *siege) enter(name string) *actor {
	w := newActor(s.dir, name)
	s.others = append(s.others, w)
	return w
}

// prepare starts all nodes, and has the house know its peers.
func (s *siege) prepare(ctx context.Context, peers []*actor) error {
	started := make(chan error, len(s.others))
	for _, who := range s.others {
		go func() { started <- who.start(ctx) }()
	}
	var errs []error
	for range s.others {
		errs = append(errs, <-started)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, who := range peers {
		if _, err := s.house.must(ctx, "peer", "add", who.name, who.id); err != nil {
			return err
		}
		if _, err := who.must(ctx, "peer", "add", "house", s.house.addr); err != nil {
			return err
		}
	}
	for _, loc := range []string{demoKey, attackMine} {
		if _, err := s.house.must(ctx, "key", "generate", loc, "--type", protocol.Ed25519); err != nil {
			return err
		}
	}
	policy := filepath.Join(s.dir, "policy.toml")
	if err := os.WriteFile(policy, []byte(demoAttackFor), 0o600); err != nil {
		return err
	}
	if _, err := s.house.must(ctx, "policy", "apply", policy); err != nil {
		return err
	}
	s.tell("%d nodes run on this machine: one that keeps keys, two honest peers of it, who sign, and three who are to break or block it;\n"+
		"its policy lets each of these write in a place of his own. All of them share this machine's processors.", len(s.others))
	return nil
}

// asks has an actor's node ask the house.
func (s *siege) asks(ctx context.Context, who *actor, timeout time.Duration) (protocol.Client, func() error, error) {
	conn, err := control.Dial(ctx, who.home)
	if err != nil {
		return protocol.Client{}, nil, err
	}
	return protocol.Client{H: asker{conn, "house", timeout}}, conn.Close, nil
}

// sign has the honest peers sign one after the other, and now and then make a key. It
// returns how long each signature took, in order.
func (s *siege) sign(ctx context.Context, d time.Duration) ([][]time.Duration, error) {
	loc, err := protocol.ParseLocation(demoKey)
	if err != nil {
		return nil, err
	}
	times, errs := make([][]time.Duration, len(s.honest)), make([]error, len(s.honest))
	var all sync.WaitGroup
	for i, who := range s.honest {
		all.Go(func() {
			c, close, err := s.asks(ctx, who, s.app.timeout)
			if err != nil {
				errs[i] = err
				return
			}
			defer close()
			for start, n := time.Now(), 1; errs[i] == nil && (n < 3 || time.Since(start) < d); n++ {
				begun := time.Now()
				if n%attackMade == 0 {
					errs[i] = s.make(ctx, c, who)
					continue
				}
				_, errs[i] = c.Sign(ctx, loc, []byte("once more"))
				times[i] = append(times[i], time.Since(begun))
			}
			slices.Sort(times[i])
		})
	}
	all.Wait()
	return times, errors.Join(errs...)
}

// make makes a key that must not be lost.
func (s *siege) make(ctx context.Context, c protocol.Client, who *actor) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	loc, err := protocol.ParseLocation("demo/keys/" + who.name + "-" + strconv.Itoa(len(s.acknowledged)))
	if err == nil {
		_, err = c.GenerateKey(ctx, loc, protocol.Ed25519, false)
	}
	if err == nil {
		s.acknowledged = append(s.acknowledged, loc)
	}
	return err
}

func quantile(sorted []time.Duration, q float64) float64 {
	return float64(sorted[int(q*float64(len(sorted)-1))].Microseconds()) / 1000
}

// attack has an attacker ask until ctx ends.
func (s *siege) attack(ctx context.Context, who *actor, r *attackerResult) error {
	patient, close, err := s.asks(ctx, who, s.app.timeout)
	if err != nil {
		return err
	}
	defer close()
	mine, err := protocol.ParseLocation(attackMine)
	if err != nil {
		return err
	}
	zone, err := patient.Do(ctx, &protocol.Request{Operation: "zone.key", Location: mine})
	if err != nil {
		return err
	}
	c := patient
	if who.name == "mike" {
		hasty, close, err := s.asks(ctx, who, time.Millisecond)
		if err != nil {
			return err
		}
		defer close()
		c = hasty
	}
	requests := make([]*protocol.Request, attackSealed)
	for n := range requests {
		if requests[n], err = attackRequest(who.name, n, zone.PublicKey); err != nil {
			return err
		}
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	for worker := range attackAtOnce {
		all.Go(func() {
			for n := worker; ctx.Err() == nil; n += attackAtOnce + 1 { // an odd step: each worker comes to all of them
				req := proto.CloneOf(requests[n%attackSealed])
				if who.name != "mike" { // whose requests are sealed for their ids
					req.Id = protocol.NewID()
				}
				_, err := c.Do(ctx, req)
				if ctx.Err() != nil {
					return
				}
				mu.Lock()
				r.count(err)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return nil
}

// count notes how a request was answered.
func (r *attackerResult) count(err error) {
	r.Requests++
	switch {
	case err == nil:
		r.Done++
	case errors.Is(err, protocol.ErrDenied):
		r.Refused++
	case errors.Is(err, protocol.ErrLimited):
		r.Limited++
	default:
		r.Other++
	}
}

func attackRequest(name string, n int, zone []byte) (*protocol.Request, error) {
	parse := func(text string) *protocol.Location {
		loc, err := protocol.ParseLocation(text)
		if err != nil {
			panic("shnode: internal error: " + err.Error())
		}
		return loc
	}
	switch name {
	case "mallory":
		return &protocol.Request{Operation: "ed25519.sign", Location: parse(demoKey), Message: []byte("mine")}, nil
	case "mike":
		req := &protocol.Request{Id: protocol.NewID(), Operation: "pipeline.run"}
		for i := range 16 {
			step := &protocol.Request{Id: protocol.NewID(), Operation: "bip39.recover", Location: parse("inbox/mike/" + strconv.Itoa(i)), Overwrite: true}
			var err error
			if step.Secret, err = protocol.Seal(zone, step, "secret", protocol.ToZone, []byte(attackWords)); err != nil {
				return nil, err
			}
			req.Steps = append(req.Steps, step)
		}
		return req, nil
	}
	operation := "record.disable"
	if n%2 == 0 {
		operation = "record.enable"
	}
	return &protocol.Request{Operation: operation, Location: parse(attackMine)}, nil
}

// reopen has the owner lock and unlock the house, and looks for what was acknowledged.
func (s *siege) reopen(ctx context.Context) error {
	if _, err := s.house.must(ctx, "lock"); err != nil {
		return err
	}
	if _, err := s.house.must(ctx, "unlock", "--passphrase-file", s.house.passphraseFile); err != nil {
		return err
	}
	conn, err := control.Dial(ctx, s.house.home)
	if err != nil {
		return err
	}
	defer conn.Close()
	c := protocol.Client{H: asker{conn, "", s.app.timeout}}
	var lost []string
	for _, loc := range s.acknowledged {
		if _, err := c.Sign(ctx, loc, []byte("there")); err != nil {
			lost = append(lost, loc.Text())
		}
	}
	s.result.Acknowledged, s.result.Kept = len(s.acknowledged), len(lost) == 0
	if s.result.Kept {
		s.tell("the owner locks the node and unlocks it: all %d keys that were acknowledged meanwhile are there", len(s.acknowledged))
	} else {
		s.tell("the owner locks the node and unlocks it: LOST are %s", strings.Join(lost, ", "))
	}
	return nil
}
