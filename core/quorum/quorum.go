// Package quorum answers three questions about one slot: which replicas must have a record
// before it commits, which before a client is told of it, and which must confirm that they
// follow the leader before a read is answered. It has no state: the leader passes its knowledge of
// each replica, and the table of duties decides.
//
// A record is committed when it is durable on every member in sync and on every replica that is
// about to join or to be readmitted, and when at least min members are in sync (PacificA; Vertical
// Paxos). So every member that can be promoted has all that was ever committed.
//
// The one rule to remember: the leader has requested that a replica joins or is readmitted, and has
// not seen the decision. Until it does, that replica must have a record like a member, and does not
// count toward min.
package quorum

import (
	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// Standing is the relation of a replica to one slot of a shard. The zero value has no duty.
type Standing uint8

// The standings.
const (
	Outside     Standing = iota // no member, and not about to be
	InSync                      // a member that has the slot's log
	Excluded                    // a member whose log of the slot failed: it has begun the log anew, or will
	Readmitting                 // excluded, and the leader has asked for the end of that
	Joining                     // no member, and the leader has asked that it be one
	standings
)

// duty is a set of purposes that need a replica.
type duty uint8

const (
	commits  duty = 1 << iota // it must have a record before the record is committed
	acks                      // it must have a record before a client is told of it
	confirms                  // it must confirm that it follows the leader before a read is answered
	fills                     // it is one of the min copies that a commit needs
)

// duties is the whole rule. A replica of the slot in another shard, while the slot moves, is one
// more row.
//
// An excluded member follows the leader like any other, so it confirms reads. Readmission and
// joining may be decided before the leader knows: others may count on the replica from then on.
// They may be refused as well, so until it knows the replica is none of the min.
var duties = [standings]duty{
	InSync:      commits | acks | confirms | fills,
	Excluded:    confirms,
	Readmitting: commits | acks | confirms,
	Joining:     commits | acks | confirms,
}

// Acceptor is a replica with a duty, and the leader's knowledge of it.
type Acceptor struct {
	Member   control.Member
	Standing Standing
	// Has is up to where the log of the slot is durable there, as it told the leader in this
	// life and this epoch; 0: nothing is known.
	Has lineage.Seq
}

// View is a shard's set as its leader knows it.
type View struct {
	Shard *control.Shard // the newest configuration that the leader heard of
	// Joining is a Join, and Asked any other command, that the leader has asked for and that may
	// have been decided; nil: there is none.
	Joining, Asked *control.Command
}

// Excludes reports whether the configuration excludes a member from a slot.
func (v View) Excludes(m control.Member, t tenant.ID, slot lineage.Slot) bool {
	return len(v.Shard.Excluded) > 0 && v.Shard.Excludes(m, t, slot)
}

// Lacks reports whether a member is excluded from a slot for sure. One that the leader has asked
// to readmit may be a full member before the leader knows.
func (v View) Lacks(m control.Member, t tenant.ID, slot lineage.Slot) bool {
	if !v.Excludes(m, t, slot) {
		return false
	}
	// Others may count on the member already.
	//safety:readmission-counted false by=in-sync on=disk-loss
	if c := v.Asked; c != nil && c.Kind == control.Readmit && c.Member == m && c.Tenant == t && c.Slot == slot {
		return false
	}
	return true
}

// Counts reports whether a replica is a member of the shard, or about to be one.
func (v View) Counts(m control.Member) bool {
	return v.Joining != nil && v.Joining.Member == m || v.Shard.IsInSync(m)
}

// Members appends to dst the replicas that have a duty for the shard, whatever slots they are
// excluded from.
func (v View) Members(dst []Acceptor) []Acceptor {
	for _, m := range v.Shard.InSync {
		dst = append(dst, Acceptor{Member: m, Standing: InSync})
	}
	if v.Joining != nil && !v.Shard.IsInSync(v.Joining.Member) {
		//safety:pending-acks-waited-for by=in-sync on=reconfigure-under-fire
		dst = append(dst, Acceptor{Member: v.Joining.Member, Standing: Joining})
	}
	return dst
}

// Acceptors appends to dst the replicas that have a duty for a slot. Has is the caller's to say.
func (v View) Acceptors(dst []Acceptor, t tenant.ID, slot lineage.Slot) []Acceptor {
	from := len(dst)
	dst = v.Members(dst)
	for i := from; i < len(dst) && len(v.Shard.Excluded) > 0; i++ {
		switch a := &dst[i]; {
		case a.Standing != InSync || !v.Excludes(a.Member, t, slot):
		case v.Lacks(a.Member, t, slot):
			a.Standing = Excluded
		default:
			a.Standing = Readmitting
		}
	}
	return dst
}

// Committed returns up to where a log is committed that the leader has up to own. It is false if
// nothing more can be committed, because too few members are left.
func Committed(own lineage.Seq, acceptors []Acceptor, least int) (lineage.Seq, bool) {
	members := 0
	for i := range acceptors {
		a := &acceptors[i]
		if duties[a.Standing]&fills != 0 {
			members++
		}
		if duties[a.Standing]&commits != 0 {
			// A record that one member lacks is not committed.
			//safety:ack-after-in-sync-set by=durable-ack on=failover
			own = min(own, a.Has)
		}
	}
	// One copy is lost with one disk. Records are shipped all the same.
	//safety:nothing-committed-below-min false by=in-sync on=below-min
	if members < least {
		return 0, false
	}
	return own, true
}

// Acknowledged returns up to where clients may be told of a log that is committed up to a
// record: a replica that has the duty to ack and not to commit holds back the answers alone.
func Acknowledged(committed lineage.Seq, acceptors []Acceptor) lineage.Seq {
	for i := range acceptors {
		if a := &acceptors[i]; duties[a.Standing]&(acks|commits) == acks {
			committed = min(committed, a.Has)
		}
	}
	return committed
}

// Has reports whether every member that fills the set has a log up to a record.
func Has(acceptors []Acceptor, seq lineage.Seq) bool {
	for i := range acceptors {
		if a := &acceptors[i]; duties[a.Standing]&fills != 0 && a.Has < seq {
			return false
		}
	}
	return true
}

// Confirmed reports whether every acceptor has confirmed that must before a read is answered. A
// replica that has not may follow another leader by now.
func Confirmed(acceptors []Acceptor, confirmed func(control.Member) bool) bool {
	for i := range acceptors {
		//safety:read-index-confirmed by=linearizable on=partition
		if a := &acceptors[i]; duties[a.Standing]&confirms != 0 && !confirmed(a.Member) {
			return false
		}
	}
	return true
}
