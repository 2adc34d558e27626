package devicefsm_test

import (
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestPublicAPIs walks everything that the public packages export and refuses
// types that a user could not name or would have to depend on: those of an
// internal package, of another part of this module, or of another module.
func TestPublicAPIs(t *testing.T) {
	var paths []string
	for _, p := range publicPackages {
		paths = append(paths, module+"/"+p)
	}
	for _, p := range loadPackages(t, paths) {
		seen := 0
		for _, fault := range apiFaults(p, func(other *types.Package) bool {
			seen++
			return slices.Contains(paths, other.Path()) || isStandard(other.Path())
		}) {
			t.Error(fault)
		}
		if seen == 0 {
			t.Errorf("package %s: nothing was looked at", p.Path())
		}
	}
}

func TestAnInternalTypeInAnAPIIsRefused(t *testing.T) {
	inner := types.NewPackage(module+"/internal/x", "x")
	named := types.NewNamed(types.NewTypeName(token.NoPos, inner, "T", nil), types.Typ[types.Int], nil)
	list := types.NewSlice(types.NewPointer(named))
	signature := types.NewSignatureType(nil, nil, nil, types.NewTuple(types.NewVar(token.NoPos, nil, "", list)), nil, false)
	field := func(p *types.Package, name string) *types.Struct {
		return types.NewStruct([]*types.Var{types.NewField(token.NoPos, p, name, list, false)}, nil)
	}
	for name, typ := range map[string]types.Type{
		"variable": list, "function": signature, "field": field(nil, "Field"), "map": types.NewMap(types.Typ[types.Int], list),
		"constant": named,
	} {
		p := types.NewPackage(module+"/p", "p")
		p.Scope().Insert(types.NewVar(token.NoPos, p, "V", typ))
		if faults := apiFaults(p, func(other *types.Package) bool { return other == p }); len(faults) != 1 {
			t.Errorf("%s: faults %q, expected 1", name, faults)
		}
	}
	p := types.NewPackage(module+"/p", "p")
	own := types.NewNamed(types.NewTypeName(token.NoPos, p, "Own", nil), field(p, "hidden"), nil)
	p.Scope().Insert(own.Obj())
	p.Scope().Insert(types.NewVar(token.NoPos, p, "v", list))
	allowed := func(other *types.Package) bool { return other == p }
	if faults := apiFaults(p, allowed); len(faults) != 0 {
		t.Errorf("what is not exported is refused: %q", faults)
	}
	own.AddMethod(types.NewFunc(token.NoPos, p, "Method", signature))
	if faults := apiFaults(p, allowed); len(faults) != 1 {
		t.Errorf("method: faults %q, expected 1", faults)
	}
}

// loadPackages reads the compiler's export data, which has what is exported and
// nothing else.
func loadPackages(t *testing.T, paths []string) []*types.Package {
	t.Helper()
	list := append([]string{"go", "list", "-export", "-deps", "-f", "{{.ImportPath}}={{.Export}}"}, paths...)
	files := map[string]string{}
	for _, line := range strings.Fields(runIn(t, "..", list)) {
		path, file, _ := strings.Cut(line, "=")
		files[path] = file
	}
	from := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		file, ok := files[path]
		if !ok {
			return nil, fmt.Errorf("no export data of %s", path)
		}
		return os.Open(file)
	})
	var packages []*types.Package
	for _, path := range paths {
		p, err := from.Import(path)
		if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
	return packages
}

func isStandard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return first != module && !strings.Contains(first, ".")
}

// apiFaults are the exported names of a package that lead to a type of a package
// that is not allowed.
func apiFaults(p *types.Package, allowed func(*types.Package) bool) []string {
	w := apiWalk{allowed: allowed, seen: map[types.Type]bool{}}
	for _, name := range p.Scope().Names() {
		if o := p.Scope().Lookup(name); o.Exported() {
			w.walk(p.Path()+"."+name, o.Type())
		}
	}
	return w.faults
}

type apiWalk struct {
	allowed func(*types.Package) bool
	seen    map[types.Type]bool
	faults  []string
}

func (w *apiWalk) walk(where string, t types.Type) {
	if w.seen[t] {
		return
	}
	w.seen[t] = true
	switch x := t.(type) {
	case *types.Alias:
		w.walk(where, x.Rhs())
	case *types.Named:
		w.named(where, x)
	case *types.Struct:
		for f := range x.Fields() {
			if f.Exported() || f.Embedded() {
				w.walk(where+"."+f.Name(), f.Type())
			}
		}
	case *types.Interface:
		for m := range x.Methods() {
			w.walk(where+"."+m.Name(), m.Type())
		}
	case *types.Signature:
		for v := range x.Params().Variables() {
			w.walk(where, v.Type())
		}
		for v := range x.Results().Variables() {
			w.walk(where, v.Type())
		}
	case *types.Map:
		w.walk(where, x.Key())
		w.walk(where, x.Elem())
	case interface{ Elem() types.Type }: // a pointer, list, array or channel
		w.walk(where, x.Elem())
	}
}

// named looks into the types of this module's public packages; of others it asks
// only whether they are allowed.
func (w *apiWalk) named(where string, n *types.Named) {
	if args := n.TypeArgs(); args != nil {
		for a := range args.Types() {
			w.walk(where, a)
		}
	}
	p := n.Obj().Pkg()
	switch {
	case p == nil: // error
		return
	case !w.allowed(p):
		w.faults = append(w.faults, fmt.Sprintf("%s shows %s", where, n))
		return
	case isStandard(p.Path()):
		return
	}
	for m := range n.Methods() {
		if m.Exported() {
			w.walk(where+"."+m.Name(), m.Type())
		}
	}
	w.walk(where, n.Underlying())
}
