package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/awnumar/memguard"
	"github.com/spf13/cobra"

	"github.com/stronghold-go/stronghold/protocol"
)

func (a *app) execCommand() *cobra.Command {
	var out, pipeline string
	cmd := &cobra.Command{
		Use:   "exec OP [name=value ...] | exec --pipeline FILE",
		Short: "ask for any operation by its name, with the fields that `ops` tells",
		Long: `exec asks for one operation of ` + "`shnode ops`" + ` that may be asked by the user of this
machine, or with --peer by a peer. Each field that the operation takes is given
as name=value; a value that is - comes from stdin, @FILE from a file.

  text, numbers   as they are; yes-or-no fields are true or false
  locations       as everywhere: wallet/keys/main, wallet/keys/@head, wallet
  lists           their elements, with a comma between them
  bytes           as they are, or after hex: or base64:; a value that begins so
                  by itself is given in base64
  secrets         (secret, passphrase) only from @FILE, from -, or, where the
                  field is required and left out, typed at the terminal; they
                  are sealed to the zone here, byte by byte, but for the line
                  end after a passphrase or a mnemonic

What is answered is printed as name=value, bytes in base64. A secret answer is
sealed to a key that is made for it (reply_key) and opened here: it is shown on
the terminal, or written to the new file that --out names.

--pipeline FILE does several operations as one change: all of them, or none. FILE,
or stdin where it is -, has a step a line, written as after ` + "`shnode exec`" + `; a
value with spaces stands in '' or "", and a line that begins with # says nothing.
Each step sees what those before it have done; others see all of it, or nothing.
The answers come as 1.name=value, 2.name=value, or with --json as a list.`,
		Example: `  shnode exec ed25519.sign location=wallet/keys/main message=@letter.txt
  shnode exec record.exists location=wallet/keys/main --json
  shnode exec record.write location=wallet/notes/pin kind=data secret=@pin.bin
  shnode exec store.put location=wallet/nonce value=hex:00ff ttl_ms=60000
  shnode exec --pipeline - <<'END'
  slip10.generate location=wallet/seeds/once
  slip10.derive location=wallet/seeds/once target=wallet/keys/@head path="m/44'/4218'"
  record.revoke location=wallet/seeds/once
  END`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch given := cmd.Flags().Changed("pipeline"); {
			case given && len(args) > 0:
				return usage("a pipeline has its operations in its file", pipelineHint)
			case given && pipeline == "":
				return usage("--pipeline takes a file, or - for stdin", pipelineHint)
			case !given && len(args) == 0:
				return usage("`shnode exec` takes an operation", "`shnode ops` tells all of them")
			}
			return nil
		},
		Annotations: map[string]string{forPeers: "yes"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if pipeline != "" {
				if out != "" {
					return usage("--out is for operations with a secret answer", "a pipeline has none")
				}
				return a.pipeline(cmd.Context(), pipeline)
			}
			return a.exec(cmd.Context(), args[0], args[1:], out)
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "write a secret answer to this new file instead of the terminal")
	cmd.Flags().StringVar(&pipeline, "pipeline", "", "do the steps that this file has, or stdin with -, as one change")
	return cmd
}

func (a *app) exec(ctx context.Context, name string, args []string, out string) error {
	op, ok := protocol.Lookup(name)
	switch {
	case !ok:
		return usage(fmt.Sprintf("there is no operation %q", name), nearOperation(name))
	case op.Door < protocol.DoorLocal:
		return usage(name+" is not for anybody but the node itself", "`shnode ops` tells who may ask for what")
	case takesField(op, "steps"):
		return usage(name+" takes more than one line", "`shnode exec --pipeline FILE` does it")
	case provenBy[name] != "":
		return usage(name+" takes a proof, which exec does not make", "`shnode "+provenBy[name]+"` does")
	case takesField(op, "offset"):
		return usage(name+" goes in parts, which exec does not make", "`shnode "+strings.ReplaceAll(name, ".", " ")+"` does")
	case a.peer != "" && op.Door < protocol.DoorPeer:
		return usage(name+" cannot be asked of a peer", "only the user of the machine that a node runs on may ask it for that")
	}
	x := &execution{a: a, op: op, req: &protocol.Request{Id: protocol.NewID(), Operation: name}, secrets: map[string]*memguard.LockedBuffer{}}
	defer x.wipe()
	if err := x.fill(ctx, args); err != nil {
		return err
	}
	var to *reveal
	var err error
	if takesField(op, "reply_key") {
		if to, err = a.reveal("a secret", out); err != nil {
			return err
		}
		defer to.abandon()
	} else if out != "" {
		return usage("--out is for operations with a secret answer", "without it the answer goes to stdout")
	}
	if err := x.typeMissing(ctx); err != nil {
		return err
	}
	return a.ask(ctx, func(c protocol.Client) error { return x.run(ctx, c, to) })
}

// provenBy are the commands that ask for the passphrase and make the [protocol.Proof] of it
// that the operation takes.
var provenBy = map[string]string{
	"slot.add":        "snapshot slot add",
	"slot.remove":     "snapshot slot rm",
	"snapshot.export": "snapshot export",
	"snapshot.rekey":  "snapshot rekey",
}

