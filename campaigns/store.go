package campaigns

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"hongyan/accounts"
	"hongyan/deliveries"
	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/fault"
	"hongyan/internal/stops"
	"hongyan/limits"
	"hongyan/templates"
	"hongyan/wechat"
)

// kindDrip is the kind of campaign that this package runs.
const kindDrip = "drip"

// Waiter waits until a stop holds everywhere: all live workers have seen the epoch. It tells how many calls were still on
// the wire then.
type Waiter interface {
	Wait(ctx context.Context, epoch int64) (onWire int, err error)
}

// Accounts finds the account of an enrolment for the sweeper.
type Accounts interface {
	FindAccount(ctx context.Context, id int64) (*accounts.Account, error)
}

// Options are the rooms that a Store works with. All are needed.
type Options struct {
	DB        *database.DB
	Clock     clock.Clock
	Accounts  Accounts
	Limits    *limits.Store
	Templates *templates.Store
	Ledger    *deliveries.Store
	Stops     Waiter
}

// Store reads and writes drips and moves fans through them. It is safe for concurrent use.
type Store struct {
	Options
	cache cache
}

// New returns the drips kept in opts.DB.
func New(opts Options) *Store { return &Store{Options: opts, cache: newCache()} }

// Drip is a sequence of steps that an act of a fan starts.
type Drip struct {
	ID            int64
	AccountID     int64
	Name          string
	State         State
	StoppedReason string // why it is paused, if it was not a member who did it
	Priority      int    // of several drips that could answer an act, the highest does
	VersionID     int64
	Version       int   // counts from 1
	Revision      int64 // changes with every change of the drip
	Definition    Definition
	// Reaches says which steps can arrive, as of now. CreateDrip and UpdateDrip set it; for others see the function Reaches.
	Reaches   []Reach
	CreatedAt int64
	UpdatedAt int64
}

// NewDrip is what a drip is made of.
type NewDrip struct {
	Name       string
	Priority   int
	Definition []byte // JSON; see Definition
}

// CreateDrip stores a new drip as a draft. Errors: Invalid with a field for each problem; nothing is stored then.
func (s *Store) CreateDrip(ctx context.Context, account *accounts.Account, in NewDrip) (*Drip, error) {
	now := s.Clock.Now()
	def, err := ParseDefinition(in.Definition, account, now)
	if err = errors.Join(checkName(in.Name), checkPriority(in.Priority), err); err != nil {
		return nil, err
	}
	var id int64
	err = s.DB.Tx(ctx, func(tx *gorm.DB) error {
		row := dripRow{
			AccountID: account.ID, Kind: kindDrip, Name: in.Name, State: string(StateDraft), Priority: in.Priority, Revision: 1,
			CreatedAt: now.UnixMilli(), UpdatedAt: now.UnixMilli(),
		}
		if err := tx.Create(&row).Error; err != nil {
			return fmt.Errorf("create a drip: %w", err)
		}
		id = row.ID
		return s.addVersion(tx, account.ID, id, def, now)
	})
	if err != nil {
		return nil, err
	}
	return s.saved(ctx, account, id)
}

// saved is a drip as its author gets it back: with what will become of its steps.
func (s *Store) saved(ctx context.Context, account *accounts.Account, id int64) (*Drip, error) {
	d, err := s.FindDrip(ctx, account.ID, id)
	if err != nil {
		return nil, err
	}
	d.Reaches, err = Reaches(d.Definition, account, s.Clock.Now())
	return d, err
}

// DripPatch is a change of a drip; what is nil stays.
type DripPatch struct {
	Name       *string
	Priority   *int
	Definition []byte
}

