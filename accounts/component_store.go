package accounts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"hongyan/internal/fault"
)

// CreateComponent stores a new component and sets its ID. Errors: Invalid with a field for each problem, Conflict when the AppID exists.
func (s *Store) CreateComponent(ctx context.Context, c *Component) error {
	c.Name = cmp.Or(c.Name, c.AppID)
	if err := c.validate(); err != nil {
		return err
	}
	c.Revision, c.CreatedAt = 1, s.clock.Now().UnixMilli()
	c.UpdatedAt = c.CreatedAt
	r, err := c.seal(s.vault)
	if err != nil {
		return err
	}
	err = s.db.Tx(ctx, func(tx *gorm.DB) error {
		r.ID = 0
		return tx.Create(r).Error
	})
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return fault.At("appid", "unique", fault.New(fault.Conflict, "component %s is there already; change it instead", c.AppID))
	}
	if err != nil {
		return fmt.Errorf("create component: %w", err)
	}
	c.ID = r.ID
	c.connect(s.db, s.clock, s.vault)
	s.forget()
	return nil
}

// UpdateComponent changes a component's name, secret, callback or base URL, as when its keys are rotated; its appid stays. Its access token is forgotten
// with the secret that it was had by. Errors: Invalid with a field for each problem, NotFound, Conflict when somebody changed the component since revision.
func (s *Store) UpdateComponent(ctx context.Context, id, revision int64, change func(*Component)) (*Component, error) {
	current, err := s.ReadComponent(ctx, id)
	if err != nil {
		return nil, err
	}
	changed := *current
	changed.Callback.AESKeys = slices.Clone(changed.Callback.AESKeys)
	change(&changed)
	changed.AppID, changed.Name = current.AppID, cmp.Or(changed.Name, current.AppID)
	if err := changed.validate(); err != nil {
		return nil, err
	}
	changed.UpdatedAt, changed.Revision = s.clock.Now().UnixMilli(), revision+1
	r, err := changed.seal(s.vault)
	if err != nil {
		return nil, err
	}
	err = s.db.Tx(ctx, func(tx *gorm.DB) error {
		res := tx.Model(&componentRow{}).Where("id = ? AND revision = ?", id, revision).
			Select("name", "base_url", "secret", "callback_token", "aes_key", "previous_aes_key", "revision", "updated_at").Updates(r)
		if res.Error == nil && res.RowsAffected == 0 {
			return fault.New(fault.Conflict, "the component was changed by somebody else; read it again")
		}
		if res.Error != nil || changed.Secret == current.Secret {
			return res.Error
		}
		return tx.Exec("DELETE FROM component_tokens WHERE component_id = ?", id).Error
	})
	if err != nil {
		return nil, fmt.Errorf("update component %d: %w", id, err)
	}
	changed.connect(s.db, s.clock, s.vault)
	s.forget()
	return &changed, nil
}

// FindComponent returns a component, at most two seconds old. Errors: NotFound.
func (s *Store) FindComponent(ctx context.Context, id int64) (*Component, error) {
	if err := s.refresh(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.components[id]; c != nil {
		return c, nil
	}
	return nil, fault.New(fault.NotFound, "there is no component %d", id)
}

// FindComponentByAppID finds the component that a push is for. Errors: NotFound.
func (s *Store) FindComponentByAppID(ctx context.Context, appid string) (*Component, error) {
	all, err := s.FindComponents(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		if c.AppID == appid {
			return c, nil
		}
	}
	return nil, fault.New(fault.NotFound, "there is no component %q", appid)
}

// FindComponents lists all components by id.
func (s *Store) FindComponents(ctx context.Context) ([]*Component, error) {
	if err := s.refresh(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return byID(s.components), nil
}

// FindAuthorised finds the account with this appid that authorised the component, and is not misled by what this process read before another one took
// the authorisation. Errors: NotFound.
func (s *Store) FindAuthorised(ctx context.Context, componentID int64, appid string) (*Account, error) {
	for again := false; ; again = true {
		a, err := s.FindAccountByAppID(ctx, appid)
		switch {
		case err == nil && a.Connection == ConnectionComponent && a.ComponentID == componentID:
			return a, nil
		case err != nil && !fault.Is(err, fault.NotFound):
			return nil, err
		case again:
			return nil, fault.New(fault.NotFound, "account %q has not authorised component %d", appid, componentID)
		}
		s.forget()
	}
}

// readComponents reads all components. Those whose rows have not changed stay the same.
func (s *Store) readComponents(ctx context.Context) (map[int64]*Component, error) {
	var rows []componentRow
	if err := s.db.Read(ctx).Omit("ticket").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("read components: %w", err)
	}
	s.mu.Lock()
	known := s.components
	s.mu.Unlock()
	all := make(map[int64]*Component, len(rows))
	for i := range rows {
		r := &rows[i]
		if old := known[r.ID]; old != nil && old.Revision == r.Revision {
			all[r.ID] = old
			continue
		}
		c, err := r.open(s.vault)
		if err != nil {
			return nil, err
		}
		c.connect(s.db, s.clock, s.vault)
		all[r.ID] = c
	}
	return all, nil
}
