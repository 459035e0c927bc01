package accounts

import "context"

// ReadAccount returns an account as the database has it now, where FindAccount may be two seconds old. Errors: NotFound.
func (s *Store) ReadAccount(ctx context.Context, id int64) (*Account, error) { return s.read(ctx, id) }
