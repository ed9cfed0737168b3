package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/sim/chance"
)

// MarshalJSON writes {"net.loss": 1000, ...}, sites in order, zeros left out.
func (r Rates) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for site, rate := range r {
		if rate == 0 {
			continue
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:%d", chance.Site(site).String(), rate)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// UnmarshalJSON is the inverse of MarshalJSON.
func (r *Rates) UnmarshalJSON(data []byte) error {
	var named map[string]uint32
	if err := json.Unmarshal(data, &named); err != nil {
		return err
	}
	*r = Rates{}
	for _, name := range slices.Sorted(maps.Keys(named)) {
		rate := named[name]
		site, ok := chance.ParseSite(name)
		if !ok {
			return fmt.Errorf("rates: unknown fault family %q", name)
		}
		if rate > chance.Million {
			return fmt.Errorf("rates: %s is %d, want at most %d", name, rate, chance.Million)
		}
		r[site] = rate
	}
	return nil
}

// MarshalJSON writes names and hexadecimal numbers.
func (d Deviation) MarshalJSON() ([]byte, error) {
	return json.Marshal(deviationJSON{
		Site: d.Site.String(), Scope: d.Scope, Kind: d.Key.Kind,
		A: Seed(d.Key.A), B: Seed(d.Key.B), Attempt: d.Key.Attempt, Value: Seed(d.Value),
	})
}

// UnmarshalJSON is the inverse of MarshalJSON.
func (d *Deviation) UnmarshalJSON(data []byte) error {
	var j deviationJSON
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&j); err != nil {
		return err
	}
	site, ok := chance.ParseSite(j.Site)
	if !ok {
		return fmt.Errorf("deviations: unknown site %q", j.Site)
	}
	if j.Value == 0 {
		return fmt.Errorf("deviations: value of %s is 0, which is no deviation", j.Site)
	}
	*d = Deviation{
		Site: site, Scope: j.Scope, Value: uint64(j.Value),
		Key: env.Key{Kind: j.Kind, Attempt: j.Attempt, A: uint64(j.A), B: uint64(j.B)},
	}
	return nil
}
