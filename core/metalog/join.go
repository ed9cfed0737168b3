package metalog

import (
	"slices"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/tidaldb/tidalsim/core/env"
)

// A process that has lost its file comes back as a member that nobody knows. It
// announces itself; the leader proposes one change that removes the member that was at
// that address and adds the new one. raft carries it out through a joint configuration,
// so that both majorities agree at every moment. At most a minority may be replaced at
// a time: until the new member has caught up, its votes and its copy count for nothing.

// announceEvery is the ticks between the announcements of who is not yet a member.
const announceEvery = 5

func (l *Log) isMember(id MemberID) bool {
	return slices.Contains(l.configuration.GetVoters(), uint64(id)) ||
		slices.Contains(l.configuration.GetVotersOutgoing(), uint64(id))
}

// announce tells every other address of a member that waits to be one.
func (l *Log) announce(e env.Env) {
	if l.ticks%announceEvery != 0 || l.isMember(l.member) {
		return
	}
	for _, address := range l.config.Addresses {
		if address != e.Self() {
			l.postAt(e, address, 0, messageAnnouncement, 0, nil)
		}
	}
}

// announced lets the leader replace the member at the address of one that announces
// itself.
func (l *Log) announced(id MemberID) {
	if !l.leads() || l.isMember(id) || len(l.configuration.GetVotersOutgoing()) > 0 {
		return
	}
	if old, ok := replaces(l.Members(), id); ok {
		_ = l.raft.ProposeConfChange(replacement(old, id)) // dropped: it will be announced again
	}
}

// replaces returns the member in whose place one comes that announces itself. An
// announcement of an earlier incarnation, which came late, replaces nobody.
func replaces(members []MemberID, id MemberID) (MemberID, bool) {
	i := slices.IndexFunc(members, func(old MemberID) bool { return old.Address() == id.Address() })
	if i < 0 || members[i].Joined() >= id.Joined() {
		return 0, false
	}
	return members[i], true
}

func replacement(old, id MemberID) *raftpb.ConfChangeV2 {
	return &raftpb.ConfChangeV2{Changes: []*raftpb.ConfChangeSingle{
		{Type: raftpb.ConfChangeAddNode.Enum(), NodeId: new(uint64(id))},
		{Type: raftpb.ConfChangeRemoveNode.Enum(), NodeId: new(uint64(old))},
	}}
}