// nearOperation is a hint for a name that no operation has.
func nearOperation(name string) string {
	best, near := 4, ""
	for i := range protocol.Operations {
		if d := distance(name, protocol.Operations[i].Name); d < best {
			best, near = d, protocol.Operations[i].Name
		}
	}
	if near == "" {
		return "`shnode ops` tells all of them"
	}
	return "did you mean " + near + "?"
}

// execution is one operation on its way.
type execution struct {
	a       *app
	op      *protocol.Operation
	req     *protocol.Request
	secrets map[string]*memguard.LockedBuffer // by the field that they are for
}

func (x *execution) wipe() {
	for _, s := range x.secrets {
		s.Destroy()
	}
}

// fill reads the fields that args give.
func (x *execution) fill(ctx context.Context, args []string) error {
	var given []string
	for _, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		switch {
		case !ok:
			return usage("a field is given as name=value", x.fields()) // not repeated: who knows what it is
		case name == "reply_key":
			return usage("reply_key is made here, for one answer", x.fields())
		case !takesField(x.op, name):
			return usage(fmt.Sprintf("%s has no field %q", x.op.Name, name), x.fields())
		case slices.Contains(given, name):
			return usage(name+" is given twice", "")
		}
		given = append(given, name)
		if err := x.set(ctx, name, value); err != nil {
			return err
		}
	}
	for _, f := range x.op.In {
		if f.Required && f.Name != "reply_key" && !slices.Contains(sealedFields, f.Name) && !slices.Contains(given, f.Name) {
			return usage(f.Name+" is missing", x.fields())
		}
	}
	return nil
}

// fields is a hint: what the operation takes.
func (x *execution) fields() string {
	var names []string
	for _, f := range x.op.In {
		switch {
		case f.Name == "reply_key":
		case f.Required:
			names = append(names, f.Name+"=")
		default:
			names = append(names, "["+f.Name+"=]")
		}
	}
	if len(names) == 0 {
		return x.op.Name + " takes no fields"
	}
	return x.op.Name + " takes " + strings.Join(names, " ")
}

func (x *execution) set(ctx context.Context, name, value string) error {
	if !slices.Contains(sealedFields, name) {
		return x.a.setField(ctx, x.req, name, value)
	}
	if value != "-" && !strings.HasPrefix(value, "@") {
		return usage(name+" is not taken from an argument, which others can see", "give it as "+name+"=@FILE, or "+name+"=- for stdin, or leave it out to be asked at the terminal")
	}
	b, err := x.a.read(ctx, name, value, protocol.MaxSecret)
	if err != nil {
		return err
	}
	return x.keep(name, b)
}

// keep locks a secret as it is meant: of what is text, what a person would type.
func (x *execution) keep(name string, b []byte) error {
	switch {
	case name == "passphrase": // a mnemonic's own
		b = asTyped(b)
		if err := typeable(b, false); err != nil {
			return err
		}
	case x.op.Name == "node.unlock":
		b = asTyped(b)
	case x.op.Name == "bip39.recover":
		words := oneSpace(b)
		clear(b)
		b = words
	}
	locked, err := lockSecret(b)
	if err == nil {
		x.secrets[name] = locked
	}
	return err
}

// typeMissing asks at the terminal for a secret that the operation needs.
func (x *execution) typeMissing(ctx context.Context) error {
	for _, f := range x.op.In {
		if !f.Required || x.secrets[f.Name] != nil || !slices.Contains(sealedFields, f.Name) {
			continue
		}
		b, err := readSecret(ctx, f.Name+":")
		if errors.Is(err, errNoTerminal) {
			return usage(f.Name+" is missing, and there is no terminal to ask for it", "give it as "+f.Name+"=@FILE, or "+f.Name+"=- for stdin")
		}
		if err != nil {
			return err
		}
		if err := x.keep(f.Name, b); err != nil {
			return err
		}
	}
	return nil
}

// seal seals what was given in secret, for the zone that answers.
func (x *execution) seal(ctx context.Context, c protocol.Client) error {
	secrets := map[string][]byte{}
	for name, s := range x.secrets {
		secrets[name] = s.Bytes()
	}
	return seal(ctx, c, x.req, secrets)
}

func (x *execution) run(ctx context.Context, c protocol.Client, to *reveal) error {
	if err := x.seal(ctx, c); err != nil {
		return err
	}
	if to == nil {
		resp, err := c.Do(ctx, x.req)
		if err != nil {
			return err
		}
		return x.a.printFields(x.op, resp, nil)
	}
	resp, opened, err := askSealed(ctx, c, x.req)
	if err != nil {
		return err
	}
	defer clear(opened)
	if err := to.show(opened); err != nil {
		return fmt.Errorf("it is done, and its secret answer is lost: %w", err)
	}
	if to.path != "" || !x.a.json {
		opened = nil // it has been shown
	}
	return x.a.printFields(x.op, resp, opened)
}
