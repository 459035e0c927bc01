package campaigns

import (
	"context"

	"gorm.io/gorm"
)

// ArchiveDrip puts a drip away that nothing can come of any more: lists leave it out, its figures stay. A draft may be put away as well; it cannot be started
// then. Restore takes it out again. c.Revision is needed. Errors: NotFound, Conflict when the drip is going on or changed since.
func (s *Store) ArchiveDrip(ctx context.Context, c Change) error {
	return s.archive(ctx, c, s.Clock.Now().UnixMilli(), []State{StateDraft, StateFinished, StateCancelled})
}

// RestoreDrip takes a drip out of the archive. c.Revision is needed. Errors: NotFound, Conflict.
func (s *Store) RestoreDrip(ctx context.Context, c Change) error {
	return s.archive(ctx, c, 0, States())
}

func (s *Store) archive(ctx context.Context, c Change, at int64, from []State) error {
	return s.DB.Tx(ctx, func(tx *gorm.DB) error {
		res := tx.Model(&dripRow{}).Where("id = ? AND account_id = ? AND kind = ? AND revision = ? AND state IN ?", c.ID, c.AccountID, kindDrip, c.Revision, from).
			Updates(map[string]any{"archived_at": at, "revision": gorm.Expr("revision + 1"), "updated_at": s.Clock.Now().UnixMilli()})
		return s.changed(tx, res, c, from)
	})
}
