package tenant_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/tenant"
)

func TestIDsReadBackAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := tenant.ID(rapid.Uint64Max(uint64(tenant.Reserved)-1).Draw(t, "id"))
		if back, err := tenant.ParseID(id.String()); err != nil || back != id {
			t.Fatalf("%s reads back as %s, %v", id, back, err)
		}
		text, err := json.Marshal(map[tenant.ID]tenant.ID{id: id})
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf(`{"%d":"%d"}`, uint64(id), uint64(id)); string(text) != want {
			t.Fatalf("in JSON %s, want %s: a string, as key and as value", text, want)
		}
		var back map[tenant.ID]tenant.ID
		if err := json.Unmarshal(text, &back); err != nil || back[id] != id {
			t.Fatalf("JSON %s reads back as %v, %v", text, back, err)
		}
	})
}

// A directory name has one tenant and a tenant one directory name.
func TestOnlyTheCanonicalTextIsAnID(t *testing.T) {
	for _, legal := range []string{"0", "7", "18446744073709551614"} {
		if id, err := tenant.ParseID(legal); err != nil || id.String() != legal {
			t.Errorf("%q: %s, %v", legal, id, err)
		}
	}
	for _, text := range []string{
		"", " ", "-1", "+1", "01", "00", "1 ", " 1", "1.0", "1e3", "0x1", "1_000", "seven", "٣", "..", "1/2",
		"18446744073709551615", // reserved
		"18446744073709551616",
	} {
		id, err := tenant.ParseID(text)
		if !errors.Is(err, tenant.ErrID) || id != tenant.Reserved {
			t.Errorf("%q is taken for tenant %s, %v", text, id, err)
		}
		if err != nil && !strings.Contains(err.Error(), fmt.Sprintf("%q", text)) {
			t.Errorf("the error about %q does not say so: %v", text, err)
		}
	}
}

// In JSON an ID is a string; a number would lose its precision on the way.
func TestJSONNumbersAreNoIDs(t *testing.T) {
	for _, text := range []string{`{"id":7}`, `{"id":"18446744073709551615"}`, `{"id":"07"}`, `{"id":-7}`} {
		var c tenant.Config
		if err := json.Unmarshal([]byte(text), &c); err == nil {
			t.Errorf("%s is taken for tenant %s", text, c.ID)
		}
	}
}

func valid() tenant.Config {
	return tenant.Config{ID: 7, Version: 3, Limits: tenant.Limits{Rate: 100_000, Burst: 500, Entities: 1000, Bytes: 1 << 20}}
}

