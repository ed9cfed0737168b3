package transcript

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/wire"
)

// compose makes the bytes of a message from words, and the role fills in the fields that they leave out.
func (s *Stage) compose(peer env.ID, said string) ([]byte, error) {
	kind, rest, _ := strings.Cut(said, " ")
	m := wire.Message{}
	for k, name := range wire.KindNames() {
		if name == kind && kind != "" {
			m.Kind = wire.Kind(k)
		}
	}
	if m.Kind == 0 {
		return nil, errors.New("no such message")
	}
	named, err := pairs(rest)
	if err != nil {
		return nil, err
	}
	s.role.FillIn(peer, &m, named)
	for _, pair := range named {
		i := indexOf(fieldsOf(&m), pair.Name)
		if i < 0 {
			return nil, fmt.Errorf("a message has no %s", pair.Name)
		}
		if err := fieldsOf(&m)[i].set(pair.Value); err != nil {
			return nil, err
		}
	}
	payload := wire.Append(nil, &m)
	var carried wire.Message
	if err := wire.Decode(payload, &carried); err != nil {
		return nil, err
	}
	for _, pair := range named {
		if i := indexOf(fieldsOf(&m), pair.Name); fieldsOf(&carried)[i].show() != fieldsOf(&m)[i].show() {
			return nil, fmt.Errorf("a %s does not carry all of that", kind)
		}
	}
	return payload, nil
}

// field is one field of a message in words; "" is zero.
type field struct {
	name string
	show func() string
	set  func(string) error
}

func indexOf(fields []field, name string) int {
	for i := range fields {
		if fields[i].name == name {
			return i
		}
	}
	return -1
}

func numeric[T integer](name string, p *T) field {
	return field{name, func() string {
		if *p == 0 {
			return ""
		}
		return fmt.Sprint(*p)
	}, NumberInto(p)}
}

// fieldsOf is the table of the fields of a message, in the order in which they are
// shown.
func fieldsOf(m *wire.Message) []field {
	entity := &m.Entity
	if m.Kind == wire.Write {
		entity = &m.Signal.Entity
	}
	return []field{
		{"command", func() string { return orNothing(m.Command != 0, m.Command.String()) }, nil},
		{"conn", func() string { return orNothing(m.Conn != 0, fmt.Sprintf("%d/%d", m.Conn>>32, m.Conn&(1<<32-1))) }, connInto(&m.Conn)},
		numeric("frame", &m.Frame), numeric("tenant", &m.Tenant), numeric("slot", &m.Slot), numeric("placement", &m.Placement),
		numeric("nonce", &m.Nonce), numeric("session", &m.Session), numeric("request", &m.Request), numeric("floor", &m.Floor),
		numeric("entity", entity), numeric("kind", &m.Signal.Kind), numeric("weight", &m.Signal.Weight), numeric("seq", &m.Seq), numeric("epoch", &m.Epoch),
		{"code", func() string { return orNothing(m.Code != 0, m.Code.String()) }, codeInto(&m.Code)},
		numeric("resource", (*uint8)(&m.Quota.Resource)), numeric("limit", &m.Quota.Limit), numeric("used", &m.Quota.Used),
		{"retry", func() string { return orNothing(m.Quota.RetryAfter != 0, Span(m.Quota.RetryAfter)) }, DurationInto(&m.Quota.RetryAfter)},
		numeric("field", &m.BadField.Field), numeric("value", &m.BadField.Value), numeric("in-force", &m.Outdated.Version),
		numeric("last", &m.State.LastSeq),
		{"totals", func() string { return TotalsInWords(&m.State) }, nil},
	}
}

func orNothing(there bool, text string) string {
	if there {
		return text
	}
	return ""
}

// connInto reads a connection's number, incarnation/nonce.
func connInto(p *uint64) func(string) error {
	return func(word string) error {
		var incarnation, nonce uint64
		_, err := fmt.Sscanf(word, "%d/%d", &incarnation, &nonce)
		*p = incarnation<<32 | nonce
		return err
	}
}

func codeInto(p *wire.Code) func(string) error {
	return func(word string) error {
		for c := range wire.Code(255) {
			if c.String() == word {
				*p = c
				return nil
			}
		}
		return fmt.Errorf("no code is called %s", word)
	}
}

// InWords writes a message.
func InWords(m *wire.Message) string {
	text := m.Kind.String()
	for _, f := range fieldsOf(m) {
		if shown := f.show(); shown != "" {
			text += " " + f.name + " " + shown
		}
	}
	if m.Code == wire.QuotaExceeded {
		text += " (" + m.Quota.Resource.String() + ")"
	}
	return text
}

// TotalsInWords writes the totals of an entity.
func TotalsInWords(s *signal.State) string {
	var words []string
	for kind, t := range s.Totals {
		if t.Count > 0 {
			words = append(words, fmt.Sprintf("%d:%dx=%d", kind, t.Count, t.Weight))
		}
	}
	return strings.Join(words, ",")
}
