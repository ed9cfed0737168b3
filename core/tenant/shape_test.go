package tenant_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/strict"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// What is written has the shape in which it is read.
func TestShapesAreThoseOfTheJSON(t *testing.T) {
	errNone := errors.New("none")
	type config struct {
		ID        tenant.ID        `json:"id"`
		Limits    tenant.Limits    `json:"limits"`
		Residency tenant.Residency `json:"residency"`
	}
	shape := strict.Object(
		strict.Required("id", tenant.IDShape()), strict.Required("limits", tenant.LimitsShape()), strict.Required("residency", tenant.ResidencyShape()),
	)
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.Uint64()
		want := config{
			tenant.ID(rapid.Uint64Max(uint64(tenant.Reserved)-1).Draw(t, "id")),
			tenant.Limits{Rate: number.Draw(t, "rate"), Burst: number.Draw(t, "burst"), Entities: number.Draw(t, "entities"), Bytes: number.Draw(t, "bytes")},
			tenant.Residency{"eu", "us"}[:rapid.IntRange(0, 2).Draw(t, "regions")],
		}
		data, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got config
		if _, err := strict.Decode(data, errNone, shape, &got); err != nil || !cmp.Equal(got, want) {
			t.Fatalf("%s reads back as %+v, %v", data, got, err)
		}
	})
	var got config
	if _, err := strict.Decode([]byte(`{"id": "07", "limits": {"rate": 1}, "residency": []}`), errNone, shape, &got); !errors.Is(err, tenant.ErrID) {
		t.Errorf("%v", err)
	}
}
