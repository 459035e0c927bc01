// Package trim removes old rows of an account from a large table, in slices that each look at a bounded number of rows.
//
// It walks a table by its primary key. Ids are given in the order of time, give or take what transactions wait for each other, so that old rows lie at
// the beginning and no index by time is needed: one would cost every insert a write. The package imports database, and no other package of ours.
package trim

import (
	"context"

	"gorm.io/gorm"

	"hongyan/internal/database"
)

// Slice is a piece of a walk: the next Most rows of a table, of whichever account.
type Slice struct {
	AccountID int64
	After     int64 // ids above this one
	Before    int64 // unix ms: the account's rows that are older go
	Most      int
}

// Row is a row as a walk sees it.
type Row struct {
	ID        int64
	AccountID int64
	At        int64 // unix ms: how old it is
	Open      bool  // something still needs it, so it stays however old it is
}

// Cut is what became of a slice.
type Cut struct {
	Removed int64
	Next    int64 // the last id that was looked at: the next slice lies after it
	// Clean is the id up to which nothing is left to remove in this slice, now or later; 0: none.
	Clean int64
	// Stuck tells that a row of the account stays behind, so that Clean cannot go further: the next walk has to look at it again.
	Stuck bool
	End   bool // nothing old comes after this slice
}

// Table reads a slice and removes rows from it.
type Table struct {
	// Read returns up to Most rows with an id above After, by id.
	Read func(tx *gorm.DB, after int64, most int) ([]Row, error)
	// Remove removes rows that were old and not open, and returns how many there were. The ids are sorted.
	Remove func(tx *gorm.DB, ids []int64) (int64, error)
}

// Do removes what is old in a slice, in one transaction; it reads before that, because a row that was not open stays so.
func (s Slice) Do(ctx context.Context, db *database.DB, t Table) (Cut, error) {
	rows, err := t.Read(db.Read(ctx), s.After, s.Most)
	if err != nil {
		return Cut{}, err
	}
	cut, ids := s.choose(rows)
	if len(ids) == 0 {
		return cut, nil
	}
	err = db.Tx(ctx, func(tx *gorm.DB) error {
		var err error
		cut.Removed, err = t.Remove(tx, ids)
		return err
	})
	if err != nil {
		return Cut{}, err
	}
	return cut, nil
}

// choose says which rows go. A row that is too new does not end the walk by itself: one that was stored under a wrong clock would end it for years.
func (s Slice) choose(rows []Row) (cut Cut, ids []int64) {
	cut.Next, cut.End = s.After, true
	for _, r := range rows {
		cut.Next = r.ID
		old := r.At < s.Before
		if old {
			cut.End = false
		}
		if r.AccountID != s.AccountID {
			if old && !cut.Stuck {
				cut.Clean = r.ID
			}
			continue
		}
		switch {
		case !old || r.Open:
			cut.Stuck = true
		default:
			ids = append(ids, r.ID)
			if !cut.Stuck {
				cut.Clean = r.ID
			}
		}
	}
	cut.End = cut.End || len(rows) < s.Most
	return cut, ids
}
