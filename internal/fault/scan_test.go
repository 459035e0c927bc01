package fault

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// messages are the formats of errors in a tree of source, each with the first place where it stands, and what keeps a message
// from being said in Chinese.
type messages struct {
	at    map[string]string // place by format
	wrong []string
}

// scan reads the packages below root, without tests, tools, hidden directories and this package itself.
func scan(root string) (messages, error) {
	found := messages{at: map[string]string{}}
	err := filepath.WalkDir(root, func(dir string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		base := entry.Name()
		if dir != root && (base == "testdata" || base == "tools" || base == "node_modules" || strings.HasPrefix(base, ".")) {
			return fs.SkipDir
		}
		if strings.HasSuffix(filepath.ToSlash(dir), "internal/fault") {
			return nil
		}
		return found.room(root, dir)
	})
	slices.Sort(found.wrong)
	return found, err
}

// room is one package: its files, and the functions of its own that hand a format on, by the place of that parameter.
type room struct {
	root    string
	set     *token.FileSet
	files   []*ast.File
	handsOn map[string]int
	inside  map[*ast.BlockStmt]bool // the bodies of these functions
}

func (m *messages) room(root, dir string) error {
	r := room{root: root, set: token.NewFileSet(), handsOn: map[string]int{}, inside: map[*ast.BlockStmt]bool{}}
	names, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range names {
		if name := entry.Name(); strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			file, err := parser.ParseFile(r.set, filepath.Join(dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			r.files = append(r.files, file)
		}
	}
	for known := -1; known < len(r.handsOn); { // until no more are found: one may hand on to another
		known = len(r.handsOn)
		r.eachFunc(func(name string, params *ast.FieldList, body *ast.BlockStmt) {
			if at := formatParam(params); at >= 0 && r.passes(body) {
				r.handsOn[name], r.inside[body] = at, true
			}
		})
	}
	for _, file := range r.files {
		m.file(&r, file)
	}
	return nil
}

// eachFunc visits the functions, and the function literals that have a name.
func (r *room) eachFunc(visit func(name string, params *ast.FieldList, body *ast.BlockStmt)) {
	for _, file := range r.files {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Body != nil {
					visit(n.Name.Name, n.Type.Params, n.Body)
				}
			case *ast.AssignStmt:
				name, named := n.Lhs[0].(*ast.Ident)
				if fn, ok := n.Rhs[0].(*ast.FuncLit); ok && named {
					visit(name.Name, fn.Type.Params, fn.Body)
				}
			}
			return true
		})
	}
}

// formatParam is the place of a parameter called format, -1 without one.
func formatParam(params *ast.FieldList) int {
	at := 0
	for _, field := range params.List {
		for _, name := range field.Names {
			if name.Name == "format" {
				return at
			}
			at++
		}
	}
	return -1
}

func isFormat(e ast.Expr) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == "format"
}

func (r *room) passes(body *ast.BlockStmt) bool {
	found := false
	ast.Inspect(body, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			at := r.formatOf(call)
			found = found || at >= 0 && at < len(call.Args) && isFormat(call.Args[at])
		}
		return !found
	})
	return found
}

// formatOf is the place of a call's format, -1 when the call makes no error of this package.
func (r *room) formatOf(call *ast.CallExpr) int {
	switch fn := call.Fun.(type) {
	case *ast.Ident:
		if at, ok := r.handsOn[fn.Name]; ok {
			return at
		}
	case *ast.SelectorExpr:
		if from, ok := fn.X.(*ast.Ident); ok && from.Name == "fault" {
			return map[string]int{"New": 2, "Wrap": 3, "BadField": 3}[fn.Sel.Name] - 1
		}
		if at, ok := r.handsOn[fn.Sel.Name]; ok {
			return at
		}
	}
	return -1
}

func (m *messages) file(r *room, file *ast.File) {
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			m.call(r, n)
		case *ast.CompositeLit:
			if made, ok := n.Type.(*ast.SelectorExpr); ok && made.Sel.Name == "Error" {
				if from, ok := made.X.(*ast.Ident); ok && from.Name == "fault" {
					m.refuse(r, n, "is made without New, Wrap or BadField, and has no format")
				}
			}
		}
		return true
	})
}

// handedOn reports whether a call stands in a function that hands its format on.
func (r *room) handedOn(call *ast.CallExpr) bool {
	for body := range r.inside {
		if body.Pos() <= call.Pos() && call.End() <= body.End() {
			return true
		}
	}
	return false
}

var onlyVerb = regexp.MustCompile(`^%[a-z]$`)

func (m *messages) call(r *room, call *ast.CallExpr) {
	at := r.formatOf(call)
	if at < 0 || at >= len(call.Args) {
		return
	}
	if code, ok := call.Args[0].(*ast.SelectorExpr); ok && code.Sel.Name == "Internal" {
		return // nobody is shown its text
	}
	format, constant := literal(call.Args[at])
	switch {
	case isFormat(call.Args[at]) && r.handedOn(call):
	case !constant:
		m.refuse(r, call, "has a format that is not written here")
	case onlyVerb.MatchString(format):
		m.refuse(r, call, "has its message in an argument, which cannot be said in Chinese")
	case m.at[format] == "":
		m.at[format] = r.place(call)
	}
}

func (m *messages) refuse(r *room, n ast.Node, why string) {
	m.wrong = append(m.wrong, r.place(n)+": an error "+why)
}

func (r *room) place(n ast.Node) string {
	p := r.set.Position(n.Pos())
	name, err := filepath.Rel(r.root, p.Filename)
	if err != nil {
		name = p.Filename
	}
	return fmt.Sprintf("%s:%d", filepath.ToSlash(name), p.Line)
}

// literal is the value of a string that is written out, in one piece or in several.
func literal(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return s, err == nil && e.Kind == token.STRING
	case *ast.BinaryExpr:
		left, leftOK := literal(e.X)
		right, rightOK := literal(e.Y)
		return left + right, leftOK && rightOK && e.Op == token.ADD
	}
	return "", false
}

var verbPattern = regexp.MustCompile(`%(?:\[(\d+)\])?[-+# 0]*\d*(?:\.\d+)?([a-zA-Z%])`)

// verbs is which verb each argument of a format is shown by: "1d 2q".
func verbs(format string) []string {
	var out []string
	next := 1
	for _, m := range verbPattern.FindAllStringSubmatch(format, -1) {
		if m[2] == "%" {
			continue
		}
		if n, err := strconv.Atoi(m[1]); err == nil {
			next = n
		}
		out = append(out, strconv.Itoa(next)+m[2])
		next++
	}
	slices.Sort(out)
	return slices.Compact(out)
}
