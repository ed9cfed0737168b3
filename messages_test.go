package tidalsim_test

import (
	"fmt"
	"go/ast"
	"go/types"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

// A switch over the type of a message between nodes names every kind that can come, also the
// kinds for which it has nothing to do: so no switch overlooks the next kind that is added.
func TestSwitchesNameEveryMessage(t *testing.T) {
	seen := 0
	for _, p := range load(t, nil, "./core/...", "./scenarios/...") {
		missed, switches := overlooked(p)
		for _, m := range missed {
			t.Error(m)
		}
		seen += switches
	}
	if seen < 8 {
		t.Errorf("%d switches over messages were looked at; there are at least those of core, core/group and scenarios", seen)
	}
}

// TestOverlookedMessagesAreSeen plants switches that do not name all.
func TestOverlookedMessagesAreSeen(t *testing.T) {
	const head = "package group\n\nimport \"github.com/tidaldb/tidalsim/core/peer\"\n\n"
	for source, want := range map[string]int{
		`func planted(m peer.Message) { switch m.(type) { case peer.ShardMessage, peer.ControlMessage: } }`:                0,
		`func planted(m peer.Message) { switch m.(type) { case peer.ShardMessage: } }`:                                     1,
		`func planted(m peer.ShardMessage) { switch m.(type) { case peer.LogMessage: } }`:                                  1,
		`func planted(m peer.ShardMessage) { switch m.(type) { case *peer.Append: default: } }`:                            1,
		`func planted(m peer.LogMessage) { switch m := m.(type) { case *peer.Append: _ = m; case *peer.Pull: default: } }`: 1,
	} {
		path, err := filepath.Abs("core/group/planted.go")
		if err != nil {
			t.Fatal(err)
		}
		p := load(t, map[string][]byte{path: []byte(head + source)}, "./core/group")[0]
		missed, _ := overlooked(p)
		if len(missed) != want {
			t.Errorf("%s\nfound %q, want %d", source, missed, want)
		}
	}
}

// overlooked lists the switches of a package over messages between nodes that do not name
// every kind, and returns how many switches over messages there are.
func overlooked(p *packages.Package) (missed []string, switches int) {
	for _, file := range p.Syntax {
		ast.Inspect(file, func(n ast.Node) bool {
			s, ok := n.(*ast.TypeSwitchStmt)
			if !ok {
				return true
			}
			over, ok := messageOf(p.TypesInfo, s)
			if !ok {
				return true
			}
			switches++
			if names := unnamed(p.TypesInfo, s, over); len(names) > 0 {
				missed = append(missed, fmt.Sprintf("%s: the switch does not name %s", p.Fset.Position(s.Pos()), strings.Join(names, ", ")))
			}
			return true
		})
	}
	return missed, switches
}

// messageOf returns the interface of core/peer over whose values a statement switches.
func messageOf(info *types.Info, s *ast.TypeSwitchStmt) (*types.Named, bool) {
	var asserted ast.Expr
	switch assign := s.Assign.(type) {
	case *ast.AssignStmt:
		asserted = assign.Rhs[0]
	case *ast.ExprStmt:
		asserted = assign.X
	}
	named, ok := types.Unalias(info.TypeOf(asserted.(*ast.TypeAssertExpr).X)).(*types.Named)
	if !ok || named.Obj().Pkg() == nil || named.Obj().Pkg().Path() != module+"/core/peer" || !types.IsInterface(named) {
		return nil, false
	}
	return named, true
}

// unnamed returns the messages that no case of a switch names, by itself or by an interface.
func unnamed(info *types.Info, s *ast.TypeSwitchStmt, over *types.Named) (names []string) {
	scope := over.Obj().Pkg().Scope()
	for _, name := range scope.Names() {
		object, ok := scope.Lookup(name).(*types.TypeName)
		if !ok || types.IsInterface(object.Type()) {
			continue
		}
		if m := types.NewPointer(object.Type()); types.Implements(m, over.Underlying().(*types.Interface)) && !isNamed(info, s, m) {
			names = append(names, name)
		}
	}
	return names
}

func isNamed(info *types.Info, s *ast.TypeSwitchStmt, m types.Type) bool {
	for _, clause := range s.Body.List {
		for _, expr := range clause.(*ast.CaseClause).List {
			of := info.TypeOf(expr)
			if types.Identical(of, m) {
				return true
			}
			if i, ok := of.Underlying().(*types.Interface); ok && types.Implements(m, i) {
				return true
			}
		}
	}
	return false
}
