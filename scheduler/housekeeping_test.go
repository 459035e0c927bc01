package scheduler_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/accounts"
	"hongyan/deliveries"
	"hongyan/fans"
	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/testdb"
	"hongyan/limits"
	"hongyan/links"
	"hongyan/scheduler"
)

// archive is an installation with data of 100 days: per account and day a push, its interaction, a delivery with its trace, a reaction to it, and a fan who left.
type archive struct {
	t        *testing.T
	db       *database.DB
	clk      *clock.Manual
	accounts *accounts.Store
}

const archiveDays = 100

func eachArchive(t *testing.T, test func(t *testing.T, a *archive)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		vault, err := accounts.NewVault(bytes.Repeat([]byte("k"), accounts.KeySize))
		require.NoError(t, err)
		a := &archive{t: t, db: db, clk: clock.NewManual(start)}
		a.accounts = accounts.New(db, a.clk, vault)
		for i := range 2 {
			require.NoError(t, a.accounts.CreateAccount(t.Context(), &accounts.Account{
				AppID: fmt.Sprint(appID, i), OriginalID: originalID, Name: "Coffee", Kind: accounts.KindService, Secret: secret,
				Callback: accounts.Callback{Mode: accounts.ModePlain, Token: pushToken},
			}))
		}
		a.fill()
		test(t, a)
	})
}

// fill stores the oldest day first, the accounts in turn, half an hour after the day's begin.
func (a *archive) fill() {
	a.t.Helper()
	values := func(day, account int) (at int64, fan string) {
		return start.AddDate(0, 0, -day).Add(30 * time.Minute).UnixMilli(), fmt.Sprint("o", account, "-", day)
	}
	var pushes, interactions, ledger, traces, reactions, clicks, people []string
	for day := archiveDays; day > 0; day-- {
		for account := 1; account <= 2; account++ {
			at, fan := values(day, account)
			n := (archiveDays-day)*2 + account
			pushes = append(pushes, fmt.Sprintf("(%d, '%s', '%s', 'x', 1, %d)", account, fan, fan, at))
			interactions = append(interactions, fmt.Sprintf("(%d, 1, %d, 'text', 1, %d)", account, n, at))
			ledger = append(ledger, fmt.Sprintf("(%d, 1, 7, %d, 1, 1, 1, 0, 1, 1, 1, 1, %d, 1, 1, 1, 1, %d)", account, n, deliveries.StateSkipped, at))
			traces = append(traces, fmt.Sprintf("(%d, %d, 0, 1, 1, '[]')", n, at))
			clicks = append(clicks, fmt.Sprintf("(%d, 1, %d, %d, %d)", n, account, n, at))
			reactions = append(reactions, fmt.Sprintf("(%d, 1, %d, %d)", n, n, at))
			people = append(people, fmt.Sprintf("(%d, '%s', 0, 'Li', %d, 1)", account, fan, at))
		}
	}
	require.NoError(a.t, a.db.Tx(a.t.Context(), func(tx *gorm.DB) error {
		for into, rows := range map[string][]string{
			"inbox (account_id, dedupe_key, openid, body, event_at, received_at)":          pushes,
			"interactions (account_id, fan_id, inbox_id, kind, event_at, recorded_at)":     interactions,
			"decisions (delivery_id, at, attempt, verdict, reason, values_json)":           traces,
			"reactions (delivery_id, kind, fan_id, at)":                                    reactions,
			"link_clicks (delivery_id, link_id, account_id, fan_id, at)":                   clicks,
			"fans (account_id, openid, subscribed, nickname, unsubscribed_at, created_at)": people,
			"deliveries (account_id, source_kind, source_id, fan_id, occurrence, step_no, message_no, resend, step_size, channel, class, message_id, " +
				"state, due_at, not_after, deadline_at, planned_at, ended_at)": ledger,
		} {
			if err := tx.Exec("INSERT INTO " + into + " VALUES " + strings.Join(rows, ", ")).Error; err != nil {
				return err
			}
		}
		return nil
	}))
}

// night is a run in a new process.
func (a *archive) night(change ...func(*scheduler.Retention)) scheduler.Trimmed {
	a.t.Helper()
	r := &scheduler.Retention{
		Accounts: a.accounts, Inbox: fans.NewInbox(a.db, a.clk), Fans: fans.New(a.db, a.clk, limits.New(a.db)), Ledger: deliveries.New(a.db, a.clk),
		Links: links.New(links.Options{DB: a.db}),
		Clock: a.clk, Log: slog.New(slog.DiscardHandler), Slice: 7,
	}
	for _, c := range change {
		c(r)
	}
	removed, err := r.RunOnce(a.t.Context())
	require.NoError(a.t, err)
	return removed
}

