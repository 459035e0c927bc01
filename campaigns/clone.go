package campaigns

import (
	"context"
	"fmt"
	"time"

	"hongyan/accounts"
)

// CloneDrip makes a new draft that says what a drip's current version says. An end that has passed is left out. What a draft could not say any more, because
// a tag or an attribute is gone, is refused. Errors: NotFound, Invalid with a field for each problem.
func (s *Store) CloneDrip(ctx context.Context, account *accounts.Account, id int64, name string) (*Drip, error) {
	d, err := s.FindDrip(ctx, account.ID, id)
	if err != nil {
		return nil, err
	}
	def := d.Definition
	if end, err := time.Parse(time.RFC3339, def.EndsAt); err == nil && !end.After(s.Clock.Now()) {
		def.EndsAt = ""
	}
	raw, err := encode(def)
	if err != nil {
		return nil, fmt.Errorf("clone drip %d: %w", id, err)
	}
	return s.CreateDrip(ctx, account, NewDrip{Name: name, Priority: d.Priority, Definition: []byte(raw)})
}

// CheckDrip says what CreateDrip would say of a definition, and stores nothing.
func (s *Store) CheckDrip(ctx context.Context, account *accounts.Account, definition []byte) (Checked, error) {
	now := s.Clock.Now()
	def, _, err := s.parse(ctx, definition, account, now)
	if err != nil {
		return Checked{}, err
	}
	out := Checked{Warnings: Warnings(def)}
	out.Reaches, err = Reaches(def, account, now)
	return out, err
}
