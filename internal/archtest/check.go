package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// check returns the violations in the tree at root, sorted, one line each: "file: what is wrong". Test files
// may import what they like and use real time; testdata, other modules and hidden directories are not read.
func check(root string, r rules) ([]string, error) {
	var found []string
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return enter(root, name, entry)
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		for _, violation := range r.file(path.Dir(rel), file) {
			found = append(found, rel+": "+violation)
		}
		return nil
	})
	slices.Sort(found)
	return found, err
}

func enter(root, name string, entry fs.DirEntry) error {
	if name == root {
		return nil
	}
	base := entry.Name()
	if base == "testdata" || base == "node_modules" || base == "tools" || strings.HasPrefix(base, ".") {
		return fs.SkipDir
	}
	return nil
}

func (r rules) file(dir string, file *ast.File) []string {
	var found []string
	room, known := r.roomOf(dir)
	if !known {
		found = append(found, dir+" is no room of the table")
	}
	timeName := ""
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			found = append(found, err.Error())
			continue
		}
		if imported == "time" {
			timeName = "time"
			if spec.Name != nil {
				timeName = spec.Name.Name
			}
		}
		if known {
			found = append(found, r.imported(dir, room, imported)...)
		}
	}
	found = append(found, inits(file)...)
	if timeName != "" && !slices.Contains(r.wallClock, dir) {
		found = append(found, wallClock(file, timeName)...)
	}
	return found
}

// imported judges one import of a file in dir, which belongs to room.
func (r rules) imported(dir, room, target string) []string {
	var found []string
	for library, rooms := range r.confined {
		if (target == library || strings.HasPrefix(target, library+"/")) && !slices.Contains(rooms, room) {
			found = append(found, fmt.Sprintf("%s imports %s, which only %s may", room, library, strings.Join(rooms, " and ")))
		}
	}
	ours, isOurs := strings.CutPrefix(target, r.module+"/")
	if !isOurs {
		if r.rooms[room].pure && strings.Contains(strings.SplitN(target, "/", 2)[0], ".") {
			found = append(found, fmt.Sprintf("%s imports %s, but is pure", room, target))
		}
		return found
	}
	if slices.Contains(r.testSupport, ours) && !slices.Contains(r.testSupport, dir) {
		found = append(found, ours+" is for tests")
	}
	other, known := r.roomOf(ours)
	rule := r.rooms[room]
	if known && other != room && !rule.anything && !slices.Contains(rule.imports, other) {
		found = append(found, fmt.Sprintf("%s may not import %s", room, other))
	}
	return found
}

// roomOf is the longest room that holds dir.
func (r rules) roomOf(dir string) (string, bool) {
	for ; dir != "."; dir = path.Dir(dir) {
		if _, ok := r.rooms[dir]; ok {
			return dir, true
		}
	}
	return "", false
}

func inits(file *ast.File) []string {
	var found []string
	for _, decl := range file.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
			found = append(found, "has an init function")
		}
	}
	return found
}

// wallClock finds uses of real time, also as a value: now := time.Now.
func wallClock(file *ast.File, timeName string) []string {
	forbidden := []string{"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "Tick", "NewTicker", "NewTimer"}
	var found []string
	ast.Inspect(file, func(node ast.Node) bool {
		selector, ok := node.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if from, ok := selector.X.(*ast.Ident); ok && from.Name == timeName && slices.Contains(forbidden, selector.Sel.Name) {
			found = append(found, "uses time."+selector.Sel.Name+"; ask a clock.Clock")
		}
		return true
	})
	return found
}