// left counts what an account has by kind.
func (a *archive) left(account int64) scheduler.Trimmed {
	a.t.Helper()
	out := scheduler.Trimmed{}
	for kind, from := range map[accounts.Kept]string{
		accounts.KeptInbox:        "inbox WHERE account_id = ?",
		accounts.KeptInteractions: "interactions WHERE account_id = ?",
		accounts.KeptTraces:       "decisions d JOIN deliveries v ON v.id = d.delivery_id WHERE v.account_id = ?",
		accounts.KeptReactions:    "reactions r JOIN deliveries v ON v.id = r.delivery_id WHERE v.account_id = ?",
		accounts.KeptClicks:       "link_clicks WHERE account_id = ?",
		accounts.KeptLeftFans:     "fans WHERE nickname = 'Li' AND account_id = ?",
	} {
		var n int64
		require.NoError(a.t, a.db.Read(a.t.Context()).Raw("SELECT COUNT(*) FROM "+from, account).Row().Scan(&n))
		out[kind] = n
	}
	return out
}

func (a *archive) keep(account int64, inbox, interactions, traces, leftFans int) {
	a.t.Helper()
	r, err := a.accounts.FindRetention(a.t.Context(), account)
	require.NoError(a.t, err)
	r.InboxDays, r.InteractionDays, r.TraceDays, r.LeftFanDays = inbox, interactions, traces, leftFans
	_, err = a.accounts.UpdateRetention(a.t.Context(), r)
	require.NoError(a.t, err)
}

// kinds are numbers by kind. Reactions and clicks are kept as long as traces.
func kinds(inbox, interactions, traces, leftFans int64) scheduler.Trimmed {
	return scheduler.Trimmed{
		accounts.KeptInbox: inbox, accounts.KeptInteractions: interactions, accounts.KeptTraces: traces, accounts.KeptReactions: traces, accounts.KeptClicks: traces,
		accounts.KeptLeftFans: leftFans,
	}
}

func TestEachAccountKeepsWhatItsPolicySays(t *testing.T) {
	t.Parallel()
	eachArchive(t, func(t *testing.T, a *archive) {
		a.keep(1, 10, 20, 30, 5)
		a.keep(2, 0, 0, 0, 0)
		require.Equal(t, kinds(90, 80, 70, 95), a.night())
		require.Equal(t, kinds(10, 20, 30, 5), a.left(1))
		require.Equal(t, kinds(100, 100, 100, 100), a.left(2), "for ever")
		var ledger int64
		require.NoError(t, a.db.Read(t.Context()).Raw("SELECT COUNT(*) FROM deliveries").Row().Scan(&ledger))
		require.EqualValues(t, 200, ledger, "the ledger stays whole")
		require.Equal(t, kinds(0, 0, 0, 0), a.night())

		a.clk.Advance(24 * time.Hour)
		a.keep(2, 50, 0, 3, 0)
		require.Equal(t, kinds(1+51, 1, 1+98, 1), a.night(), "a day later, and under another policy")
	})
}

func TestDefaultsApplyWhereNobodyHasSetAPolicy(t *testing.T) {
	t.Parallel()
	eachArchive(t, func(t *testing.T, a *archive) {
		a.night()
		for account := int64(1); account <= 2; account++ {
			require.Equal(t, kinds(accounts.DefaultInboxDays, archiveDays, archiveDays, accounts.DefaultLeftFanDays), a.left(account))
		}
	})
}

func TestARunThatIsCutShortGoesOnTheNextNight(t *testing.T) {
	t.Parallel()
	eachArchive(t, func(t *testing.T, a *archive) {
		a.keep(1, 10, 20, 30, 5)
		a.keep(2, 10, 20, 30, 5)
		want, sum, nights := kinds(10, 20, 30, 5), kinds(0, 0, 0, 0), 0
		for ; !maps.Equal(a.left(1), want) || !maps.Equal(a.left(2), want); nights++ {
			require.Less(t, nights, 30, "the next night goes on where the last one stopped and does not begin anew")
			for kind, n := range a.night(func(r *scheduler.Retention) { r.For = -time.Second }) { // over before it begins: a slice of each
				require.LessOrEqual(t, n, int64(2*7))
				sum[kind] += n
			}
		}
		require.Greater(t, nights, 10)
		require.Equal(t, kinds(180, 160, 140, 190), sum)
	})
}
