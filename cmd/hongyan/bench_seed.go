package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"hongyan/accounts"
	"hongyan/campaigns"
	"hongyan/deliveries"
	"hongyan/guard"
	"hongyan/internal/database"
	"hongyan/limits"
	"hongyan/wechat"
)

// What fans' openids start with, by what the fans are for. They have the platform's length of 28.
const (
	benchBulk    = "oBulk"
	benchPlanned = "oPlanned"
	benchPushed  = "oPushed"
)

func benchOpenID(kind string, i int) string { return fmt.Sprintf("%s%0*d", kind, 28-len(kind), i) }

// isTimed reports whether the time of a fan's message counts.
func isTimed(openid string) bool { return !strings.HasPrefix(openid, benchBulk) }

const (
	benchAppID    = "wxbench000000000001"
	benchSecret   = "bench-secret"
	benchOriginal = "gh_bench0000001"
	benchNickname = "小雁"
	benchText     = "{{nickname|朋友}}你好，本周新到埃塞俄比亚豆，回复「试饮」到店免费喝一杯。"
)

// benchAccount makes an account with everything switched on: a cap, a policy, callbacks in safe mode.
func benchAccount(ctx context.Context, s *Server, sink string, change func(*accounts.Account)) (*accounts.Account, error) {
	dailyCap := 15
	a := &accounts.Account{
		AppID: benchAppID, OriginalID: benchOriginal, Name: "鸿雁咖啡", Kind: accounts.KindService, Verified: true, BaseURL: sink,
		Secret: benchSecret, Callback: accounts.Callback{Mode: accounts.ModeSafe, Token: sandboxToken, AESKeys: []string{sandboxAESKey}},
		Spec: guard.PolicySpec{DailyCap: &dailyCap},
	}
	change(a)
	if err := s.Scheduler.Accounts.CreateAccount(ctx, a); err != nil {
		return nil, fmt.Errorf("make the account: %w", err)
	}
	return a, nil
}

// fanSlice is how many fans or deliveries one transaction seeds.
const fanSlice = 10_000

