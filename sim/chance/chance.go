// Package chance decides. A decision is a pure function of (seed, site, scope,
// key): there is no stream of random numbers that a code change could shift, so
// a seed that fails keeps failing when unrelated code changes (measured
// elsewhere: 5-16 % of failing seeds survive a harmless change with streams,
// 100 % with keys).
//
// There are two kinds of decisions. A variety (Uniform) is harmless: a latency
// within its range, the next operation of a workload. A deviation (Deviate) is a
// fault: a lost message, a torn write. Deviations are few, can be listed, and
// replace the seed: a Decider that is given a list takes exactly those.
package chance

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"

	"github.com/tidaldb/tidalsim/core/env"
)

// Site is a place where a decision is taken.
type Site uint8

// The sites of deviations, one per fault family, followed by the sites of
// varieties.
const (
	NetLoss      Site = iota // a message is lost
	NetDuplicate             // a message arrives twice
	NetDelay                 // a message is late and may be overtaken
	NetCorrupt               // one byte of a message is damaged
	DiskInFlight             // an operation in flight at a crash took effect
	DiskLost                 // an unsynced write is lost in a power failure
	DiskTorn                 // an unsynced write is cut at a sector in a power failure
	DiskEntry                // an unsynced directory entry is lost in a power failure
	NetLate                  // a message is late by seconds, while its link goes on
	DiskOld                  // after a power failure, old blocks show where an unsynced write made its file longer
	DiskAhead                // a crash leaves zeros behind the end of a log, which its host wrote ahead
	Deviations               // number of deviation sites

	NetJitter Site = iota - Deviations + 127 // latency within its range; numbered apart, so that a new family shifts nothing
	DiskJitter
	DiskPart // how much a failing write writes
	DiskRot  // where a disk rots
	Machine  // Env.Chance
	Draw     // drawing plans and workloads
	Start    // Env.Nonce
)

var siteNames = [Deviations]string{
	"net.loss", "net.duplicate", "net.delay", "net.corrupt",
	"disk.in-flight", "disk.lost", "disk.torn", "disk.entry", "net.late", "disk.old", "disk.ahead",
}

// String returns the name of a deviation site.
func (s Site) String() string {
	if s < Deviations {
		return siteNames[s]
	}
	return fmt.Sprintf("site-%d", uint8(s))
}

// OfLink reports whether the deviations of s are of messages, and their scopes links.
func (s Site) OfLink() bool { return s <= NetCorrupt || s == NetLate }

// ParseSite is the inverse of String for deviation sites.
func ParseSite(name string) (Site, bool) {
	i := slices.Index(siteNames[:], name)
	return Site(max(i, 0)), i >= 0
}

// Million is the denominator of rates.
const Million = 1_000_000

// Rates are probabilities of deviations in parts per million, by site.
type Rates [Deviations]uint32

// Deviation is a decision that was not benign.
type Deviation struct {
	Site  Site
	Scope uint64 // where: a link, a disk
	Key   env.Key
	Value uint64 // never 0; its meaning belongs to the site
}

func (d Deviation) compare(o Deviation) int {
	return cmp.Or(
		cmp.Compare(d.Site, o.Site), cmp.Compare(d.Scope, o.Scope),
		cmp.Compare(d.Key.Kind, o.Key.Kind), cmp.Compare(d.Key.A, o.Key.A),
		cmp.Compare(d.Key.B, o.Key.B), cmp.Compare(d.Key.Attempt, o.Key.Attempt))
}

// Hash is the keyed chance itself, uniform over all 64-bit values.
func Hash(seed uint64, site Site, scope uint64, key env.Key) uint64 {
	h := mix(seed^0x9e3779b97f4a7c15, uint64(site)<<32^scope^0xd6e8feb86659fd93)
	h = mix(h^uint64(key.Kind)<<32^uint64(key.Attempt), 0xa0761d6478bd642f^key.A)
	return mix(h^key.B, 0xe7037ed1a0b428db^h>>32)
}

// mix multiplies to 128 bits and folds the halves (wyhash's mum).
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo ^ a
}

// InStart returns the scope of decisions about the requests of a process in one of its starts.
// scope is that of its first start, below 1<<48; restarts is the number of starts before, below
// 1<<16.
func InStart(scope, restarts uint64) uint64 { return scope | restarts<<48 }

// Below maps a uniform hash to [0, n) without bias that matters. n > 0.
func Below(hash, n uint64) uint64 {
	hi, _ := bits.Mul64(hash, n)
	return hi
}

// Witness is notified of deviations when they happen.
type Witness interface {
	// Deviated is called with a deviation that was just taken; it is valid during
	// the call only.
	Deviated(d *Deviation)
}

