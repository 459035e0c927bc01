package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"gorm.io/gorm"

	"hongyan/accounts"
	"hongyan/admin"
	"hongyan/deliveries"
	"hongyan/guard"
	"hongyan/internal/clock"
)

const (
	apiSources = 10     // drips of each account
	apiSlice   = 20_000 // fans whose rows are made by one statement
	apiNumbers = 1_000  // as many as a recursive query counts without being asked to allow more
	apiSamples = 400    // ids of each kind that requests name
	apiDays    = 60     // over which everything happened
	apiDay     = 24 * 60 * 60 * 1000
	// apiScatter spreads the times of fans evenly over apiDays: an odd part of them near the golden ratio.
	apiScatter = 3_203_888_191
)

// apiSeeded is what requests name.
type apiSeeded struct {
	tokens   [][]string // by run
	accounts []*apiAccount
	from     int64 // unix ms: when the first delivery was planned
}

// apiAccount is an account of the bench: nearly all fans are the first one's, a hundredth the second one's, a ten-thousandth the third one's, mixed.
type apiAccount struct {
	id       int64
	tags     []int64
	drips    []int64
	messages []int64 // by drip
	fans     []int64 // some
	ledger   []int64 // some deliveries
}

// account is mostly the large one.
func (s *apiSeeded) account(r *rand.Rand) *apiAccount {
	if n := r.IntN(10); n < len(s.accounts) {
		return s.accounts[n]
	}
	return s.accounts[0]
}

// fill puts values into the places of a text.
func (s *apiSeeded) fill(r *rand.Rand, a *apiAccount, text string) string {
	if !strings.Contains(text, "{") {
		return text
	}
	id := func(of []int64) string { return strconv.FormatInt(of[r.IntN(len(of))], 10) }
	at := s.from + r.Int64N(apiDays*24)*time.Hour.Milliseconds()
	return strings.NewReplacer(
		"{n}", strconv.Itoa(r.IntN(10)), "{fan}", id(a.fans), "{delivery}", id(a.ledger), "{tag}", id(a.tags), "{drip}", id(a.drips),
		"{time}", strconv.FormatInt(at, 10), "{later}", strconv.FormatInt(at+time.Hour.Milliseconds(), 10),
		"{day}", clock.FromMillis(at).Format(time.DateOnly), "{until}", clock.FromMillis(at).AddDate(0, 0, 7).Format(time.DateOnly),
	).Replace(text)
}

// apiSeeder fills a storage by statements that each make many rows out of those that are there.
type apiSeeder struct {
	*apiJob

	ctx  context.Context //nolint:containedctx // for the time of seed
	s    *Server
	now  int64
	last int64 // the last fan's id
}

// seed makes accounts, fans, what they did and what was sent to them, and tokens to ask with.
func (j *apiJob) seed(ctx context.Context) func(*Server) error {
	return func(s *Server) (err error) {
		w := &apiSeeder{apiJob: j, ctx: ctx, s: s, now: s.Clock.Now().UnixMilli()}
		j.seeded.from = w.now - apiDays*apiDay
		if j.line.Fsync, err = fsync(ctx, s); err != nil {
			return err
		}
		for _, step := range []func() error{w.tokens, w.accounts, w.fans, w.acts, w.tags, w.deliveries, w.figures, w.samples} {
			if err := step(); err != nil {
				return err
			}
		}
		return w.settle()
	}
}

func (w *apiSeeder) tx(fn func(tx *gorm.DB) error) error { return w.s.storage.db.Tx(w.ctx, fn) }

// settle lets the server know its tables, as it would after some hours.
func (w *apiSeeder) settle() error {
	query := "ANALYZE"
	if w.line.Storage == benchServers {
		query = "ANALYZE TABLE fans, fan_limits, fan_tags, interactions, deliveries, decisions"
	}
	if err := w.tx(func(tx *gorm.DB) error { return tx.Exec(query).Error }); err != nil {
		return fmt.Errorf("count the tables: %w", err)
	}
	return nil
}

// tokens makes a member per run with a token per client.
func (w *apiSeeder) tokens() error {
	members := admin.NewMembers(w.s.storage.db, w.s.Clock)
	for run := range w.runs {
		m, err := members.AddMember(w.ctx, fmt.Sprint("bench", run), "bench password of a bench")
		if err != nil {
			return err
		}
		var of []string
		for i := range apiConns {
			secret, err := members.CreateToken(w.ctx, &admin.Token{MemberID: m.ID, Name: strconv.Itoa(i), Scopes: []admin.Scope{admin.ScopeRead}})
			if err != nil {
				return err
			}
			of = append(of, secret)
		}
		w.seeded.tokens = append(w.seeded.tokens, of)
	}
	return nil
}

