package tenant_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/tidaldb/tidalsim/core/tenant"
)

func TestEverySlotGetsAnOperation(t *testing.T) {
	for _, c := range []struct {
		limits tenant.Limits
		slots  int
		want   string
	}{
		{tenant.Limits{Rate: 1}, 1, ""},
		{tenant.Limits{Rate: 4}, 4, ""},
		{tenant.Limits{Rate: 4, Burst: 4}, 4, ""},
		{tenant.Limits{Rate: 3}, 4, "limits.rate is 3, want 4 or more: one operation per second for each of 4 slots"},
		{tenant.Limits{Rate: 3, Burst: 3}, 4, "limits.rate is 3, want 4 or more: one operation per second for each of 4 slots"},
		{tenant.Limits{Rate: 9, Burst: 3}, 4, "limits.burst is 3, want 4 or more: one operation for each of 4 slots"},
	} {
		config := tenant.Config{ID: 7, Version: 1, Limits: c.limits}
		got, field := "", new(tenant.ConfigError)
		if err := config.ValidateSlots(c.slots); errors.As(err, &field) && errors.Is(err, tenant.ErrConfig) {
			got = fmt.Sprintf("%s is %d, want %s", field.Field, field.Value, field.Want)
		} else if err != nil {
			t.Errorf("%v", err)
		}
		if got != c.want {
			t.Errorf("%+v in %d slots: %q, want %q", c.limits, c.slots, got, c.want)
		}
	}
}
