package scenarios

// calm has no faults: a failure here is no fault's fault.
var calm = &Scenario{
	Name:  "calm",
	Story: "three tenants on three nodes, and nothing goes wrong",
	draw: func(d *draw, p *Plan) {
		d.base(p)
		d.slots(p)
	},
}
