package campaigns

import (
	"database/sql"
	"encoding/json"
	"fmt"

	"gorm.io/gorm"

	"hongyan/internal/database"
)

// dripRow is a row of the table campaigns.
type dripRow struct {
	ID            int64 `gorm:"primaryKey"`
	AccountID     int64
	Kind          string
	Name          string
	State         string
	StoppedReason string
	VersionID     int64
	Priority      int
	Revision      int64
	CreatedAt     int64 `gorm:"autoCreateTime:false"`
	UpdatedAt     int64 `gorm:"autoUpdateTime:false"`
	ArchivedAt    int64
	ShadowSince   int64
}

// TableName implements gorm's Tabler.
func (dripRow) TableName() string { return "campaigns" }

// versionRow is a row of the table campaign_versions.
type versionRow struct {
	ID         int64 `gorm:"primaryKey"`
	AccountID  int64
	CampaignID int64
	Number     int
	Definition string
	CreatedAt  int64 `gorm:"autoCreateTime:false"`
}

// TableName implements gorm's Tabler.
func (versionRow) TableName() string { return "campaign_versions" }

// read reads drips that fulfil a condition on campaigns c.
func (s *Store) read(tx *gorm.DB, where string, args ...any) ([]*Drip, error) {
	var out []*Drip
	err := database.EachRow(tx, func(rows *sql.Rows) error {
		d := &Drip{}
		var raw string
		err := rows.Scan(&d.ID, &d.AccountID, &d.Name, &d.State, &d.StoppedReason, &d.Priority, &d.VersionID, &d.Version, &d.Revision, &raw, &d.CreatedAt, &d.UpdatedAt, &d.ArchivedAt, &d.ShadowSince)
		if err != nil {
			return err
		}
		var keep stored
		if err := json.Unmarshal([]byte(raw), &keep); err != nil {
			return fmt.Errorf("drip %d: %w", d.ID, err)
		}
		d.Definition = keep.Definition
		out = append(out, d)
		return nil
	}, "SELECT c.id, c.account_id, c.name, c.state, c.stopped_reason, c.priority, c.version_id, v.number, c.revision, v.definition, c.created_at, c.updated_at, c.archived_at, c.shadow_since "+
		"FROM campaigns c JOIN campaign_versions v ON v.id = c.version_id WHERE c.kind = '"+kindDrip+"' AND "+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read drips: %w", err)
	}
	return out, nil
}

const runColumns = "id, campaign_id, version_id, fan_id, occurrence, interaction_id, state, step_no, started_at, ended_at, base_at, COALESCE(timer_at, 0), waiting, began_by"

func scanRun(into func(*run)) func(*sql.Rows) error {
	return func(rows *sql.Rows) error {
		r := &run{}
		err := rows.Scan(&r.id, &r.campaignID, &r.versionID, &r.fanID, &r.occurrence, &r.interactionID, &r.state, &r.step, &r.startedAt, &r.ended,
			&r.base, &r.timer, &r.waiting, &r.beganBy)
		if err != nil {
			return err
		}
		into(r)
		return nil
	}
}

// wakeValue is a run's wake for the column, which is null for runs that the sweeper leaves alone, so that they leave its index.
func (r *run) wakeValue() any { return orNull(r.wake) }

// timerValue is the same for the timer.
func (r *run) timerValue() any { return orNull(r.timer) }

func orNull(n int64) any {
	if n == 0 {
		return nil
	}
	return n
}
