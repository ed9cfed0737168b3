package selftest

// mistakes are those that are not the change of one statement. The text of each
// replacement occurs in its file exactly once, or the self-test fails.
var mistakes = []Mistake{
	{
		Name: "ack-after-sync", Rule: "nothing is answered before it is durable",
		Expected: "durable-ack", Scenario: "smoke", Where: "core/replica/log.go", Operator: edit,
		edits: []replacement{{"r.submitSync(e, env.Op{Kind: env.OpSync, File: r.handle,", "r.submitSync(e, env.Op{Kind: env.OpRead, Length: 1, File: r.handle,"}},
	},
	{
		Name: "charged-before-duplicate", Rule: "a duplicate is looked up before it is charged",
		Expected: "rate", Scenario: "lossy-network", Where: "core/replica/requests.go", Operator: edit,
		edits: []replacement{{
			"\tif out, repeated := r.repeated(e, session, m); repeated {\n",
			"\tr.bucket.Take(e.Now())\n\tif out, repeated := r.repeated(e, session, m); repeated {\n",
		}},
	},
	{
		Name: "quota-decided-when-served", Rule: "quotas are decided when a request arrives, not when its turn comes",
		Expected: "refusal-latency", Scenario: "quota-storm", Where: "core/ingress.go", Operator: edit,
		edits: []replacement{
			{"\tcase m.Kind.Changes():\n\t\tn.change(i, ev.From, m, idle)\n", "\tcase m.Kind.Changes() && idle:\n\t\tn.change(i, ev.From, m, idle)\n"},
			{"\tcase m.Kind == wire.OpenSession:\n", "\tcase m.Kind.Changes():\n\t\tn.change(i, from, m, true)\n\tcase m.Kind == wire.OpenSession:\n"},
		},
	},
	{
		Name: "turns-without-end", Rule: "the turns of one step end when their time is over, so that what arrives is not kept waiting",
		Expected: "refusal-latency", Scenario: "quota-storm", Where: "core/ingress.go", Operator: edit,
		edits: []replacement{{" && spent < turnsTime; {", " && spent >= 0; {"}},
	},
	{
		Name: "one-slot-dropped", Rule: "a drop ends all slots of the tenant",
		Expected: "liveness", Scenario: "tenant-lifecycle", Where: "core/admin.go", Operator: edit,
		edits: []replacement{{"\t\t\tr.Drop(n.env)\n", "\t\t\tr.Drop(n.env)\n\t\t\tbreak\n"}},
	},
	{
		Name: "refused-for-nothing", Rule: "what is well formed is not refused as malformed",
		Expected: "refusals", Scenario: "smoke", Where: "core/replica/requests.go", Operator: edit,
		edits: []replacement{{"valid := m.Request != 0 &&", "valid := m.Request%10 != 9 && m.Request != 0 &&"}},
	},
	{
		Name: "answers-withheld", Rule: "what is durable is acknowledged",
		Expected: "liveness", Scenario: "calm", Where: "core/node.go", Operator: edit,
		edits: []replacement{{"\tn.acks++\n", "\tn.acks++\n\tif seq%40 == 0 {\n\t\treturn\n\t}\n"}},
	},
	{
		Name: "refusal-figures", Rule: "a refusal for the rate tells when a token will be there",
		Expected: "rate", Scenario: "smoke", Where: "core/quota/admit.go", Operator: edit,
		edits: []replacement{{"RetryAfter: b.wait()", "RetryAfter: 1000 * b.wait()"}},
	},
	{
		Name: "epoch-durable-before-first-reply", Rule: "an epoch is durable on a node before the node says anything in it",
		Expected: "one-sequencer", Scenario: "failover", Where: "core/shards.go", Operator: edit,
		edits: []replacement{{"\tn.scriptCatalog(&next)\n\tn.runScript()\n", "\t_ = next\n\tn.adopted()\n"}},
	},
	{
		Name: "epoch-start-before-reads", Rule: "a new leader serves nothing before the record that begins its epoch is committed",
		Expected: "linearizable", Scenario: "drain-cancel", Where: "core/group/reads.go", Operator: edit,
		edits: []replacement{
			{"\tif s.r.Phase() != replica.Serving {\n\t\treturn wire.NotServing\n", "\tif !s.r.IsOpen() {\n\t\treturn wire.NotServing\n"},
			{"\tif s.r.Phase() != replica.Serving { // what", "\tif !s.r.IsOpen() { // what"},
		},
	},
	{
		Name: "chain-compared", Rule: "a replica takes only what continues its own log",
		Expected: "no-loss", Scenario: "partition", Where: "core/replica/shared.go", Operator: edit,
		edits: []replacement{
			{"known && chain != at.Chain {", "known && chain != at.Chain && at.Seq == 0 {"},
			{"\t\tif r.position(seq).Chain == record.ChainOf(bytes) {\n", "\t\tif seq > 0 {\n"},
		},
	},
	{
		Name: "excluded-not-promoted", Rule: "who lacks acknowledged records of a slot does not lead",
		Expected: "configuration", Scenario: "disk-loss", Where: "core/control/apply.go", Operator: edit,
		edits: []replacement{{"\tif x.shard.IsExcluded(x.Member) {\n\t\treturn IsExcluded\n", "\tif x.shard == nil {\n\t\treturn IsExcluded\n"}},
		also: []Mistake{
			{Where: "core/control/plane.go", edits: []replacement{{"return p.isRegistered(m) && !s.IsExcluded(m) }", "return p.isRegistered(m) }"}}},
			{Where: "core/control/decide.go", edits: []replacement{{"leader.life == alive && !s.IsExcluded(s.Leader):", "leader.life == alive:"}}},
		},
	},
	{
		Name: "residency-enforced", Rule: "a shard is placed, and a tenant's slots are opened, only where the tenant allows it",
		Expected: "residency", Scenario: "region-outage", Where: "core/control/apply.go", Operator: edit,
		edits: []replacement{
			{"\treturn unless(p.permits(x.shard, p.Node(x.In).Region), WrongResidency)\n", "\treturn Done\n"},
			{"\treturn unless(p.Node(x.In).Region == x.shard.Region, WrongRegion)\n", "\treturn Done\n"},
		},
		also: []Mistake{
			{Where: "core/control/decide.go", edits: []replacement{{"n.Region != s.Region || n.Draining", "n.Draining"}}},
			{Where: "core/tenancy.go", edits: []replacement{{" || !t.Config.Residency.Permits(n.cluster.Shared.region(n.self.Node))", ""}}},
		},
	},
	{
		Name: "map-order-leaks", Rule: "map order never reaches a message, file or trace",
		Expected: "determinism", Scenario: "smoke", Where: "core/node.go", Operator: edit,
		edits: []replacement{{
			stepBegins,
			stepBegins + "\tfor k := range map[int]bool{1: true, 2: true, 3: true, 4: true} {\n\t\tn.env.Charge(env.Duration(k))\n\t\tbreak\n\t}\n",
		}},
	},
	{
		Name: "package-variable-leaks", Rule: "no package variable lets one run see another",
		Expected: "determinism", Scenario: "smoke", Where: "core/node.go", Operator: edit,
		edits: []replacement{
			{stepBegins, stepBegins + "\tleaked++\n\tn.env.Charge(leaked & 7)\n"},
			{"// Node is one process:", "var leaked env.Duration\n\n// Node is one process:"},
		},
	},
	{
		Name: "wall-clock-leaks", Rule: "nothing but the environment tells the time",
		Expected: "determinism", Scenario: "smoke", Where: "core/node.go", Operator: edit,
		edits: []replacement{
			{stepBegins, stepBegins + "\tn.env.Charge(env.Duration(time.Now().UnixNano() & 7))\n"},
			{"import (\n", "import (\n\t\"time\"\n"},
		},
	},
}

const stepBegins = "func (n *Node) Step(ev *env.Event) {\n"
