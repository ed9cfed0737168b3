package control

import (
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/quota"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/internal/golden"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/v3 anew; right only as long as no data of version 3 exists anywhere")

// each has one command of each kind, with a different number in each field.
func each() (all []Command) {
	full := Command{
		Shard: 0x01020304, Epoch: 0x11, Version: 0x12, Member: m(0x21, 0x22), By: m(0x31, 0x32), Node: 0x41, In: 0x42,
		Tenant: 0x51, Slot: 0x52, Base: 0x61,
		Config: tenant.Config{ID: 0x71, Version: 0x72, Limits: tenant.Limits{Rate: 0x73, Burst: 0x74, Entities: 0x75, Bytes: 0x76}, Residency: tenant.Residency{"eu", "us-east"}},
		Shards: []lineage.Shard{0x81, 0x82}, Share: quota.Share{0x91, 0x92, 0x93, 0x94},
	}
	for k := Register; k < kindEnd; k++ {
		full.Kind = k
		c, err := DecodeCommand(full.Append(nil))
		if err != nil {
			panic(err)
		}
		all = append(all, c)
	}
	return all
}

func TestGoldenCommands(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Commands of version 3, and a result. They hold for ever.\n")
	for _, c := range each() {
		fmt.Fprintf(&b, "%v\n\t%x\n", &c, c.Append(nil))
	}
	r := Result{NotInSync, 0x11, 0x12, 0x13}
	fmt.Fprintf(&b, "%+v\n\t%x\n", r, r.Append(nil))
	golden.Text(t, "testdata/v3/commands.txt", b.String(), *rewrite)
}

func TestGoldenSnapshot(t *testing.T) {
	l := newLog()
	l.must(t, excludes(1, m(0, 1), 7, 2), restarts(1, 2))
	l.must(t, ended(8)...)
	l.must(t, creates(9, tenant.Residency{"us"}, 3, 4), grants(9, 1, 6, quota.Share{2, 3, 4, 5}), holds(9, 1, 7, quota.Share{2, 3, 6, 7}),
		restarts(5, 2), reforms(3, m(5, 2)), drops(7), closes(1, m(2, 1), 7, 0), drains(0))
	l.do(elects(1, m(3, 1)))
	if err := new(Plane).Restore(l.plane.Snapshot()); err != nil {
		t.Error(err)
	}
	golden.Text(t, "testdata/v3/snapshot.txt", "# A snapshot of version 3. It holds for ever.\n"+hex.Dump(l.plane.Snapshot()), *rewrite)
}

// The numbers of kinds and refusals are in logs that exist.
func TestNumbersOfKindsAndRefusals(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Numbers of version 3. They hold for ever.\n")
	for k := range kindEnd + 1 {
		fmt.Fprintf(&b, "%d %v\n", k, k)
	}
	for r := range refusalEnd + 1 {
		fmt.Fprintf(&b, "%d %v\n", r, r)
	}
	golden.Text(t, "testdata/v3/numbers.txt", b.String(), *rewrite)
}

func TestCommandsReadBackAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := anyCommand(t, living(New(founding())))
		back, err := DecodeCommand(c.Append(nil))
		if err != nil || !cmp.Equal(back, c) {
			t.Fatalf("%v reads back as %v, %v", &c, &back, err)
		}
		r := Result{Refusal(rapid.IntRange(0, int(refusalEnd)-1).Draw(t, "refusal")), rapid.Uint64().Draw(t, "index"),
			lineage.ShardEpoch(rapid.Uint64().Draw(t, "epoch")), rapid.Uint64().Draw(t, "version")}
		if again, err := DecodeResult(r.Append(nil)); err != nil || again != r {
			t.Fatalf("%+v reads back as %+v, %v", r, again, err)
		}
	})
}

