package probe

import (
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidaldb/tidalsim/core/health"
)

// The gauges. The unit stands last in a name, and is a base unit.

var (
	regionLabels  = []string{"region"}
	nodeLabels    = []string{"node", "region"}
	shardLabels   = []string{"shard", "region"}
	replicaLabels = []string{"shard", "region", "node"}
	tenantLabels  = []string{"tenant"}
)

// Each of these is 1 for the state that holds, 0 for the others, and absent while it is unknown.
var (
	regionStatus = desc("region_status", "1 for how a region is, 0 for how it is not.", "region", "status")
	nodeState    = desc("node_state", "1 for whether a node takes part, 0 for what is not so.", "node", "region", "state")
	shardLeader  = desc("shard_leader", "1 for the node that leads a shard.", "shard", "region", "node")
	tenantState  = desc("tenant_state", "1 for whether a tenant is there to stay, 0 for what is not so.", "tenant", "state")
)

// buildInfo is 1 for the version of this binary.
func buildInfo() prometheus.Collector {
	version, revision := "unknown", "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = s.Value
			}
		}
	}
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "tidal_build_info", Help: "1 for what this binary was built from.",
		ConstLabels: prometheus.Labels{"version": version, "revision": revision, "goversion": runtime.Version()},
	}, func() float64 { return 1 })
}

var refused = desc("tenant_refused_requests", "Requests refused for a quota, in each slot since its leader began to lead.", "tenant", "resource")

var ofCluster = []family[health.Cluster]{
	gauge("control_index", "Last entry of the control plane's log that these figures tell of.", nil,
		func(c *health.Cluster) health.Figure { return c.Index }),
	gauge("control_age_seconds", "Upper bound of how old the control plane's state is here.", nil,
		func(c *health.Cluster) health.Figure { return c.AgeMs }),
	gauge("control_watched_seconds", "For how long this node has been told who lives.", nil,
		func(c *health.Cluster) health.Figure { return c.WatchedMs }),
	gauge("control_coordinator", "1 if this node leads the control plane, 0 if another one does.", nil,
		func(c *health.Cluster) health.Figure {
			return health.Figure{Known: c.Coordinator.Known, Value: health.True(c.Coordinator.Value == c.Node).Figure().Value}
		}),
}

var ofRegions = []family[health.Region]{
	gauge("region_nodes", "Nodes that are registered in a region.", regionLabels,
		func(r *health.Region) health.Figure { return health.Of(r.Nodes) }),
	gauge("region_nodes_heard", "Nodes of a region that were heard lately.", regionLabels,
		func(r *health.Region) health.Figure { return r.NodesHeard }),
	gauge("region_lag_seconds", "Longest lag of a replica in a region.", regionLabels,
		func(r *health.Region) health.Figure { return r.LagMs }),
	gauge("region_age_seconds", "Upper bound of how old a region's figures are.", regionLabels,
		func(r *health.Region) health.Figure { return r.AgeMs }),
}

var ofNodes = []family[health.Node]{
	gauge("node_incarnation", "Which life of a node's process is agreed on.", nodeLabels,
		func(n *health.Node) health.Figure { return n.Incarnation.Figure() }),
	gauge("node_silent_seconds", "For how long a node was not heard.", nodeLabels,
		func(n *health.Node) health.Figure { return n.SilentMs }),
	gauge("node_disk_used_bytes", "Bytes of the segments and snapshots of a node's replicas.", nodeLabels,
		func(n *health.Node) health.Figure { return n.Disk.UsedBytes }),
	gauge("node_disk_free_bytes", "Bytes that a node's file system has left for it.", nodeLabels,
		func(n *health.Node) health.Figure { return n.Disk.FreeBytes }),
	gauge("node_disk_age_seconds", "Upper bound of how old the figures of a node's disk are.", nodeLabels,
		func(n *health.Node) health.Figure { return n.Disk.AgeMs }),
	gauge("node_replicas", "Shards that a node is to hold.", nodeLabels,
		func(n *health.Node) health.Figure { return n.Replicas }),
	gauge("node_leaderships", "Shards that a node leads.", nodeLabels,
		func(n *health.Node) health.Figure { return n.Leaderships }),
}

