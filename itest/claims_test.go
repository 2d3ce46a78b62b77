package itest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestClaims holds SECURITY.md to tests that exist, and its second table to the rows
// of the README's.
func TestClaims(t *testing.T) {
	security := readText(t, "../SECURITY.md")
	claims := rowsOf(security, "| claim |")
	if len(claims) < 8 {
		t.Errorf("%d claims", len(claims))
	}
	people := rowsOf(security, "| someone who … |")
	var who []string
	for _, row := range people {
		who = append(who, row[0])
	}
	var want []string
	for _, row := range rowsOf(readText(t, "../README.md"), "| someone who … |") {
		want = append(want, row[0])
	}
	if !slices.Equal(who, want) || len(want) == 0 {
		t.Errorf("SECURITY.md is about someone who %q, README.md about %q", who, want)
	}
	named := regexp.MustCompile("`([a-z/]+)\\.(Test[A-Za-z0-9]+)`")
	for _, row := range append(claims, people...) {
		tests := named.FindAllStringSubmatch(row[1], -1)
		if len(tests) == 0 {
			t.Errorf("%q is shown by no test", row[0])
		}
		for _, name := range tests {
			if err := hasTest(name[1], name[2]); err != nil {
				t.Errorf("%q: %v", row[0], err)
			}
		}
	}
	// It sees what is not there.
	if hasTest("itest", "TestOfNothing") == nil || hasTest("nowhere", "TestClaims") == nil {
		t.Error("a test that does not exist is found")
	}
}

func readText(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// rowsOf returns the cells of the table with this beginning of a head.
func rowsOf(text, head string) (rows [][]string) {
	_, table, _ := strings.Cut(text, "\n"+head)
	for i, line := range strings.Split(table, "\n") {
		if i < 2 {
			continue // the rest of the head, and the line below
		}
		if !strings.HasPrefix(line, "|") {
			break
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	return rows
}

func hasTest(dir, name string) error {
	files, err := filepath.Glob(filepath.Join("..", filepath.FromSlash(dir), "*_test.go"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no tests in %s: %v", dir, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if strings.Contains(string(b), "\nfunc "+name+"(t *testing.T)") {
			return nil
		}
	}
	return fmt.Errorf("%s has no %s", dir, name)
}
