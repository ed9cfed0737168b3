// Package checker holds the judges. A checker reads the history of the clients and the observations
// of an omniscient observer (packages history and observe), and says that a promise held, that it
// was violated and by which operations, or that the evidence does not suffice. It refuses to read
// the core's intentions, and it serves a real cluster as well as a simulated one.
//
// The one rule to remember: nothing is green that checked nothing. No operation,
// no acknowledgement, an exhausted budget: all are Undecided, which is no pass.
//
// Checkers are pure and deterministic: equal runs give equal reports. All but
// the search behind the linearizable checker are O(n log n) or better.
package checker

import (
	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/keyed"
	words "github.com/tidaldb/tidalsim/harness/verdict"
)

// Verdict is the result of a checker.
type Verdict = words.Verdict

// The verdicts.
const (
	Held      = words.Held
	Violated  = words.Violated
	Undecided = words.Undecided
)

// Finding is one violation.
type Finding = words.Finding

// Report is the result of one checker for one run.
type Report struct {
	Checker  string
	Verdict  Verdict
	Findings []Finding // at most MaxFindings
	More     int       // findings beyond those
	Checked  int       // things that were checked: operations, records, windows, ...
	Why      string    // the undecided parts, and those left out; empty if none
}

// MaxFindings bounds the findings of a report; the rest is counted. A reader looks at the first
// ones.
const MaxFindings = 8

// DefaultStepBudget bounds the search of one partition, in steps of the model.
const DefaultStepBudget = 200_000

// Options say how hard to look. The zero value is right for every seed.
type Options struct {
	// Porcupine searches every partition, not only those whose witness fails.
	Porcupine bool
	// StepBudget bounds the search of one partition; 0 means DefaultStepBudget.
	StepBudget int
	// Scratch is memory to be used again. It must not serve two judgements at
	// the same time; nil means new memory.
	Scratch *Scratch
}

// Scratch is memory that judgements hand on to each other. The zero value is
// ready.
type Scratch struct {
	records index    // records of operations in all logs, by identity
	changes index    // operations that change a log, by identity
	ends    []int32  // of each log, where it ends among the logs laid end to end
	dumps   index    // final dumps, by slot
	kept    index    // the nodes' logs on their disks at the end, by slot
	dense   index    // entities of one log, or partitions
	folds   []fold   // by entity of dense
	slot    slotFold // of the replicas-equal checker
	recount recount  // of the caps checker
	answers index    // acknowledged changes, by the facts that only one change may have
	order   []int32  // entries of one log by instant
	configs []config // Config records that hold
	wholes  []whole  // tenants, of inOrder
	moments []moment // of all of them, one tenant after the other
	parts   []part   // of one tenant
	session sessions
	claims  index              // the first claims to lead a shard, or to sequence a slot, in an epoch
	fences  keyed.List[fence]  // by node and shard
	lives   keyed.List[life]   // by tenant
	holders keyed.List[holder] // by tenant
	witness witnesses          // of the linearizable checker
	health  truth              // of the health-truth checker

	// together says that one judge follows the other over the same run. The contents of records,
	// changes, dumps and wholes then stay from one to the next.
	together, hasRecords, hasChanges, hasDumps, hasWholes bool
}

func (o *Options) scratch() *Scratch {
	if o.Scratch == nil {
		return new(Scratch)
	}
	return o.Scratch
}

// Checker is one judge.
type Checker struct {
	Name  string
	Holds string // when it holds, in one sentence
	Judge func(*observe.Run, Options) Report
}

