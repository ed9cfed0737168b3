package diskops_test

import (
	"testing"

	"github.com/tidaldb/tidalsim/core/diskops"
	"github.com/tidaldb/tidalsim/core/env"
)

func TestPausesDouble(t *testing.T) {
	var p diskops.Pause
	for i, want := range []env.Duration{100, 200, 400, 800, 1600, 3200, 5000, 5000} {
		if got := p.Longer(); got != want*env.Millisecond {
			t.Errorf("pause %d is %d ns, want %d ms", i+1, got, want)
		}
	}
	if p = 0; p.Longer() != 100*env.Millisecond {
		t.Errorf("after success the first pause is %d ns, want 100 ms", p)
	}
}
