package desired

import (
	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/strict"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// MaxFile bounds the size of a tenants file, bytes.
const MaxFile = 16 << 20

// Decode reads a State from JSON, as package strict does, and validates it. Every error
// is a *FieldError with line and column.
func Decode(data []byte) (*State, error) {
	s, _, err := decode(data)
	return s, err
}

// DiffFile is Decode followed by Diff. Every error is a *FieldError with line and column.
func DiffFile(p *control.Plane, data []byte) ([]control.Command, error) {
	s, file, err := decode(data)
	if err != nil {
		return nil, err
	}
	commands, err := Diff(p, s)
	if err != nil {
		return nil, file.Locate(err)
	}
	return commands, nil
}

func decode(data []byte) (*State, *strict.Document, error) {
	if len(data) > MaxFile {
		e := wrong("", "%d bytes, want at most %d", len(data), MaxFile)
		e.Line, e.Column = 1, 1
		return nil, nil, e
	}
	s := new(State)
	file, err := strict.Decode(data, ErrInvalid, shape(), s)
	if err != nil {
		return nil, nil, err
	}
	if err := s.Validate(); err != nil {
		return nil, nil, file.Locate(err)
	}
	return s, file, nil
}

func shape() strict.Shape {
	return strict.Object(
		strict.Required("tenants", strict.List(strict.Object(
			strict.Required("id", tenant.IDShape()), strict.Required("limits", tenant.LimitsShape()),
			strict.Optional("residency", tenant.ResidencyShape()),
			strict.Optional("slots", strict.Number()), strict.Optional("shards", strict.List(strict.Number())),
		))),
		strict.Optional("drop", strict.List(tenant.IDShape())),
	)
}
