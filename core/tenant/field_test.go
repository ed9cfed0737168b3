package tenant_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidaldb/tidalsim/core/tenant"
)

// The numbers of fields cross the wire: they are part of the format.
func TestFieldsHaveNumbers(t *testing.T) {
	for number, config := range []tenant.Config{
		1: {ID: tenant.Reserved, Version: 1, Limits: tenant.Limits{Rate: 1}},
		2: {Version: 0, Limits: tenant.Limits{Rate: 1}},
		3: {Version: 1},
		4: {Version: 1, Limits: tenant.Limits{Rate: 1, Burst: tenant.MaxBurst + 1}},
		5: {Version: 1, Limits: tenant.Limits{Rate: 1, Entities: tenant.MaxEntities + 1}},
		6: {Version: 1, Limits: tenant.Limits{Rate: 1, Bytes: tenant.MinBytes - 1}},
	} {
		if number == 0 {
			continue
		}
		var got *tenant.ConfigError
		if !errors.As(config.Validate(), &got) || got.Number() != uint8(number) {
			t.Errorf("%+v: %v, want field %d", config, got, number)
			continue
		}
		if diff := cmp.Diff(got, tenant.FieldError(config.ID, uint8(number), got.Value)); diff != "" {
			t.Errorf("field %d (-sent +received):\n%s", number, diff)
		}
	}
}

func TestAFieldOfANewerVersion(t *testing.T) {
	for _, number := range []uint8{0, 7, 255} {
		e := tenant.FieldError(3, number, 5)
		if e.Number() != 0 || !errors.Is(e, tenant.ErrConfig) {
			t.Errorf("field %d: number %d, %v", number, e.Number(), e)
		}
	}
}
