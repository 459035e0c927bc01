package campaigns

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"gorm.io/gorm"

	"hongyan/accounts"
	"hongyan/deliveries"
	"hongyan/fans"
	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/fault"
	"hongyan/internal/stops"
	"hongyan/limits"
	"hongyan/templates"
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
	Fans      *fans.Store
	Limits    *limits.Store
	Templates *templates.Store
	Ledger    *deliveries.Store
	Stops     Waiter
	Tagger    Tagger
	Webhooks  Webhooks
	Links     Links
	// Moved is told, in the same transaction, that a drip's state has changed; nil tells nobody.
	Moved func(tx *gorm.DB, c Change, to State) error
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
	Reaches    []Reach
	CreatedAt  int64
	UpdatedAt  int64
	ArchivedAt int64 // when a member put it away; 0 for drips that lists show
	// ShadowSince is since when the draft is tried in shadow mode, unix ms; 0 if it is not.
	ShadowSince int64
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
	def, names, err := s.parse(ctx, in.Definition, account, now)
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
		if err := s.checkLoops(tx, account.ID, id, &def); err != nil {
			return err
		}
		return s.addVersion(tx, account.ID, id, names.keep(def), now)
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
	var names *catalogue
	if patch.Definition != nil {
		var err error
		def, names, err = s.parse(ctx, patch.Definition, account, now)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	going := []State{StateDraft, StateRunning, StatePaused}
	err := s.DB.Tx(ctx, func(tx *gorm.DB) error {
		res := tx.Model(&dripRow{}).
			Where("id = ? AND account_id = ? AND kind = ? AND revision = ? AND state IN ?", id, account.ID, kindDrip, revision, going).
			Updates(set)
		if err := s.changed(tx, res, Change{AccountID: account.ID, ID: id}, going); err != nil {
			return err
		}
		if patch.Definition != nil {
			if err := s.checkLoops(tx, account.ID, id, &def); err != nil {
				return err
			}
			if err := s.addVersion(tx, account.ID, id, names.keep(def), now); err != nil {
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

// changed turns a conditional update that met no row into the error that says why. from are the states that it allows.
func (s *Store) changed(tx, res *gorm.DB, c Change, from []State) error {
	if res.Error != nil {
		return fmt.Errorf("change drip %d: %w", c.ID, res.Error)
	}
	if res.RowsAffected > 0 {
		return nil
	}
	var now []struct{ State State }
	err := tx.Raw("SELECT state FROM campaigns WHERE id = ? AND account_id = ? AND kind = ?", c.ID, c.AccountID, kindDrip).Scan(&now).Error
	switch {
	case err != nil:
		return fmt.Errorf("change drip %d: %w", c.ID, err)
	case len(now) == 0:
		return notFound(c.ID)
	case !slices.Contains(from, now[0].State):
		return fault.New(fault.Conflict, "this cannot be done to a drip that is %s; %s", stateText(now[0].State), possible(now[0].State))
	}
	return fault.New(fault.Conflict, "somebody changed the drip in the meantime; reload it")
}

func notFound(id int64) error { return fault.New(fault.NotFound, "this account has no drip %d", id) }

// addVersion stores a definition with its messages and makes it the drip's current version. The drip's row is locked or new.
func (s *Store) addVersion(tx *gorm.DB, accountID, dripID int64, keep stored, now time.Time) error {
	var all []templates.Draft
	var tracked []string
	steps := keep.Definition.Numbered()
	for _, n := range steps {
		all, tracked = append(all, n.drafts()...), append(tracked, n.tracked()...)
	}
	ids, err := s.Templates.SaveDrafts(tx, accountID, all)
	if err != nil {
		return err
	}
	if len(tracked) > 0 {
		if err := s.Links.Keep(tx, accountID, tracked); err != nil {
			return err
		}
	}
	for _, n := range steps {
		keep.MessageIDs = append(keep.MessageIDs, ids[:len(n.Messages)])
		ids = ids[len(n.Messages):]
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

// DripFilter narrows FindDrips. The zero value takes all but the archived ones.
type DripFilter struct {
	States   []State
	Archived bool  // the archived ones instead
	BeforeID int64 // drips with a smaller id; 0: from the newest on
	Limit    int   // at most; 0 means 50
}

// FindDrips lists an account's drips, the newest first.
func (s *Store) FindDrips(ctx context.Context, accountID int64, filter DripFilter) ([]*Drip, error) {
	if filter.Limit <= 0 {
		filter.Limit = 50
	}
	if len(filter.States) == 0 {
		filter.States = States()
	}
	if filter.BeforeID <= 0 {
		filter.BeforeID = math.MaxInt64
	}
	archived := "c.archived_at = 0"
	if filter.Archived {
		archived = "c.archived_at > 0"
	}
	return s.read(s.DB.Read(ctx), "c.account_id = ? AND c.id < ? AND c.state IN ? AND "+archived+" ORDER BY c.id DESC LIMIT ?",
		accountID, filter.BeforeID, filter.States, filter.Limit)
}