// Decider takes the decisions of one run. The zero value decides everything
// benignly with seed 0.
type Decider struct {
	// Witness is notified of every deviation as it is taken; it may be nil.
	Witness Witness

	seed   uint64
	rates  Rates
	listed []Deviation // sorted; used instead of rates when explicit
	used   []bool
	may    uint32 // sites, a bit each, at which a decision may not be benign

	explicit bool
	record   bool
	taken    []Deviation
	count    int
	struck   map[decision]uint32 // how many deviations each has had; looked up only
}

// Count is the number of decisions so far that were not benign.
func (d *Decider) Count() int { return d.count }

// Reset prepares for a run that draws deviations at the given rates. With record
// the deviations are kept for Taken.
func (d *Decider) Reset(seed uint64, rates Rates, record bool) {
	*d = Decider{Witness: d.Witness, seed: seed, rates: rates, record: record, taken: d.taken[:0], struck: d.struck}
	clear(d.struck)
	for site, rate := range rates {
		if rate > 0 {
			d.may |= 1 << site
		}
	}
}

// ResetListed prepares for a run that takes exactly the listed deviations.
func (d *Decider) ResetListed(seed uint64, listed []Deviation) {
	sorted := slices.Clone(listed)
	slices.SortFunc(sorted, Deviation.compare)
	*d = Decider{Witness: d.Witness, seed: seed, explicit: true, listed: sorted, used: make([]bool, len(sorted)), taken: d.taken[:0], struck: d.struck}
	clear(d.struck)
	for i := range sorted {
		d.may |= 1 << sorted[i].Site
	}
}

// Calm makes every later deviation benign.
func (d *Decider) Calm() { d.may = 0 }

// Uniform returns the variety for key, uniform over all 64-bit values.
func (d *Decider) Uniform(site Site, scope uint64, key env.Key) uint64 {
	return Hash(d.seed, site, scope, key)
}

// Deviate returns 0, the benign decision, or the non-zero value of a deviation.
func (d *Decider) Deviate(site Site, scope uint64, key env.Key) uint64 {
	if d.may>>site&1 == 0 { // nearly always
		return 0
	}
	return d.deviate(site, scope, key)
}

// May reports whether a deviation at a site is possible at all in this run, or still.
func (d *Decider) May(site Site) bool { return d.may>>site&1 != 0 }

// DeviateEach is Deviate for events that are repeated under one key: after a deviation the next one
// is decided by itself. Else a message that is repeated without an attempt of its own, and was lost
// once, would be lost for ever, which no network does.
func (d *Decider) DeviateEach(site Site, scope uint64, key env.Key) uint64 {
	if d.may>>site&1 == 0 { // nearly always
		return 0
	}
	k := decision{site, scope, key}
	n := d.struck[k]
	key.Attempt += n << repetition
	v := d.deviate(site, scope, key)
	if v != 0 {
		if d.struck == nil {
			d.struck = map[decision]uint32{}
		}
		d.struck[k] = n + 1
	}
	return v
}

// decision names the decision that a deviation belongs to.
type decision struct {
	site  Site
	scope uint64
	key   env.Key
}

// repetition is how far above the attempts that machines count the deviations are counted
// that one key has had.
const repetition = 20

func (d *Decider) deviate(site Site, scope uint64, key env.Key) uint64 {
	if d.explicit {
		return d.lookUp(site, scope, key)
	}
	h := Hash(d.seed, site, scope, key)
	if Below(h, Million) >= uint64(d.rates[site]) {
		return 0
	}
	value := mix(h, 0x8ebc6af09c88c6e3) | 1
	taken := Deviation{Site: site, Scope: scope, Key: key, Value: value}
	d.note(&taken)
	if d.record {
		d.taken = append(d.taken, taken)
	}
	return value
}

func (d *Decider) lookUp(site Site, scope uint64, key env.Key) uint64 {
	i, found := slices.BinarySearchFunc(d.listed, Deviation{Site: site, Scope: scope, Key: key}, Deviation.compare)
	if !found {
		return 0
	}
	d.used[i] = true
	d.note(&d.listed[i])
	return d.listed[i].Value
}

func (d *Decider) note(taken *Deviation) {
	d.count++
	if d.Witness != nil {
		d.Witness.Deviated(taken)
	}
}

// Taken returns the deviations of a recorded run, sorted, each once.
func (d *Decider) Taken() []Deviation {
	taken := slices.Clone(d.taken)
	slices.SortFunc(taken, Deviation.compare)
	return slices.CompactFunc(taken, func(a, b Deviation) bool { return a.compare(b) == 0 })
}

// Unused returns the listed deviations that no decision asked for: a plan that
// has them is stale.
func (d *Decider) Unused() []Deviation {
	var unused []Deviation
	for i, dev := range d.listed {
		if !d.used[i] {
			unused = append(unused, dev)
		}
	}
	return unused
}