var ofShards = []family[health.Shard]{
	gauge("shard_epoch", "Epoch of a shard's leadership.", shardLabels,
		func(s *health.Shard) health.Figure { return s.Epoch.Figure() }),
	gauge("shard_version", "Version of a shard's configuration.", shardLabels,
		func(s *health.Shard) health.Figure { return s.Version }),
	gauge("shard_in_sync_replicas", "Replicas that have all that was acknowledged.", shardLabels,
		func(s *health.Shard) health.Figure {
			return health.Figure{Known: s.Version.Known, Value: uint64(len(s.InSync))}
		}),
	gauge("shard_excluded_logs", "Logs of a shard's members that do not count, as their disks failed.", shardLabels,
		func(s *health.Shard) health.Figure { return s.Excluded }),
	gauge("shard_entities", "Live entities of a shard.", shardLabels,
		func(s *health.Shard) health.Figure { return s.Entities }),
	gauge("shard_logical_bytes", "Encoded signals of a shard's live entities.", shardLabels,
		func(s *health.Shard) health.Figure { return s.LogicalBytes }),
	gauge("shard_signals_per_second", "Signals committed per second in the last window.", shardLabels,
		(*health.Shard).SignalsPerSecond),
	gauge("shard_window_seconds", "The window in which signals were counted.", shardLabels,
		func(s *health.Shard) health.Figure { return s.WindowMs }),
	gauge("shard_age_seconds", "Upper bound of how old a shard's figures are.", shardLabels,
		func(s *health.Shard) health.Figure { return s.AgeMs }),
}

var ofReplicas = []family[health.Replica]{
	gauge("replica_in_sync", "1 if a replica has all that was acknowledged, else 0.", replicaLabels,
		func(r *health.Replica) health.Figure { return r.InSync.Figure() }),
	gauge("replica_lag_records", "Records that a shard's leader appended and a replica has not made durable.", replicaLabels,
		func(r *health.Replica) health.Figure { return r.LagRecords }),
	gauge("replica_lag_seconds", "For how long the oldest of those records has been waiting.", replicaLabels,
		func(r *health.Replica) health.Figure { return r.LagMs }),
	gauge("replica_lag_age_seconds", "Upper bound of how old a replica's lag is.", replicaLabels,
		func(r *health.Replica) health.Figure { return r.AgeMs }),
	gauge("replica_disk_used_bytes", "Bytes of a replica's segments and snapshots.", replicaLabels,
		func(r *health.Replica) health.Figure { return r.Disk.UsedBytes }),
	gauge("replica_disk_age_seconds", "Upper bound of how old the bytes of a replica's files are.", replicaLabels,
		func(r *health.Replica) health.Figure { return r.Disk.AgeMs }),
}

var ofTenants = []family[total]{
	gauge("tenant_version", "Version of a tenant's configuration.", tenantLabels,
		func(t *total) health.Figure { return t.Version }),
	gauge("tenant_compliant", "1 if all replicas of a tenant are where it may be, else 0.", tenantLabels,
		func(t *total) health.Figure { return t.Compliant.Figure() }),
	gauge("tenant_limit_operations_per_second", "Rate that a tenant may keep up.", tenantLabels,
		func(t *total) health.Figure { return t.Quota.Rate }),
	gauge("tenant_limit_burst_operations", "Operations that a tenant may do at once.", tenantLabels,
		func(t *total) health.Figure { return t.Quota.Burst }),
	gauge("tenant_limit_entities", "Live entities that a tenant may have.", tenantLabels,
		func(t *total) health.Figure { return t.Quota.Entities }),
	gauge("tenant_limit_bytes", "Encoded signals of live entities that a tenant may have.", tenantLabels,
		func(t *total) health.Figure { return t.Quota.Bytes }),
	gauge("tenant_used_entities", "Live entities that a tenant has.", tenantLabels,
		func(t *total) health.Figure { return t.used.Entities }),
	gauge("tenant_used_bytes", "Encoded signals of live entities that a tenant has.", tenantLabels,
		func(t *total) health.Figure { return t.used.Bytes }),
	gauge("tenant_age_seconds", "Upper bound of how old a tenant's use and refusals are.", tenantLabels,
		func(t *total) health.Figure { return t.age }),
}
