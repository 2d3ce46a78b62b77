//go:build darwin || windows

package sandbox

// attempt is a layer that is there if the system said so. None of these is required: what a system lacks or refuses is
// shown, and the zone starts.
func attempt(name, note string, err error) Layer {
	if err != nil {
		return Layer{Name: name, Note: err.Error()}
	}
	return Layer{Name: name, Active: true, Note: note}
}