// UpdateDrip changes a drip that has not ended. A new definition becomes a new version: fans in the middle of a run keep theirs.
// Errors: Invalid with a field for each problem, NotFound, Conflict when the drip has ended or changed since revision.
func (s *Store) UpdateDrip(ctx context.Context, account *accounts.Account, id, revision int64, patch DripPatch) (*Drip, error) {
	now := s.Clock.Now()
	set := map[string]any{"revision": gorm.Expr("revision + 1"), "updated_at": now.UnixMilli()}
	var errs []error
	if patch.Name != nil {
		errs, set["name"] = append(errs, checkName(*patch.Name)), *patch.Name
	}
	if patch.Priority != nil {
		errs, set["priority"] = append(errs, checkPriority(*patch.Priority)), *patch.Priority
	}
	var def Definition
	if patch.Definition != nil {
		var err error
		def, err = ParseDefinition(patch.Definition, account, now)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	err := s.DB.Tx(ctx, func(tx *gorm.DB) error {
		res := tx.Model(&dripRow{}).
			Where("id = ? AND account_id = ? AND kind = ? AND revision = ? AND state IN ?", id, account.ID, kindDrip, revision, []State{StateDraft, StateRunning, StatePaused}).
			Updates(set)
		if err := s.changed(tx, res, account.ID, id); err != nil {
			return err
		}
		if patch.Definition != nil {
			if err := s.addVersion(tx, account.ID, id, def, now); err != nil {
				return err
			}
		}
		_, err := stops.Bump(tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.saved(ctx, account, id)
}

// changed turns a conditional update that met no row into the error that says why.
func (s *Store) changed(tx, res *gorm.DB, accountID, id int64) error {
	if res.Error != nil {
		return fmt.Errorf("change drip %d: %w", id, res.Error)
	}
	if res.RowsAffected > 0 {
		return nil
	}
	var n int64
	err := tx.Raw("SELECT COUNT(*) FROM campaigns WHERE id = ? AND account_id = ? AND kind = ?", id, accountID, kindDrip).Scan(&n).Error
	switch {
	case err != nil:
		return fmt.Errorf("change drip %d: %w", id, err)
	case n == 0:
		return notFound(id)
	}
	return fault.New(fault.Conflict, "the drip is not in a state that allows this, or somebody changed it in the meantime; reload it")
}

func notFound(id int64) error { return fault.New(fault.NotFound, "this account has no drip %d", id) }

// addVersion stores the definition with its messages and makes it the drip's current version. The drip's row is locked or new.
func (s *Store) addVersion(tx *gorm.DB, accountID, dripID int64, def Definition, now time.Time) error {
	var all []wechat.Message
	for i := range def.Steps {
		all = append(all, def.Steps[i].Messages...)
	}
	ids, err := s.Templates.Save(tx, accountID, all)
	if err != nil {
		return err
	}
	keep := stored{Definition: def}
	for i := range def.Steps {
		n := len(def.Steps[i].Messages)
		keep.MessageIDs = append(keep.MessageIDs, ids[:n])
		ids = ids[n:]
	}
	raw, err := encode(keep)
	if err != nil {
		return fmt.Errorf("store drip %d: %w", dripID, err)
	}
	var number int
	if err := tx.Raw("SELECT COALESCE(MAX(number), 0) + 1 FROM campaign_versions WHERE campaign_id = ?", dripID).Scan(&number).Error; err != nil {
		return fmt.Errorf("store drip %d: %w", dripID, err)
	}
	row := versionRow{AccountID: accountID, CampaignID: dripID, Number: number, Definition: raw, CreatedAt: now.UnixMilli()}
	if err := tx.Create(&row).Error; err != nil {
		return fmt.Errorf("store drip %d: %w", dripID, err)
	}
	if err := tx.Exec("UPDATE campaigns SET version_id = ? WHERE id = ?", row.ID, dripID).Error; err != nil {
		return fmt.Errorf("store drip %d: %w", dripID, err)
	}
	return nil
}

// FindDrip finds one drip of an account. Errors: NotFound.
func (s *Store) FindDrip(ctx context.Context, accountID, id int64) (*Drip, error) {
	found, err := s.read(s.DB.Read(ctx), "c.account_id = ? AND c.id = ?", accountID, id)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, notFound(id)
	}
	return found[0], nil
}

// DripFilter narrows FindDrips. The zero value takes all.
type DripFilter struct {
	States  []State
	AfterID int64 // drips with a greater id
	Limit   int   // at most; 0 means 50
}

// FindDrips lists an account's drips by id.
func (s *Store) FindDrips(ctx context.Context, accountID int64, filter DripFilter) ([]*Drip, error) {
	if filter.Limit <= 0 {
		filter.Limit = 50
	}
	if len(filter.States) == 0 {
		filter.States = States()
	}
	return s.read(s.DB.Read(ctx), "c.account_id = ? AND c.id > ? AND c.state IN ? ORDER BY c.id LIMIT ?", accountID, filter.AfterID, filter.States, filter.Limit)
}
