package diskops_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/diskops"
	"github.com/tidaldb/tidalsim/core/env"
)

// Traces contain these numbers.
func TestIDs(t *testing.T) {
	for _, c := range []struct {
		name diskops.Name
		want env.OpID
	}{
		{diskops.Name{}, 0},
		{diskops.Name{Purpose: 0xfe}, 0xfe},
		{diskops.Name{Purpose: 4, Number: 6}, 0x604},
		{diskops.Name{Purpose: 5, Number: 0x1_abcdef}, 0xabcdef05},
		{diskops.Name{Owner: 1, Purpose: 3, Number: 2}, 0x1_03000002},
		{diskops.Name{Owner: 0xffffffff, Purpose: 0xff, Number: 0xff_fffffe}, 0xffffffff_fffffffe},
		{diskops.Name{Owner: 7, Purpose: 1, Number: 0x5_000009}, 0x7_01000009},
	} {
		if got := c.name.ID(); got != c.want {
			t.Errorf("%+v is %#x, want %#x", c.name, got, c.want)
		}
	}
}

func TestNamesComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := diskops.Name{
			Owner: rapid.Uint32().Draw(t, "owner"), Purpose: rapid.Uint8().Draw(t, "purpose"),
			Number: rapid.Uint32Range(0, 1<<24-1).Draw(t, "number"),
		}
		if got := diskops.NameOf(n.ID()); got != n {
			t.Fatalf("%+v comes back as %+v", n, got)
		}
	})
}
