package observe

import (
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

// Residency records where the bytes of tenants with a restricted residency went.
type Residency struct {
	Count  int     // disk operations and messages with bytes of such tenants
	Strays []Stray // at most maxNoted
	More   int     // beyond those

	regions []tenant.Region              // by node
	allowed keyed.List[tenant.Residency] // by tenant
}

func (r *Residency) reset() {
	*r = Residency{Strays: r.Strays[:0], regions: r.regions[:0], allowed: r.allowed}
	r.allowed.Reset()
}

// Place says in which region the next node is, from node 0 on.
func (r *Residency) Place(region tenant.Region) { r.regions = append(r.regions, region) }

// Allow says where a tenant's bytes may be, if that is not everywhere.
func (r *Residency) Allow(t tenant.ID, residency tenant.Residency) {
	if len(residency) > 0 {
		k := keyed.Key{A: uint64(t)}
		allowed := r.allowed.Find(k)
		if allowed == nil {
			allowed = r.allowed.Add(k)
		}
		*allowed = residency
	}
}

// Limited reports whether there is a tenant that is not allowed everywhere.
func (r *Residency) Limited() bool { return r.allowed.Len() > 0 }

// Permits reports whether a tenant's bytes may be on a node.
func (r *Residency) Permits(t tenant.ID, node uint32) bool {
	allowed := r.allowed.Find(keyed.Key{A: uint64(t)})
	return allowed == nil || allowed.Permits(r.regions[node])
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
	case allowed.Permits(s.Region):
	case len(r.Strays) == maxNoted:
		r.More++
	default:
		r.Strays = append(r.Strays, s)
	}
}