func TestValidConfigurations(t *testing.T) {
	for name, change := range map[string]func(*tenant.Config){
		"all set":        func(*tenant.Config) {},
		"default tenant": func(c *tenant.Config) { c.ID = tenant.Default },
		"largest tenant": func(c *tenant.Config) { c.ID = tenant.Reserved - 1 },
		"smallest numbers": func(c *tenant.Config) {
			c.Version, c.Limits = 1, tenant.Limits{Rate: 1, Burst: 1, Entities: 1, Bytes: 101}
		},
		"rate only": func(c *tenant.Config) { c.Limits = tenant.Limits{Rate: 1} },
		"largest numbers": func(c *tenant.Config) {
			c.Version = math.MaxUint64
			c.Limits = tenant.Limits{Rate: 1e9, Burst: 1e9, Entities: 1e9, Bytes: 1e15}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := valid()
			change(&c)
			if err := c.Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Every error is an ErrConfig, names the field as JSON does, and says what would
// be legal.
func TestInvalidConfigurations(t *testing.T) {
	const tenant7 = "invalid tenant configuration: tenant 7: "
	for _, c := range []struct {
		change func(*tenant.Config)
		field  string
		want   string
	}{
		{func(c *tenant.Config) { c.ID = tenant.Reserved }, "id",
			`invalid tenant configuration: tenant 18446744073709551615: id is 18446744073709551615, want less: the largest number marks "no tenant"`},
		{func(c *tenant.Config) { c.Version = 0 }, "version", tenant7 + "version is 0, want 1 or more"},
		{func(c *tenant.Config) { c.Limits.Rate = 0 }, "limits.rate", tenant7 + "limits.rate is 0, want 1..1000000000 operations per second"},
		{func(c *tenant.Config) { c.Limits.Rate = 1e9 + 1 }, "limits.rate", tenant7 + "limits.rate is 1000000001, want 1..1000000000 operations per second"},
		{func(c *tenant.Config) { c.Limits.Burst = 1e9 + 1 }, "limits.burst",
			tenant7 + "limits.burst is 1000000001, want 1..1000000000 operations, or 0 for one second of limits.rate"},
		{func(c *tenant.Config) { c.Limits.Entities = math.MaxUint64 }, "limits.entities",
			tenant7 + "limits.entities is 18446744073709551615, want 1..1000000000 entities, or 0 for the largest"},
		{func(c *tenant.Config) { c.Limits.Bytes = 100 }, "limits.bytes",
			tenant7 + "limits.bytes is 100, want 101 (one signal) to 1000000000000000 bytes, or 0 for the largest"},
		{func(c *tenant.Config) { c.Limits.Bytes = 1e15 + 1 }, "limits.bytes",
			tenant7 + "limits.bytes is 1000000000000001, want 101 (one signal) to 1000000000000000 bytes, or 0 for the largest"},
	} {
		config := valid()
		c.change(&config)
		err := config.Validate()
		if err == nil {
			t.Errorf("nobody objects: want %s", c.want)
			continue
		}
		var typed *tenant.ConfigError
		if !errors.Is(err, tenant.ErrConfig) || !errors.As(err, &typed) || typed.Field != c.field || typed.Tenant != config.ID {
			t.Errorf("%#v: want a ConfigError about %s", err, c.field)
		}
		if diff := cmp.Diff(c.want, err.Error()); diff != "" {
			t.Errorf("error (-want +got):\n%s", diff)
		}
	}
}

// The texts of the errors repeat the bounds in words; this keeps them equal.
func TestTheBoundsAreWhatTheErrorsSay(t *testing.T) {
	got := []uint64{tenant.MaxRate, tenant.MaxBurst, tenant.MaxEntities, tenant.MinBytes, tenant.MaxBytes}
	if diff := cmp.Diff([]uint64{1e9, 1e9, 1e9, 101, 1e15}, got); diff != "" {
		t.Errorf("bounds (-in the texts +in the code):\n%s", diff)
	}
}

func TestZeroLimitsMeanTheLargest(t *testing.T) {
	l := tenant.Limits{Rate: 9}
	if l.EffectiveBurst() != 9 || l.EffectiveEntities() != tenant.MaxEntities || l.EffectiveBytes() != tenant.MaxBytes {
		t.Errorf("%+v: burst %d, entities %d, bytes %d", l, l.EffectiveBurst(), l.EffectiveEntities(), l.EffectiveBytes())
	}
	l = tenant.Limits{Rate: 9, Burst: 2, Entities: 3, Bytes: 404}
	if l.EffectiveBurst() != 2 || l.EffectiveEntities() != 3 || l.EffectiveBytes() != 404 {
		t.Errorf("%+v: burst %d, entities %d, bytes %d", l, l.EffectiveBurst(), l.EffectiveEntities(), l.EffectiveBytes())
	}
}

func TestLimitsInJSON(t *testing.T) {
	text, err := json.Marshal(valid())
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"id":"7","version":3,"limits":{"rate":100000,"burst":500,"entities":1000,"bytes":1048576}}`
	if string(text) != want {
		t.Errorf("a configuration is %s, want %s", text, want)
	}
	var back tenant.Config
	if err := json.Unmarshal(text, &back); err != nil || !cmp.Equal(back, valid()) {
		t.Errorf("%s reads back as %+v, %v", text, back, err)
	}
	text, err = json.Marshal(tenant.Limits{Rate: 1})
	if err != nil || string(text) != `{"rate":1}` {
		t.Errorf("limits that are not set: %s, %v; want them left out", text, err)
	}
}

// A negative or fractional limit is an error that names the field, never a huge
// number.
func TestNegativeLimitsInJSON(t *testing.T) {
	for _, field := range []string{"rate", "burst", "entities", "bytes"} {
		for _, value := range []string{"-1", "1.5", `"7"`, "18446744073709551616"} {
			var c tenant.Config
			err := json.Unmarshal([]byte(`{"id":"7","version":1,"limits":{"`+field+`":`+value+`}}`), &c)
			var typed *json.UnmarshalTypeError
			if !errors.As(err, &typed) || typed.Field != "limits."+field {
				t.Errorf("limits.%s = %s: %v; want an error about that field", field, value, err)
			}
		}
	}
}
