package tenant

import "github.com/tidaldb/tidalsim/core/strict"

// IDShape is what an ID is in a file that people write.
func IDShape() strict.Shape {
	return strict.TextOf("a tenant ID: a decimal number in quotes", func(s string) error {
		_, err := ParseID(s)
		return err
	})
}

// LimitsShape is what Limits are in a file that people write.
func LimitsShape() strict.Shape {
	return strict.Object(
		strict.Required("rate", strict.Number()), strict.Optional("burst", strict.Number()),
		strict.Optional("entities", strict.Number()), strict.Optional("bytes", strict.Number()),
	)
}

// ResidencyShape is the shape of a Residency in a file that people write.
func ResidencyShape() strict.Shape { return strict.List(strict.Text()) }