func (w *apiSeeder) accounts() error {
	for i := range 3 {
		a, err := benchAccount(w.ctx, w.s, "http://127.0.0.1:9", func(a *accounts.Account) {
			a.AppID, a.OriginalID = fmt.Sprint(benchAppID[:18], i), fmt.Sprint(benchOriginal, i)
		})
		if err != nil {
			return err
		}
		out := &apiAccount{id: a.ID}
		for range apiSources {
			drip, err := runningDrip(w.ctx, w.s, a, map[string]any{
				"triggers": []any{map[string]any{"kind": "keyword", "keywords": []string{"优惠"}, "match": "contains"}},
				"steps":    []any{dripStep(map[string]any{"delay": "0s"}, benchText)},
			})
			if err != nil {
				return err
			}
			var message int64
			if err := w.s.storage.db.Read(w.ctx).Raw("SELECT MAX(id) FROM messages WHERE account_id = ?", a.ID).Scan(&message).Error; err != nil {
				return fmt.Errorf("find a drip's message: %w", err)
			}
			out.drips, out.messages = append(out.drips, drip), append(out.messages, message)
		}
		w.seeded.accounts = append(w.seeded.accounts, out)
	}
	return nil
}

// fans makes the fans: a third have a nickname, a fortieth a remark, two fifths did something within apiDays.
func (w *apiSeeder) fans() error {
	a := w.seeded.accounts
	for first := 1; first <= w.apiJob.fans; first += apiSlice {
		err := w.tx(func(tx *gorm.DB) error {
			for i := first; i < first+apiSlice && i <= w.apiJob.fans; i += apiNumbers {
				err := tx.Exec("INSERT INTO fans (account_id, openid, unionid, subscribed, blacklisted, nickname, remark, scene, follow_source, subscribed_at, interacted_at, created_at) "+
					"WITH RECURSIVE n(i) AS (SELECT ? UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT CASE WHEN i % 10000 = 77 THEN ? WHEN i % 100 = 50 THEN ? ELSE ? END, "+
					"CONCAT('oBench', 1000000000 + i), CASE WHEN i % 2 = 0 THEN CONCAT('uBench', 1000000000 + i) ELSE '' END, CASE WHEN i % 10 = 3 THEN 0 ELSE 1 END, "+
					"CASE WHEN i % 3000 = 9 THEN 1 ELSE 0 END, CASE WHEN i % 3 = 0 THEN CONCAT('n', i % 1000) ELSE '' END, CASE WHEN i % 40 = 0 THEN CONCAT('r', i % 1000) ELSE '' END, "+
					"CASE WHEN i % 21 = 0 THEN CONCAT('ch', i % 10) ELSE '' END, CONCAT('ADD_SCENE_', i % 13), ?, CASE WHEN i % 5 < 2 THEN ? + (i * ?) % ? ELSE 0 END, ? FROM n",
					i, min(i+apiNumbers-1, w.apiJob.fans), a[2].id, a[1].id, a[0].id, w.seeded.from, w.seeded.from, apiScatter, apiDays*apiDay, w.seeded.from).Error
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("make fans: %w", err)
		}
	}
	return w.s.storage.db.Read(w.ctx).Raw("SELECT MAX(id) FROM fans").Scan(&w.last).Error
}

// slices runs a statement for every slice of fans; it ends in a condition to which the slice's ids are the last two arguments.
func (w *apiSeeder) slices(query string, args ...any) error {
	for first := int64(1); first <= w.last; first += apiSlice {
		err := w.tx(func(tx *gorm.DB) error {
			return tx.Exec(query+" f.id BETWEEN ? AND ?", append(append([]any{}, args...), first, first+apiSlice-1)...).Error
		})
		if err != nil {
			return fmt.Errorf("make rows: %w", err)
		}
	}
	return nil
}

// acts makes two interactions of each fan, and grants for those who wrote lately.
func (w *apiSeeder) acts() error {
	err := w.slices("INSERT INTO fan_limits (fan_id, account_id, message_left, message_until) SELECT f.id, f.account_id, 5, CASE WHEN f.interacted_at > 0 THEN f.interacted_at + ? ELSE 0 END "+
		"FROM fans f WHERE", 2*apiDay)
	for n := 0; n < 2 && err == nil; n++ {
		err = w.slices("INSERT INTO interactions (account_id, fan_id, inbox_id, kind, detail, event_at, recorded_at) SELECT f.account_id, f.id, f.id * 2 + ?, "+
			"CASE WHEN f.id % 50 = 0 THEN 'scan' ELSE 'text' END, 'hello', ? + (f.id * ?) % ?, ? FROM fans f WHERE", n, w.seeded.from, apiScatter, apiDays*apiDay, w.now)
	}
	return err
}

// tags gives all fans of an account a tag, a tenth of them another, a thousandth and a ten-thousandth two more.
func (w *apiSeeder) tags() error {
	for _, a := range w.seeded.accounts {
		for _, each := range []int64{1, 10, 1000, 10_000} {
			id := a.id*10 + int64(len(a.tags))
			err := w.tx(func(tx *gorm.DB) error {
				return tx.Exec("INSERT INTO tags (id, account_id, name, created_at) VALUES (?, ?, ?, ?)", id, a.id, fmt.Sprint("one of ", each), w.now).Error
			})
			if err == nil {
				err = w.slices("INSERT INTO fan_tags (tag_id, fan_id, account_id, seen_at) SELECT ?, f.id, f.account_id, ? FROM fans f WHERE f.account_id + 0 = ? AND f.id % ? = 0 AND", id, w.now, a.id, each)
			}
			if err == nil {
				err = w.tx(func(tx *gorm.DB) error {
					return tx.Exec("UPDATE tags SET fans = (SELECT COUNT(*) FROM fan_tags WHERE tag_id = ?) WHERE id = ?", id, id).Error
				})
			}
			if err != nil {
				return fmt.Errorf("tag fans: %w", err)
			}
			a.tags = append(a.tags, id)
		}
	}
	return nil
}

// deliveries makes rows as drips leave them behind, in the order of time: of a thousand, 900 were sent, 70 skipped, 20 are planned, 5 are expired, 3 failed and 2 are
// unknown.
func (w *apiSeeder) deliveries() error {
	fans := int64(w.apiJob.fans)
	step := max(apiDays*apiDay/int64(w.deliver), 1)
	perAccount := func(of func(*apiAccount) int64) string {
		var text strings.Builder
		text.WriteString("CASE f.account_id")
		for _, a := range w.seeded.accounts {
			fmt.Fprintf(&text, " WHEN %d THEN %d", a.id, of(a))
		}
		return text.String() + " END"
	}
	for round := int64(0); round*fans < int64(w.deliver); round++ {
		h := fmt.Sprintf("((f.id * 31 + %d) %% 1000)", round*7)
		state := fmt.Sprintf("CASE WHEN %[1]s < 900 THEN %[2]d WHEN %[1]s < 970 THEN %[3]d WHEN %[1]s < 990 THEN %[4]d WHEN %[1]s < 995 THEN %[5]d WHEN %[1]s < 998 THEN %[6]d ELSE %[7]d END",
			h, deliveries.StateSent, deliveries.StateSkipped, deliveries.StatePlanned, deliveries.StateExpired, deliveries.StateFailed, deliveries.StateUnknown)
		planned := h + " BETWEEN 970 AND 989"
		left := int64(w.deliver) - round*fans
		err := w.slices("INSERT INTO deliveries (account_id, source_kind, source_id, fan_id, occurrence, step_no, message_no, resend, step_size, channel, class, message_id, state, reason, "+
			"due_at, not_after, deadline_at, lane, lane_source, lane_at, planned_at, ended_at) SELECT f.account_id, ?, "+
			perAccount(func(a *apiAccount) int64 { return a.drips[round%apiSources] })+", f.id, ?, 1, 1, 0, 1, ?, ?, "+perAccount(func(a *apiAccount) int64 { return a.messages[round%apiSources] })+", "+
			state+", CASE WHEN "+h+" BETWEEN 900 AND 969 THEN ? ELSE 0 END, ?, ?, ?, CASE WHEN "+planned+" THEN 3 END, "+
			"CASE WHEN "+planned+" THEN 0 WHEN "+h+" >= 998 THEN 7 WHEN "+h+" >= 995 THEN 6 END, CASE WHEN "+planned+" THEN ? + f.id END, ? + f.id * ?, CASE WHEN "+planned+" THEN 0 ELSE ? + f.id * ? END "+
			"FROM fans f WHERE f.id <= ? AND",
			deliveries.SourceDrip, round/apiSources, guard.ChannelKefu, guard.ClassMarketing, guard.ReasonCap, w.now+apiDays*apiDay, w.now+2*apiDays*apiDay, w.now+2*apiDays*apiDay,
			w.now+apiDays*apiDay, w.seeded.from+round*fans*step, step, w.seeded.from+round*fans*step, step, left)
		if err != nil {
			return err
		}
	}
	return nil
}

// figures counts the large account's deliveries, as they would have been counted one by one.
func (w *apiSeeder) figures() error {
	_, err := w.s.Scheduler.Campaigns.RecountAll(w.ctx, w.seeded.accounts[0].id)
	return err
}

// samples finds ids that requests name: some anywhere, or the first ones of an account that has few.
func (w *apiSeeder) samples() error {
	for _, a := range w.seeded.accounts {
		for table, into := range map[string]*[]int64{"fans": &a.fans, "deliveries": &a.ledger} {
			var last int64
			db := w.s.storage.db.Read(w.ctx)
			if err := db.Raw("SELECT MAX(id) FROM " + table).Scan(&last).Error; err != nil {
				return fmt.Errorf("choose ids: %w", err)
			}
			r := rand.New(rand.NewPCG(2, 3)) //nolint:gosec // ids that repeat
			some := make([]int64, apiSamples)
			for i := range some {
				some[i] = 1 + r.Int64N(last)
			}
			err := db.Raw("SELECT id FROM "+table+" WHERE id IN ? AND account_id + 0 = ?", some, a.id).Scan(into).Error
			if err == nil && len(*into) < apiSamples/10 {
				err = db.Raw("SELECT id FROM "+table+" WHERE account_id = ? LIMIT ?", a.id, apiSamples).Scan(into).Error
			}
			if err == nil && len(*into) == 0 {
				err = fmt.Errorf("account %d has no %s; ask for more", a.id, table)
			}
			if err != nil {
				return fmt.Errorf("choose ids: %w", err)
			}
		}
	}
	return nil
}
