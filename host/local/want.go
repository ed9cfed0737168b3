package local

import (
	"context"
	"errors"
	"fmt"

	"github.com/tidaldb/tidalsim/core/client"
	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/desired"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/wire"
)

// Want brings the tenants of the cluster to the desired state of a tenants file, and returns the
// commands that were carried out: none, if nothing was missing. A file with any fault is an error
// that wraps desired.ErrInvalid, and none of it is carried out. Commands name the version that they
// were decided on: if another operator was first, the file is compared once more.
func (c *Cluster) Want(ctx context.Context, file []byte) (done []control.Command, err error) {
	for {
		plane, err := c.plane(ctx)
		if err != nil {
			return done, err
		}
		commands, err := desired.DiffFile(plane, file)
		if err != nil || len(commands) == 0 {
			return done, err
		}
		results, err := c.operate(ctx, c.operator(), commands)
		if err != nil {
			return done, err
		}
		var refused error
		for i := range results {
			switch r := &results[i]; {
			case r.Outcome == client.Acked:
				done = append(done, commands[i])
			case r.Outcome == client.Refused && r.Code != wire.VersionConflict && r.Code != wire.NotNow:
				refused = errors.Join(refused, fmt.Errorf("%v: %w", &commands[i], r.Err(&commands[i])))
			}
		}
		if err := errors.Join(refused, c.Ended(), pause(ctx)); err != nil {
			return done, err
		}
	}
}

// AcceptLoss lets a shard begin anew after the loss of every disk that had its acknowledged
// records. It returns when the shard has a set that a leader can come from. Until then the shard
// refuses clients as corrupt, and the acknowledged records are gone for good. If any node may still
// have those records, the shard has such a set already, and nothing happens.
func (c *Cluster) AcceptLoss(ctx context.Context, shard lineage.Shard) error {
	return c.duties(ctx, c.operator(), control.Command{Kind: control.AcceptLoss, Shard: shard})
}

func (c *Cluster) duties(ctx context.Context, by env.ID, command control.Command) error {
	for {
		results, err := c.operate(ctx, by, []control.Command{command})
		if err != nil {
			return fmt.Errorf("%v: %w", &command, err)
		}
		switch r := &results[0]; r.Outcome {
		case client.Acked:
			return nil
		case client.Refused:
			return r.Err(&command)
		}
		if err := errors.Join(c.Ended(), pause(ctx)); err != nil {
			return fmt.Errorf("%v: %w", &command, err)
		}
	}
}

// operate lets an operator, as the process by, ask for commands, one after the other.
func (c *Cluster) operate(ctx context.Context, by env.ID, commands []control.Command) ([]client.CommandResult, error) {
	ended := make(chan []client.CommandResult, 1)
	p, err := c.start(by, nil, func(e env.Env) env.Machine {
		return &operator{Operator: client.NewOperator(e, client.DefaultPatience, c.options.Cluster.Meta...), commands: commands, ended: ended}
	})
	if err != nil {
		return nil, err
	}
	var results []client.CommandResult
	select {
	case results = <-ended:
	case <-ctx.Done():
		err = ctx.Err()
	case <-p.Done():
		err = fmt.Errorf("the operator has ended: %s", p.Halted())
	}
	return results, errors.Join(err, end(p))
}

// operator asks for commands, one after the other.
type operator struct {
	*client.Operator
	commands []control.Command
	results  []client.CommandResult
	ended    chan<- []client.CommandResult // all results, once
}

// Step implements env.Machine.
func (o *operator) Step(ev *env.Event) {
	r, ended := o.Operator.Step(ev)
	if ended {
		o.results = append(o.results, r)
	}
	switch {
	case !ended && ev.Kind != env.Started:
	case len(o.results) < len(o.commands):
		o.Begin(o.commands[len(o.results)])
	default:
		o.ended <- o.results
	}
}

// Status implements env.Machine.
func (*operator) Status(*env.Status) {}
