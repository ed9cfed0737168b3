package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/desired"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/harness/campaign"
)

// checked is the last JSON of tenants check.
type checked struct {
	Schema   int    `json:"schema"`
	Type     string `json:"type"` // "tenants"
	File     string `json:"file"`
	Cluster  string `json:"cluster,omitempty"`
	Valid    bool   `json:"valid"`
	Tenants  int    `json:"tenants"`  // that are to be there
	Drop     int    `json:"drop"`     // that are not
	Commands int    `json:"commands"` // that the cluster would need

	// Of an invalid entry: its place, in File or in Cluster, and the fault.
	In      string `json:"in,omitempty"`
	Path    string `json:"path,omitempty"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	What    string `json:"what,omitempty"`
	Instead string `json:"instead,omitempty"`
	Exit    int    `json:"exit"`
}

// needed is a command that the cluster would need, as JSON.
type needed struct {
	Schema    int              `json:"schema"`
	Type      string           `json:"type"` // "command"
	Kind      string           `json:"kind"`
	Tenant    tenant.ID        `json:"tenant"`
	Base      uint64           `json:"base,omitempty"`
	Version   uint64           `json:"version,omitempty"`
	Limits    *tenant.Limits   `json:"limits,omitempty"`
	Residency tenant.Residency `json:"residency,omitempty"`
	Shards    []lineage.Shard  `json:"shards,omitempty"`
}

func (c *command) tenants() *cobra.Command {
	cmd := &cobra.Command{
		Use: "tenants", Short: "check files that say which tenants are wanted", Args: onlyCommands,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var cluster string
	check := &cobra.Command{
		Use:   "check FILE",
		Short: "say what is wrong with a tenants file, and which commands a cluster would need",
		Long: `Check a tenants file: JSON that says which tenants there are to be, with their limits,
residency and slots, and which are to be dropped. With --cluster it is compared with
the tenants and shards of a cluster file, and the commands are printed that would
bring a cluster there that was founded so. Nothing is sent to anybody. Exit codes: 0
valid, 2 not valid or unreadable; the error has line and column.`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return c.checkTenants(args[0], cluster) },
	}
	check.Flags().StringVar(&cluster, "cluster", "", "cluster file to compare with")
	cmd.AddCommand(check)
	return cmd
}

// checkTenants looks at the tenants file first, and then at it beside the cluster.
func (c *command) checkTenants(file, cluster string) error {
	result := &checked{Schema: campaign.Schema, Type: "tenants", File: file, Cluster: cluster, In: file}
	data, err := readBounded(file)
	if err != nil {
		return err
	}
	state, err := desired.Decode(data)
	if err != nil {
		return c.notValid(result, err)
	}
	result.Tenants, result.Drop = len(state.Tenants), len(state.Drop)
	if cluster == "" {
		return c.valid(result, nil)
	}
	result.In = cluster
	founding, err := readBounded(cluster)
	if err != nil {
		return err
	}
	founded, err := control.DecodeCluster(founding)
	if err != nil {
		return c.notValid(result, err)
	}
	result.In = file
	commands, err := desired.DiffFile(control.New(founded), data)
	if err != nil {
		return c.notValid(result, err)
	}
	return c.valid(result, commands)
}

// valid prints the commands that are needed, and the result.
func (c *command) valid(result *checked, commands []control.Command) error {
	result.Valid, result.In, result.Commands = true, "", len(commands)
	for i := range commands {
		if !c.json {
			fmt.Fprintln(c.stdout, &commands[i])
		} else if err := c.line(asNeeded(&commands[i])); err != nil {
			return err
		}
	}
	if c.json {
		return c.line(result)
	}
	text := fmt.Sprintf("%s: valid: %d tenants, %d to drop", result.File, result.Tenants, result.Drop)
	if result.Cluster != "" {
		text += fmt.Sprintf("; %s needs %d commands", result.Cluster, result.Commands)
	}
	_, err := fmt.Fprintln(c.stdout, text)
	return err
}

// notValid returns the error about one of the files, and as JSON prints it too.
func (c *command) notValid(result *checked, err error) error {
	var field *desired.FieldError
	if c.json && errors.As(err, &field) {
		result.Path, result.Line, result.Column, result.What, result.Instead = field.Path, field.Line, field.Column, field.What, field.Instead
		result.Exit = campaign.ExitUsage
		if err := c.line(result); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s: %w", result.In, err)
}

func asNeeded(c *control.Command) *needed {
	n := &needed{Schema: campaign.Schema, Type: "command", Kind: c.Kind.String(), Tenant: c.Tenant, Base: c.Base}
	if c.Kind != control.DropTenant {
		n.Tenant, n.Version, n.Limits = c.Config.ID, c.Config.Version, &c.Config.Limits
		n.Residency, n.Shards = c.Config.Residency, c.Shards
	}
	return n
}

// readBounded reads a file that a person wrote. A wrong one must not take the memory.
func readBounded(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, desired.MaxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", campaign.ErrUsage, err)
	case len(data) > desired.MaxFile:
		return nil, fmt.Errorf("%s: %w: more than %d bytes", path, campaign.ErrUsage, desired.MaxFile)
	}
	return data, nil
}
