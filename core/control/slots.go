package control

// enoughForEach: every slot of the tenant gets a share of rate and burst with which it
// can admit something.
func enoughForEach(p *Plane, x *change) Refusal {
	slots := len(x.Shards)
	if x.Kind == Configure {
		slots = len(p.Tenant(x.tenant()).Shards)
	}
	return unless(x.Config.ValidateSlots(slots) == nil, InvalidConfig)
}
