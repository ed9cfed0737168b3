package clock

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/env"
)

func draw(t *rapid.T) Clock {
	return Clock{
		Start:    rapid.Int64Range(0, 1e12).Draw(t, "start"),
		Origin:   rapid.Int64Range(0, 1e12).Draw(t, "origin"),
		DriftPPM: rapid.Int64Range(-100_000, 100_000).Draw(t, "drift"),
		Stepped:  rapid.Int64Range(-1e9, 0).Draw(t, "stepped"),
	}
}

func TestTrueIsTheFirstInstantThatReadsLocal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := draw(t)
		local := env.Time(c.Origin + rapid.Int64Range(-1e9, 1e12).Draw(t, "local"))
		at := c.True(local)
		if c.Local(at) < local {
			t.Fatalf("%+v: at %d it reads %d, want at least %d", c, at, c.Local(at), local)
		}
		if at > c.Start && c.Local(at-1) >= local {
			t.Fatalf("%+v: at %d it reads %d already", c, at-1, c.Local(at-1))
		}
	})
}

func TestDriftStaysWithinItsRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := draw(t)
		a := c.Start + rapid.Int64Range(0, 1e12).Draw(t, "a")
		d := rapid.Int64Range(0, 1e12).Draw(t, "d")
		got := int64(c.Local(a+d) - c.Local(a))
		want := d + scale(d, c.DriftPPM)
		if got < want-2 || got > want+2 {
			t.Fatalf("%+v: %d ns of true time show %d, want %d", c, d, got, want)
		}
	})
}
