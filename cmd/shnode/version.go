package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/stronghold-go/stronghold/protocol"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "print the version, the commit it was built from, and Go's version",
		Example: `  shnode version --json`,
		Args:    takes(0, 0),
		RunE: func(*cobra.Command, []string) error {
			v := buildVersion()
			line := fmt.Sprintf("shnode %s", v.Version)
			if v.Commit != "" {
				line += " commit " + v.Commit
			}
			if v.Modified {
				line += " (modified)"
			}
			return a.print(v, fmt.Sprintf("%s %s %s/%s %s", line, v.Go, v.OS, v.Arch, v.Protocol))
		},
	}
}

type version struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Time     string `json:"time,omitempty"` // of the commit, RFC 3339
	Modified bool   `json:"modified"`       // the sources were not those of the commit
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
	Protocol string `json:"protocol"`
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
