package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stronghold-go/stronghold/node/local"
	"github.com/stronghold-go/stronghold/protocol"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "print the version, the commit it was built from, Go's version, and the zone's layers",
		Example: `  shnode version --json`,
		Args:    takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := buildVersion()
			zone, err := local.Posture(cmd.Context())
			if cmd.Context().Err() != nil {
				return err
			}
			v.Layers, _ = layersOf(zone) // none, where a zone does not start: that is for doctor to explain
			line := fmt.Sprintf("shnode %s", v.Version)
			if v.Commit != "" {
				line += " commit " + v.Commit
			}
			if v.Modified {
				line += " (modified)"
			}
			line = fmt.Sprintf("%s %s %s/%s %s", line, v.Go, v.OS, v.Arch, v.Protocol)
			return a.print(v, line+"\n"+zoneLine(v.Layers))
		},
	}
}

type version struct {
	Version  string      `json:"version"`
	Commit   string      `json:"commit,omitempty"`
	Time     string      `json:"time,omitempty"` // of the commit, RFC 3339
	Modified bool        `json:"modified"`       // the sources were not those of the commit
	Go       string      `json:"go"`
	OS       string      `json:"os"`
	Arch     string      `json:"arch"`
	Protocol string      `json:"protocol"`
	Layers   []layerJSON `json:"layers"` // of a zone of this build, on this machine
}

// zoneLine tells the layers that a zone of this build has on this machine.
func zoneLine(layers []layerJSON) string {
	if len(layers) == 0 {
		return "zone: does not start here; `shnode doctor` tells why"
	}
	var active, missing []string
	for _, l := range layers {
		if l.Active {
			active = append(active, l.Name)
		} else {
			missing = append(missing, l.Name)
		}
	}
	line := "zone: " + strings.Join(active, ", ")
	if len(missing) > 0 {
		line += "; missing: " + strings.Join(missing, ", ")
	}
	return line
}

// buildVersion is what the go command recorded in this program.
func buildVersion() version {
	v := version{Version: "(devel)", Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, Protocol: protocol.ID}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.time":
			v.Time = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}