// All returns the checkers in the order in which they report. The most likely root of other
// findings comes first.
func All() []Checker {
	return []Checker{
		{nameNoLoss, "acknowledged changes are in the final log exactly once, refused ones are absent, and what is there was submitted", judgeNoLoss},
		{nameExactlyOnce, "each request is applied at most once, and every answer to it is the same", judgeExactlyOnce},
		{nameLinearizable, "reads and changes of an entity have one order that respects real time and explains every answer", judgeLinearizable},
		{nameReadIndex, "a linearizable read shows every record of its slot that anybody was told of before it came", judgeReadIndex},
		{nameSession, "a session reads what it has written and never less than it has read, a bounded read is not older than its bound, and every answer is what the log adds up to", judgeSession},
		{nameDurableAck, "before every acknowledgement the record was durable on the disks that the ack rule names", judgeDurableAck},
		{nameInSync, "whoever is in sync, or about to be, has on its device all that anybody was ever told, at every acknowledgement and at every entry of the control plane", judgeInSync},
		{nameProgress, "a leader counts on a replica only for what this life of its log has acknowledged in the leader's epoch, and a replica takes for committed only what it has", judgeProgress},
		{nameReform, "the leader of a reformed set begins when every member has told of its logs, with the best of them, and the reform is over when every member has what the leader adopted", judgeReform},
		{namePrefix, "the replicas of a log are prefixes of one, and in the end all have the same records and the same state", judgePrefix},
		{nameReplicasEqual, "the state of every replica is what the log up to its last record adds up to: entities, sessions, floors, answers, level, limits and lineage", judgeReplicasEqual},
		{nameDamage, "a recovery finds each whole record that its files hold, and calls a log damaged only where the world harmed the disk; no file goes and no claim is made too early", judgeDamage},
		{nameOneSequencer, "an epoch of a shard has one leader, which is one life of one node, and no node says anything in an epoch that is not durable there", judgeOneSequencer},
		{nameFence, "who has adopted an epoch of a shard takes nothing, and says nothing, of a lower one any more; a command has its effect only on the configuration that it was decided on", judgeFence},
		{nameConfiguration, "a shard changes its configuration one legal step at a time: its leader was in the set and whole, and no member leaves or enters unseen", judgeConfiguration},
		{nameCommitMonotone, "what was announced as committed stays so: it is neither cut nor replaced nor taken back", judgeCommitMonotone},
		{nameRate, "every window of every slot, and of all slots of a tenant together, is within the bound, their shares are within its limits, and no operation is refused while there is a token", judgeRate},
		{nameShares, "limits move between the slots of a tenant decrease-first, and a tenant ends when all its slots are closed", judgeGrants},
		{nameCaps, "no slot grows beyond its caps, nor do all slots of a tenant together, no cap refuses what has room, and the node's counts are those of the log", judgeCaps},
		{nameLifecycle, "tenants and limits are as operators were told: what is created is there, what is dropped never comes back, older limits never replace newer ones", judgeLifecycle},
		{nameRefusalLatency, "every refusal for a quota leaves within 1 ms of its request's arrival", judgeRefusalLatency},
		{nameIslands, "each disk operation works for the tenant in whose directory its path is", judgeIslands},
		{nameResidency, "nothing of a tenant is on a disk in, or sent to, a region where it may not be, at any instant; a residency that an operator was told of is in force", judgeResidency},
		{nameUnknown, "each outcome that a client does not know has its cause in the run, and no leader denies that it leads", judgeUnknown},
		{nameRefusals, "what is refused is refused for a reason", judgeRefusals},
		{nameBudget, "one node at most is taken out of its duties, no set is left with fewer members than it needs, and a node without duties is given none while another one can have it", judgeBudget},
		{nameHealth, "each figure of the health of the cluster that a node tells was so at some instant within its age, and what nobody could know is unknown", judgeHealth},
		{nameAvailability, "while at most one node is hurt, every read is answered within its deadline, and changes of no shard above min stop for longer than a few detection bounds; a coordinator whose disk stands still hands over", judgeAvailability},
		{nameLiveness, "after the calm part everything has finished", judgeLiveness},
	}
}

// Lookup returns the checker of that name.
func Lookup(name string) (Checker, bool) {
	for _, c := range All() {
		if c.Name == name {
			return c, true
		}
	}
	return Checker{}, false
}

// Judge asks all checkers, in the order of All.
func Judge(run *observe.Run, o Options) []Report {
	s := o.scratch()
	o.Scratch = s
	s.together, s.hasRecords, s.hasChanges, s.hasDumps, s.hasWholes = true, false, false, false, false
	defer func() {
		s.together, s.hasRecords, s.hasChanges, s.hasDumps, s.hasWholes = false, false, false, false, false
	}()
	all := All()
	reports := make([]Report, 0, len(all))
	for _, c := range all {
		reports = append(reports, c.Judge(run, o))
	}
	return reports
}
