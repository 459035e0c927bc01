package campaigns

import (
	"context"
	"encoding/json"
	"fmt"
	"math"

	"hongyan/internal/fault"
)

// Version is what a drip said from some time on. Fans who entered it stay with it.
type Version struct {
	ID         int64
	DripID     int64
	Number     int // counts from 1 in a drip
	Definition Definition
	CreatedAt  int64
}

// VersionList says which versions FindVersions lists.
type VersionList struct {
	DripID   int64
	BeforeID int64 // those with a smaller id; 0: from the newest on
	Limit    int
}

// FindVersions lists a drip's versions, the newest first. Errors: NotFound for the drip.
func (s *Store) FindVersions(ctx context.Context, accountID int64, l VersionList) ([]*Version, error) {
	if _, err := s.FindDrip(ctx, accountID, l.DripID); err != nil {
		return nil, err
	}
	before := l.BeforeID
	if before <= 0 {
		before = math.MaxInt64
	}
	return s.readVersions(ctx, "account_id = ? AND campaign_id = ? AND id < ? ORDER BY id DESC LIMIT ?", accountID, l.DripID, before, l.Limit)
}

// FindVersion finds one version of a drip by its id. Errors: NotFound.
func (s *Store) FindVersion(ctx context.Context, accountID, dripID, id int64) (*Version, error) {
	found, err := s.readVersions(ctx, "id = ? AND account_id = ? AND campaign_id = ?", id, accountID, dripID)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fault.New(fault.NotFound, "this drip has no version %d", id)
	}
	return found[0], nil
}

func (s *Store) readVersions(ctx context.Context, where string, args ...any) ([]*Version, error) {
	var rows []versionRow
	if err := s.DB.Read(ctx).Raw("SELECT id, account_id, campaign_id, number, definition, created_at FROM campaign_versions WHERE "+where, args...).Scan(&rows).Error; err != nil {
		return nil, fmt.Errorf("read a drip's versions: %w", err)
	}
	out := make([]*Version, len(rows))
	for i, r := range rows {
		var keep stored
		if err := json.Unmarshal([]byte(r.Definition), &keep); err != nil {
			return nil, fmt.Errorf("read version %d: %w", r.ID, err)
		}
		out[i] = &Version{ID: r.ID, DripID: r.CampaignID, Number: r.Number, Definition: keep.Definition, CreatedAt: r.CreatedAt}
	}
	return out, nil
}
