package permissions

import "strings"

// What a policy needs of TOML is flat. The parser's time grows with the square
// of a key's parts, and its stack with every bracket.
const (
	maxBrackets = 4
	maxDots     = 8 // in a line, outside of texts
)

// scan looks over a text before the TOML parser may. It refuses what is nested
// or dotted beyond any policy, and finds the lines where the tables of a list
// start, and those of [names]: the parser does not tell. Texts of several lines, which no policy
// needs, are refused, so that scan and the parser cannot disagree on where a
// text ends.
func scan(text string) (found outline, err error) {
	found.lists = make(map[string][]int)
	text = strings.TrimPrefix(text, "\ufeff")
	line, brackets := 0, 0
	for text != "" {
		line++
		var here string
		here, text, _ = strings.Cut(text, "\n")
		if rest, ok := strings.CutPrefix(strings.TrimLeft(here, " \t"), "["); ok && brackets == 0 {
			name, _, _ := strings.Cut(strings.TrimPrefix(rest, "["), "]")
			name = strings.Trim(name, " \t")
			if found.names[0] > 0 && found.names[1] == 0 {
				found.names[1] = line
			}
			if strings.HasPrefix(rest, "[") {
				found.lists[name] = append(found.lists[name], line)
			} else if name == "names" && found.names[0] == 0 {
				found.names[0] = line
			}
		}
		dots := 0
		for i := 0; i < len(here); i++ {
			switch c := here[i]; c {
			case '#':
				i = len(here)
			case '"', '\'':
				if strings.HasPrefix(here[i+1:], string([]byte{c, c})) {
					return found, &Error{Line: line, Reason: "a text of several lines has no place in a policy"}
				}
				i = closing(here, i)
			case '[', '{':
				brackets++
			case ']', '}':
				brackets = max(brackets-1, 0)
			case '.':
				dots++
			}
			if brackets > maxBrackets || dots > maxDots {
				return found, &Error{Line: line, Reason: "nested deeper than a policy can be"}
			}
		}
	}
	if found.names[0] > 0 && found.names[1] == 0 {
		found.names[1] = line + 1
	}
	return found, nil
}

// outline is where parts of a text are, by lines from 1.
type outline struct {
	lists map[string][]int // [[allow]] and such: where each starts
	names [2]int           // [names]: its line, and the one after its last; 0 if there is none
}

// closing is where the text that opens at line[open] ends. One that does not
// end in its line is for the parser to refuse.
func closing(line string, open int) int {
	for i := open + 1; i < len(line); i++ {
		switch {
		case line[i] == line[open]:
			return i
		case line[i] == '\\' && line[open] == '"':
			i++
		}
	}
	return len(line)
}
