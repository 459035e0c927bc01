package accounts

import (
	"context"

	"hongyan/internal/fault"
)

// ReadAccount returns an account as the database has it now, where FindAccount may be two seconds old. Errors: NotFound.
func (s *Store) ReadAccount(ctx context.Context, id int64) (*Account, error) { return s.read(ctx, id) }

// ReadComponent returns a component as the database has it now, where FindComponent may be two seconds old. Errors: NotFound.
func (s *Store) ReadComponent(ctx context.Context, id int64) (*Component, error) {
	all, err := s.readComponents(ctx)
	if err != nil {
		return nil, err
	}
	if all[id] == nil {
		return nil, fault.New(fault.NotFound, "there is no component %d", id)
	}
	return all[id], nil
}
