// Package fault names the moments of the protocol. A fault point is at once an
// anchor for a plan ("crash when the snapshot is renamed"), a mark that a
// campaign reached the moment, and a place where a fault can be injected.
//
// In a simulation the world decides what happens at a point. On a real node
// the process-wide registry of pingcap/failpoint decides, for chaos testing; a build with the tag "production" does neither.
package fault

import "github.com/tidaldb/tidalsim/core/env"

// The fault points, in the order in which a node's life passes them. Every point
// is reached by some scenario.
const (
	NodeStarted      env.Point = iota // the node runs and has read nothing yet
	EpochPersisted                    // the shard epoch of this incarnation is durable
	SlotCreating                      // a slot directory is about to be made
	SlotCreated                       // its manifest is durable
	RecoveryReading                   // a slot's files are about to be read
	RecoveryCut                       // a torn tail is about to be cut
	RecoverySyncing                   // recovered files are about to be synced
	SlotServing                       // the slot serves; key b: seq of its last record
	RecordAppended                    // the record at key b got its place; the token of an operation was taken just before
	ChangeAdmitted                    // a change was charged and waits for its turn
	ChangeAppended                    // a change that waited got its place at key b
	TurnsTaken                        // key b pieces of work were done that had waited
	QuotaRefused                      // a change was refused for a quota; key b: the resource, as package quota numbers them
	DuplicateAnswer                   // a repeated request gets its old answer
	BatchSubmitting                   // a batch up to seq key b is about to be written
	BatchDurable                      // the batch up to seq key b is durable
	AckSending                        // the operation at seq key b is about to be acknowledged
	SegmentRotating                   // a new segment from seq key b is about to be made
	SnapshotWriting                   // a snapshot at seq key b is about to be written
	SnapshotRenaming                  // it is synced and about to get its name
	SnapshotDurable                   // its name is durable
	SegmentRemoving                   // a segment that the snapshot covers is about to be removed
	ConfigAppended                    // new limits, which an operator set, got their place at key b
	TenantCreating                    // a node hears of a tenant that was created, and is about to open its slots; key b: version
	TenantCreated                     // the slots that belong on the node are being opened; likewise
	TenantDropping                    // a node hears that a tenant is being dropped, and ends its slots; likewise
	TenantDropped                     // a node hears of a tenant's tombstone, and is about to remove its files
	TenantRemoving                    // what is left of a dropped tenant is about to be removed
	TenantRemoved                     // nothing is left of it
	SlotFollowing                     // a log is open, up to record key b, and waits for a leader
	SlotLeading                       // the node begins to sequence a slot behind record key b
	RecordReceived                    // a follower gave the record at key b its place
	LogCutting                        // a follower's log is about to be cut behind record key b
	LogCut                            // that is durable
	SlotRefetching                    // a replica's files are about to be replaced by those of another
	EpochAdopted                      // epoch key b of shard key a is durable on the node, and is about to count
	MemberPending                     // the leader of shard key a counts node key b as a member, or one that is excluded from a slot as whole, and is about to ask for it
	ReadConfirmed                     // every member of shard key a has confirmed its leader in round key b
	SnapshotShipped                   // a part of a snapshot at key b is about to be sent to another replica
	MetaLeading                       // the node has begun to lead the meta log
	SlotReporting                     // the leader of a slot is about to tell the control plane what holds there; key b: the command, as package control numbers them
	CommandHeeding                    // the coordinator is about to let the control plane decide what an operator wants; key b: the command, as package control numbers them
	ReportMaking                      // the node is about to tell the coordinator how it is, in its report key b
	Points                            // number of points
)

var names = [Points]string{
	"node.started", "epoch.persisted", "slot.creating", "slot.created",
	"recovery.reading", "recovery.cut", "recovery.syncing", "slot.serving",
	"record.appended", "change.admitted", "change.appended", "turns.taken", "quota.refused", "duplicate.answer",
	"batch.submitting", "batch.durable", "ack.sending", "segment.rotating",
	"snapshot.writing", "snapshot.renaming", "snapshot.durable", "segment.removing",
	"config.appended", "tenant.creating", "tenant.created", "tenant.dropping", "tenant.dropped",
	"tenant.removing", "tenant.removed",
	"slot.following", "slot.leading", "record.received", "log.cutting", "log.cut", "slot.refetching",
	"epoch.adopted", "member.pending", "read.confirmed", "snapshot.shipped", "meta.leading", "slot.reporting", "command.heeding", "report.making",
}

// Names returns the names of the points, indexed by env.Point.
func Names() []string { return names[:] }

// Name returns the name of p.
func Name(p env.Point) string { return names[p] }
