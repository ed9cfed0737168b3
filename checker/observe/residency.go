package observe

import (
	"slices"

	"github.com/tidaldb/tidalsim/core/keyed"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// Way is how a tenant's bytes came to a node.
type Way uint8

// The ways.
const (
	Stored    Way = iota // a disk operation in the tenant's directory
	Sent                 // a message with records or a snapshot was sent to the node
	Delivered            // such a message reached the node's input queue and was handed to it
	Queued               // likewise a client's change
	Answered             // the node answers a client with an entity's state
	Kept                 // a file is there although the node may be down and does nothing
)

// Stray is a tenant's bytes where the tenant does not allow them.
type Stray struct {
	Tenant tenant.ID
	Node   uint32        // that has them, or is sent them
	Region tenant.Region // of the node
	From   uint32        // of a message: the sender; Answered: the client
	What   string        // the path; of a message, its kind
	Way    Way           //
	Slot   lineage.Slot  // of a message
	At     int64         // true time, ns
}

// Unkept is a residency that an operator was told, or that was decided, and that does not hold.
type Unkept struct {
	Tenant tenant.ID
	// Version is that of the configuration with the residency; Now is the version that is in force
	// instead.
	Version, Now uint64
	Told         bool // to an operator; otherwise an older configuration took the place of this one
	Decided      bool // of Told: a configuration of this version was decided, with another residency
	At           int64
}

// Residency records where the bytes of tenants with a restricted residency went. The residency of a
// tenant changes when the control plane decides another configuration: see Decided.
type Residency struct {
	Count  int     // disk operations, messages and files at rest with bytes of such tenants
	Strays []Stray // at most maxNoted
	More   int     // beyond those
	Unkept []Unkept

	regions []tenant.Region     // by node
	allowed keyed.List[allowed] // by tenant
}

// allowed is where a tenant's bytes may be.
//
// Invariant: decided ascends in the version, and its last element is in force.
type allowed struct {
	now     tenant.Residency
	decided []decided
}

// decided is a configuration of a tenant that has been in force.
type decided struct {
	version   uint64
	residency tenant.Residency
}

func (r *Residency) reset() {
	*r = Residency{Strays: r.Strays[:0], Unkept: r.Unkept[:0], regions: r.regions[:0], allowed: r.allowed}
	r.allowed.Reset()
}

// Place says in which region the next node is, from node 0 on.
func (r *Residency) Place(region tenant.Region) { r.regions = append(r.regions, region) }

// Allow says where a tenant's bytes may be at first, if that is not everywhere.
func (r *Residency) Allow(t tenant.ID, residency tenant.Residency) {
	if len(residency) > 0 {
		r.allowedOf(t).now = residency
	}
}

func (r *Residency) allowedOf(t tenant.ID) *allowed {
	k := keyed.Key{A: uint64(t)}
	if a := r.allowed.Find(k); a != nil {
		return a
	}
	a := r.allowed.Add(k)
	*a = allowed{decided: a.decided[:0]}
	return a
}

// Decided notes the configuration of a tenant that is in force from now on. It reports whether the
// residency is another one than before.
func (r *Residency) Decided(t tenant.ID, version uint64, residency tenant.Residency, at int64) bool {
	a := r.allowedOf(t)
	if n := len(a.decided); n > 0 {
		switch last := &a.decided[n-1]; {
		case version == last.version && slices.Equal(residency, last.residency):
			return false
		case version <= last.version:
			r.unkept(Unkept{Tenant: t, Version: last.version, Now: version, At: at})
		}
	}
	a.decided = append(a.decided, decided{version, slices.Clone(residency)})
	changes := !slices.Equal(a.now, residency)
	a.now = a.decided[len(a.decided)-1].residency
	return changes
}

// Told notes that an operator was told that a configuration of a tenant is in force. Another one
// may have followed it by then. A configuration that was followed at once may not have been seen.
func (r *Residency) Told(t tenant.ID, version uint64, residency tenant.Residency, at int64) {
	a := r.allowedOf(t)
	last := uint64(0)
	for _, d := range a.decided {
		if last = d.version; d.version == version && slices.Equal(d.residency, residency) {
			return
		}
	}
	another := slices.ContainsFunc(a.decided, func(d decided) bool { return d.version == version })
	if another || last < version {
		r.unkept(Unkept{Tenant: t, Version: version, Now: last, Told: true, Decided: another, At: at})
	}
}

func (r *Residency) unkept(u Unkept) {
	if len(r.Unkept) == maxNoted {
		r.More++
		return
	}
	r.Unkept = append(r.Unkept, u)
}

// Limited reports whether there is a tenant that is not allowed everywhere.
func (r *Residency) Limited() bool { return r.allowed.Len() > 0 }

// Permits reports whether a tenant's bytes may be on a node.
func (r *Residency) Permits(t tenant.ID, node uint32) bool {
	allowed := r.allowed.Find(keyed.Key{A: uint64(t)})
	return allowed == nil || allowed.now.Permits(r.regions[node])
}

// Rests notes a file of a tenant on a node's disk. The node may be down.
func (r *Residency) Rests(t tenant.ID, node uint32, path string, at int64) {
	r.look(Stray{Tenant: t, Node: node, What: path, Way: Kept, At: at})
}

// Touched notes a disk operation in a directory of a tenant, whatever it does there.
func (r *Residency) Touched(t tenant.ID, node uint32, path string, at int64) {
	r.look(Stray{Tenant: t, Node: node, What: path, At: at})
}

// Shipped notes a message with a tenant's bytes from one node to another.
func (r *Residency) Shipped(t tenant.ID, slot lineage.Slot, from, to uint32, what string, at int64) {
	r.look(Stray{Tenant: t, Slot: slot, Node: to, From: from, What: what, Way: Sent, At: at})
}

// Reached notes that a message with a tenant's bytes was handed to a node: Delivered,
// Queued; or that a node answers with some: Answered.
func (r *Residency) Reached(way Way, t tenant.ID, slot lineage.Slot, from, node uint32, what string, at int64) {
	r.look(Stray{Tenant: t, Slot: slot, Node: node, From: from, What: what, Way: way, At: at})
}

func (r *Residency) look(s Stray) {
	allowed := r.allowed.Find(keyed.Key{A: uint64(s.Tenant)})
	if allowed == nil {
		return
	}
	r.Count++
	s.Region = r.regions[s.Node]
	switch {
	case allowed.now.Permits(s.Region):
	case len(r.Strays) == maxNoted:
		r.More++
	default:
		r.Strays = append(r.Strays, s)
	}
}