func TestDamagedCommands(t *testing.T) {
	for _, c := range each() {
		b := c.Append(nil)
		for n := range b {
			if got, err := DecodeCommand(b[:n]); !errors.Is(err, ErrCommand) {
				t.Errorf("%d of %d bytes of %v are %v, %v", n, len(b), &c, &got, err)
			}
		}
		if got, err := DecodeCommand(append(b, 0)); !errors.Is(err, ErrCommand) {
			t.Errorf("%v and a byte are %v, %v", &c, &got, err)
		}
	}
	counts := append([]byte{commandVersion, byte(CreateTenant)}, make([]byte, 48)...)
	regions := func(b ...byte) []byte { return append(append([]byte(nil), counts...), b...) }
	for _, c := range []struct {
		bytes []byte
		says  string
	}{
		{nil, "not a control command: 0 bytes"},
		{[]byte{1, 1}, "not a control command: version 1, this binary reads version 3"},
		{[]byte{3, 0}, "not a control command: kind 0, this binary knows 1..19"},
		{[]byte{3, 20}, "not a control command: kind 20, this binary knows 1..19"},
		{[]byte{3, byte(Register), 7}, "not a control command: register: the bytes end within a field"},
		{append([]byte{3, byte(DropTenant)}, make([]byte, 18)...), "not a control command: drop-tenant: 2 bytes follow the last field"},
		{regions(255, 255, 255, 255), "not a control command: create-tenant: 4294967295 elements of at least 1 bytes in 0 bytes: the bytes end within a field"},
		{regions(append([]byte{1, 0, 0, 0, 33}, make([]byte, 40)...)...), "not a control command: create-tenant: the name of a region is 33 bytes long, want at most 32"},
		{regions(append([]byte{0, 0, 0, 0, 1, 0, 1, 0}, make([]byte, 4*65537)...)...), "not a control command: create-tenant: 65537 slots, want at most 65536"},
	} {
		if _, err := DecodeCommand(c.bytes); err == nil || err.Error() != c.says || !errors.Is(err, ErrCommand) {
			t.Errorf("%.40x: %v, want %s", c.bytes, err, c.says)
		}
	}
	for _, b := range [][]byte{nil, make([]byte, 26), append([]byte{1, byte(refusalEnd)}, make([]byte, 24)...), append([]byte{1}, make([]byte, 26)...)} {
		if r, err := DecodeResult(b); !errors.Is(err, ErrCommand) {
			t.Errorf("% x is %+v, %v", b, r, err)
		}
	}
}

