package tenant_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/tidaldb/tidalsim/core/tenant"
)

func TestRegionNames(t *testing.T) {
	for _, c := range []struct {
		region tenant.Region
		want   error
	}{
		{"a", nil}, {"eu-west", nil}, {"us-east-1", nil}, {tenant.Region(strings.Repeat("z", tenant.MaxRegion)), nil},
		{"", tenant.ErrRegion}, {"EU", tenant.ErrRegion}, {"1eu", tenant.ErrRegion}, {"-eu", tenant.ErrRegion}, {"eu west", tenant.ErrRegion},
		{"eu/west", tenant.ErrRegion}, {"..", tenant.ErrRegion}, {"eü", tenant.ErrRegion}, {"eu{", tenant.ErrRegion}, {"{", tenant.ErrRegion},
		{tenant.Region(strings.Repeat("z", tenant.MaxRegion+1)), tenant.ErrRegion},
	} {
		if err := c.region.Validate(); !errors.Is(err, c.want) {
			t.Errorf("%q: %v, want %v", c.region, err, c.want)
		}
	}
}

func TestResidency(t *testing.T) {
	for _, c := range []struct {
		list    tenant.Residency
		region  tenant.Region
		permits bool
	}{
		{nil, "eu", true}, {tenant.Residency{}, "eu", true},
		{tenant.Residency{"eu"}, "eu", true}, {tenant.Residency{"us", "eu"}, "eu", true},
		{tenant.Residency{"eu"}, "us", false}, {tenant.Residency{"eu"}, "eu-west", false}, {tenant.Residency{"eu-west"}, "eu", false}, {tenant.Residency{"eu"}, "", false},
	} {
		if got := c.list.Permits(c.region); got != c.permits {
			t.Errorf("%v permits %q: %v, want %v", c.list, c.region, got, c.permits)
		}
	}
	for _, c := range []struct {
		list tenant.Residency
		want string
	}{
		{nil, ""},
		{tenant.Residency{"eu", "us"}, ""},
		{tenant.Residency{"eu", "US"}, `residency[1]: invalid region name "US": want 1..32 of a-z, 0-9 and -, the first a letter`},
		{tenant.Residency{"eu", "us", "eu"}, `residency[2]: invalid region name "eu": it is there twice`},
	} {
		if err := c.list.Validate(); (err == nil) != (c.want == "") || err != nil && (err.Error() != c.want || !errors.Is(err, tenant.ErrRegion)) {
			t.Errorf("%v: %v, want %q", c.list, err, c.want)
		}
	}
}

func TestConfigurationsHaveResidency(t *testing.T) {
	var c tenant.Config
	text := `{"id":"7","version":1,"limits":{"rate":10},"residency":["eu-west","eu-north"]}`
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	if again, err := json.Marshal(c); err != nil || string(again) != text {
		t.Errorf("%s is written as %s, %v", text, again, err)
	}
	if err := c.Validate(); err != nil || !c.Residency.Permits("eu-north") || c.Residency.Permits("us-east") {
		t.Errorf("%+v: %v", c, err)
	}
	c.Residency = tenant.Residency{"eu-west", "mars!"}
	want := `invalid tenant configuration: tenant 7: residency[1]: invalid region name "mars!": want 1..32 of a-z, 0-9 and -, the first a letter`
	if err := c.Validate(); !errors.Is(err, tenant.ErrConfig) || !errors.Is(err, tenant.ErrRegion) || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}