// seedFans makes n followers whose own message opened five customer-service messages for 48 hours a moment ago. They are given in the order of their ids.
func seedFans(ctx context.Context, s *Server, a *accounts.Account, kind string, n int) ([]int64, error) {
	now := s.Clock.Now().UnixMilli()
	for first := 0; first < n; first += fanSlice {
		err := s.storage.db.Tx(ctx, func(tx *gorm.DB) error {
			for from := first; from < min(first+fanSlice, n); from += database.ChunkSize {
				rows := make([][]any, 0, database.ChunkSize)
				for i := from; i < min(from+database.ChunkSize, first+fanSlice, n); i++ {
					rows = append(rows, []any{a.ID, benchOpenID(kind, i), 1, benchNickname, now, now, now})
				}
				if err := insertFans(tx, rows); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("make fans: %w", err)
		}
	}
	allowance := wechat.RulesAt(s.Clock.Now()).Grants[wechat.TriggerMessage]
	err := s.storage.db.Tx(ctx, func(tx *gorm.DB) error {
		return tx.Exec("INSERT INTO fan_limits (fan_id, account_id, generation, message_left, message_until, message_generation) "+
			"SELECT id, account_id, 1, ?, ?, 1 FROM fans WHERE account_id = ? AND openid LIKE ?",
			allowance.Messages, now+allowance.Usable().Milliseconds(), a.ID, kind+"%").Error
	})
	if err != nil {
		return nil, fmt.Errorf("open grants: %w", err)
	}
	var ids []int64
	err = s.storage.db.Read(ctx).Raw("SELECT id FROM fans WHERE account_id = ? AND openid LIKE ? ORDER BY id", a.ID, kind+"%").Scan(&ids).Error
	return ids, err
}

func insertFans(tx *gorm.DB, rows [][]any) error {
	q := "INSERT INTO fans (account_id, openid, subscribed, nickname, subscribed_at, interacted_at, created_at) VALUES (?,?,?,?,?,?,?)"
	return tx.Exec(q+strings.Repeat(",(?,?,?,?,?,?,?)", len(rows)-1), slices.Concat(rows...)...).Error
}

// benchPlan is what is planned for fans.
type benchPlan struct {
	source   deliveries.Source
	message  int64
	fans     []int64
	due      func(i int) time.Time
	lateness time.Duration
}

// broadcast makes a running broadcast with one message: a row of campaigns, as the rows of its deliveries want one that runs.
func broadcast(ctx context.Context, s *Server, a *accounts.Account) (src deliveries.Source, message int64, err error) {
	err = s.storage.db.Tx(ctx, func(tx *gorm.DB) error {
		ids, err := s.Scheduler.Templates.Save(tx, a.ID, []wechat.Message{wechat.TextMessage(benchText)})
		if err != nil {
			return err
		}
		now := s.Clock.Now().UnixMilli()
		row := campaignRow{AccountID: a.ID, Kind: deliveries.SourceBroadcast.String(), Name: "bench", State: string(campaigns.StateRunning), Revision: 1, CreatedAt: now, UpdatedAt: now}
		if err := tx.Create(&row).Error; err != nil {
			return err
		}
		src, message = deliveries.Source{Kind: deliveries.SourceBroadcast, ID: row.ID}, ids[0]
		return nil
	})
	if err != nil {
		return src, 0, fmt.Errorf("make a broadcast: %w", err)
	}
	return src, message, nil
}

// campaignRow is a campaign as the table keeps it.
type campaignRow struct {
	ID        int64 `gorm:"primaryKey"`
	AccountID int64
	Kind      string
	Name      string
	State     string
	Revision  int64
	CreatedAt int64 `gorm:"autoCreateTime:false"`
	UpdatedAt int64 `gorm:"autoUpdateTime:false"`
}

// TableName implements gorm's Tabler.
func (campaignRow) TableName() string { return "campaigns" }

// planAll puts deliveries into the ledger through its own Plan.
func planAll(ctx context.Context, s *Server, a *accounts.Account, p *benchPlan) error {
	now := s.Clock.Now()
	allowance := wechat.RulesAt(now).Grants[wechat.TriggerMessage]
	grant := now.Add(allowance.Usable()).UnixMilli()
	for start, fans := range chunks(p.fans, fanSlice) {
		rows := make([]deliveries.Planned, len(fans))
		for i, fan := range fans {
			due := p.due(start + i)
			notAfter := due.Add(p.lateness).UnixMilli()
			rows[i] = deliveries.Planned{
				Key:      deliveries.Key{AccountID: a.ID, Source: p.source, FanID: fan, Occurrence: 1, StepNo: 1, MessageNo: 1},
				StepSize: 1, Channel: guard.ChannelKefu, Class: guard.ClassMarketing, MessageID: p.message,
				DueAt: due.UnixMilli(), NotAfter: notAfter, Deadline: min(notAfter, grant), State: deliveries.StatePlanned,
			}
		}
		err := s.storage.db.Tx(ctx, func(tx *gorm.DB) error { return s.Scheduler.Ledger.Plan(tx, now, rows) })
		if err != nil {
			return err
		}
	}
	return nil
}

// chunks gives slices of up to n, each with the index of its first element.
func chunks(all []int64, n int) func(func(int, []int64) bool) {
	return func(yield func(int, []int64) bool) {
		at := 0
		for part := range slices.Chunk(all, n) {
			if !yield(at, part) {
				return
			}
			at += len(part)
		}
	}
}

// runningDrip makes and starts a drip.
func runningDrip(ctx context.Context, s *Server, a *accounts.Account, definition map[string]any) (int64, error) {
	raw, err := json.Marshal(definition)
	if err != nil {
		return 0, fmt.Errorf("write a drip: %w", err)
	}
	d, err := s.Scheduler.Campaigns.CreateDrip(ctx, a, campaigns.NewDrip{Name: "bench", Definition: raw})
	if err != nil {
		return 0, err
	}
	return d.ID, s.Scheduler.Campaigns.StartDrip(ctx, a, campaigns.Change{ID: d.ID})
}

// inFlightFor is the account's limit of which the bulk lane's part is n.
func inFlightFor(n int) int {
	limit := 2
	for limits.LaneSlots(limit, limits.LaneBulk) < n {
		limit++
	}
	return limit
}

func sqliteSync(ctx context.Context, db *database.DB) (string, error) {
	names := []string{"OFF", "NORMAL", "FULL", "EXTRA"}
	mode, journal := 0, ""
	err := db.Tx(ctx, func(tx *gorm.DB) error {
		if err := tx.Raw("PRAGMA synchronous").Scan(&mode).Error; err != nil {
			return err
		}
		return tx.Raw("PRAGMA journal_mode").Scan(&journal).Error
	})
	if err != nil {
		return "", fmt.Errorf("ask how the database syncs: %w", err)
	}
	return fmt.Sprintf("sqlite synchronous=%s journal_mode=%s, queue in memory", names[min(mode, len(names)-1)], journal), nil
}
