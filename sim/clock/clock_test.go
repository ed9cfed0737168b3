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

// A change of the rate is no step: the reading goes on from where it was.
func TestDriftChangesWithoutAStep(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := draw(t)
		at := c.Start + rapid.Int64Range(0, 1e12).Draw(t, "at")
		before := c.Local(at)
		ppm := rapid.Int64Range(-100_000, 100_000).Draw(t, "ppm")
		c.SetDrift(at, ppm)
		if got := c.Local(at); got != before {
			t.Fatalf("%+v: at %d it reads %d, before the change %d", c, at, got, before)
		}
		d := rapid.Int64Range(0, 1e12).Draw(t, "d")
		if got, want := int64(c.Local(at+d)-before), d+scale(d, ppm); got < want-1 || got > want+1 {
			t.Fatalf("%+v: then %d ns show %d, want %d", c, d, got, want)
		}
	})
}

func TestWallIsTrueTimeButForItsOffset(t *testing.T) {
	c := Clock{Start: 5, Origin: 77, DriftPPM: 100, Stepped: -9, WallOffset: -3}
	if got := c.Wall(10); got != 7 {
		t.Errorf("at 10 it reads %d, want 7", got)
	}
}