func TestDamagedSnapshots(t *testing.T) {
	l := newLog()
	l.must(t, excludes(1, m(0, 1), 7, 2))
	l.must(t, ended(8)...)
	l.must(t, restarts(5, 2), reforms(3, m(5, 2)))
	good := l.plane.Snapshot()
	other := living(New(founding()))
	before := string(other.Snapshot())
	for n := range good {
		if err := other.Restore(good[:n]); !errors.Is(err, ErrSnapshot) {
			t.Errorf("%d of %d bytes: %v", n, len(good), err)
		}
	}
	for name, c := range map[string]struct {
		spoil func(*Plane)
		says  string
	}{
		"order":       {func(p *Plane) { p.nodes[0], p.nodes[1] = p.nodes[1], p.nodes[0] }, "nodes: {0 eu 1 1 00000000000000000000000000000000 00000000000000000000000000000000 [] 0 0 false 1} follows {1 eu 1 1 00000000000000000000000000000000 00000000000000000000000000000000 [] 0 0 false 1}"},
		"leader":      {func(p *Plane) { p.shards[0].Leader = m(3, 1) }, "shard 1: leader 3/1 is not among [0/1 1/1 2/1]"},
		"incarnation": {func(p *Plane) { p.shards[0].InSync[0].Incarnation = 2 }, "shard 1: member 0/2, but registered is &{ID:0"},
		"twice":       {func(p *Plane) { p.nodes[2].Incarnation = 2; p.shards[0].InSync = []Member{m(2, 1), m(2, 2)} }, "shard 1: node 2 is in-sync twice: [2/1 2/2]"},
		"elsewhere":   {func(p *Plane) { p.shards[0].Replicas = p.shards[0].Replicas[1:] }, "shard 1: member 0/1 is not on one of [1 2]"},
		"stranger":    {func(p *Plane) { p.shards[0].Excluded = []Exclusion{{m(0, 2), 7, 0, 0}} }, "shard 1: exclusion {Member:0/2 Tenant:7 Slot:0 Life:0} among [0/1 1/1 2/1]"},
		"nobody":      {func(p *Plane) { p.shards[0].InSync[0].Incarnation = 0 }, "shard 1: member 0/0, but registered is &{ID:0"},
		"region":      {func(p *Plane) { p.shards[2].Region = "eu" }, `shard 3 in "eu": replica on &{ID:5`},
		"min":         {func(p *Plane) { p.shards[2].Min = 2 }, "shard 3: 1 replicas, min 2"},
		"residency":   {func(p *Plane) { p.tenants[0].Config.Residency = tenant.Residency{"us"} }, "tenant 7: slot 0 is in shard 1"},
		"config":      {func(p *Plane) { p.tenants[0].Config.Limits.Rate = 0 }, "invalid tenant configuration: tenant 7: limits.rate is 0"},
		"slots":       {func(p *Plane) { p.tenants[0].Shards, p.tenants[0].Slots = nil, nil }, "tenant 7 has no slots"},
		"drains":      {func(p *Plane) { p.nodes[3].Draining, p.nodes[6].Draining = true, true }, "nodes 3 and 6 are drained, want one at a time"},
		"more granted than held": {func(p *Plane) { p.tenants[0].Slots[1].Grant[quota.Bytes]++; p.tenants[0].Slots[0].Grant[quota.Bytes]-- },
			"tenant 7, dropping false: slot 1: {Grant:[3 3 "},
		"more granted than allowed": {func(p *Plane) { p.tenants[0].Slots[1].Grant[0]++; p.tenants[0].Slots[1].Held[0]++ },
			"tenant 7: [11 10 1000000000 1000000000000000] are granted of [10 10 1000000000 1000000000000000]"},
		"taken before it was granted": {func(p *Plane) { p.tenants[0].Slots[1].Taken++ }, "tenant 7, dropping false: slot 1: {Grant:[3 3 "},
		"closed":                      {func(p *Plane) { p.tenants[0].Slots[1].Closed = true }, "tenant 7, dropping false: slot 1: {Grant:[3 3 "},
		"dropped":                     {func(p *Plane) { p.tenants[0].Config.ID = 8 }, "tenant 8 is there, and dropped"},
	} {
		p := new(Plane)
		if err := p.Restore(good); err != nil {
			t.Fatal(err)
		}
		c.spoil(p)
		if err := other.Restore(p.Snapshot()); !errors.Is(err, ErrSnapshot) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %s", name, err, c.says)
		}
	}
	for _, c := range []struct{ bytes, says string }{
		{"tctl\x01\x00\x00\x00", "version 1, this binary reads version 3"},
		{"tctl\x04\x00\x00\x00", "version 4, this binary reads version 3"},
		{"tctl\x03\x00\x00\x00", "the bytes end within a field"},
		{"tctx\x03\x00\x00\x00", `8 bytes, no "tctl" at the start`},
		{string(good) + "\x00", "1 bytes follow the last field"},
	} {
		if err := other.Restore([]byte(c.bytes)); !errors.Is(err, ErrSnapshot) || err.Error() != ErrSnapshot.Error()+": "+c.says {
			t.Errorf("%.20q: %v, want %s", c.bytes, err, c.says)
		}
	}
	if string(other.Snapshot()) != before {
		t.Error("a snapshot that was refused left something behind")
	}
}

func FuzzDecodeCommand(f *testing.F) {
	for _, c := range each() {
		f.Add(c.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := DecodeCommand(b)
		if err != nil {
			return
		}
		if again := c.Append(nil); string(again) != string(b) {
			t.Fatalf("% x is written as % x", b, again)
		}
		p := living(New(founding()))
		if _, err := p.Apply(2, b); err != nil {
			t.Fatal(err)
		}
		if err := invariant(p); err != nil {
			t.Fatalf("after %v: %v", &c, err)
		}
	})
}

func FuzzRestore(f *testing.F) {
	l := newLog()
	f.Add(l.plane.Snapshot())
	l.do(excludes(1, m(0, 1), 7, 2))
	for _, c := range after(ended(8), small, gives(0), []Command{drains(4)}) {
		l.do(c)
	}
	f.Add(l.plane.Snapshot())
	f.Fuzz(func(t *testing.T, b []byte) {
		p := new(Plane)
		if p.Restore(b) != nil || p.index > math.MaxUint64-100 {
			return
		}
		again := new(Plane)
		if err := again.Restore(p.Snapshot()); err != nil || string(again.Snapshot()) != string(p.Snapshot()) {
			t.Fatalf("% x: %v", b, err)
		}
		for i, c := range each() {
			p.Do(p.index+1+uint64(i), &c)
		}
	})
}
