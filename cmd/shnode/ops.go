package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/stronghold-go/stronghold/protocol"
)

func (a *app) opsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "ops",
		Short: "list every operation: what it takes and gives, and what right it needs",
		Long: `ops prints the table that the node itself goes by. A policy names operations, or
the rights they need. DOOR says who may ask at all: a peer with the right, only
the user of this machine (local), or only the node its own zone (zone).`,
		Example: `  shnode ops
  shnode ops --json | jq -r 'select(.door == "peer") | .operation'`,
		Args: takes(0, 0),
		RunE: func(*cobra.Command, []string) error {
			if a.json {
				for i := range protocol.Operations {
					if err := a.printJSON(operationOf(&protocol.Operations[i])); err != nil {
						return err
					}
				}
				return nil
			}
			rows := [][]string{{"OPERATION", "DOOR", "RIGHT", "TAKES", "GIVES", "WHAT"}}
			for i := range protocol.Operations {
				op := operationOf(&protocol.Operations[i])
				var in []string
				for _, f := range op.In {
					if !f.Required {
						f.Name = "[" + f.Name + "]"
					}
					in = append(in, f.Name)
				}
				rows = append(rows, []string{op.Name, op.Door, dash(strings.Join(op.Rights, " ")), dash(strings.Join(in, " ")),
					dash(strings.Join(op.Out, " ")), op.Doc})
			}
			return a.table(rows)
		},
	}
}

// operation is a row of the table, as JSON.
type operation struct {
	Name    string   `json:"operation"`
	Doc     string   `json:"doc"`
	Door    string   `json:"door"`
	Rights  []string `json:"rights"` // one for each location it takes
	Changes bool     `json:"changes"`
	In      []input  `json:"in"`
	Out     []string `json:"out"`
}

type input struct {
	Name     string `json:"name"`
	Required bool   `json:"required"`
	Right    string `json:"right,omitempty"`
	Also     string `json:"also,omitempty"` // a second right there
	Doc      string `json:"doc,omitempty"`
}

func operationOf(op *protocol.Operation) operation {
	out := operation{Name: op.Name, Doc: op.Doc, Door: op.Door.String(), Changes: op.Changes,
		Rights: []string{}, In: []input{}, Out: emptyNotNull(op.Out)}
	for _, f := range op.In {
		out.In = append(out.In, input{Name: f.Name, Required: f.Required, Right: string(f.Needs), Also: string(f.Also), Doc: f.Doc})
		for _, right := range []protocol.Class{f.Needs, f.Also} {
			if right != "" {
				out.Rights = append(out.Rights, string(right))
			}
		}
	}
	return out
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
