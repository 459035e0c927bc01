package limits

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/guard"
	"hongyan/internal/database"
	"hongyan/internal/testdb"
	"hongyan/wechat"
)

// together runs n goroutines that begin at the same moment, and waits for them.
func together(n int, work func(i int)) {
	begin := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-begin
			work(i)
		})
	}
	close(begin)
	wg.Wait()
}

// contender is one worker's wish in a round, the moment that its clock shows, and what it got.
type contender struct {
	at      time.Time
	req     guard.Request
	verdict guard.Verdict
	capDay  int
}

// crossing is a moment at which periods end in a zone: half of a round's workers see it as past, the others, whose clocks are slow, do not.
type crossing struct{ zone, at string }

func crossings() []crossing {
	return []crossing{
		{"Asia/Shanghai", "2026-03-02T04:00:00Z"},    // noon: nothing ends
		{"Asia/Shanghai", "2026-03-03T16:00:00Z"},    // a day
		{"Europe/Berlin", "2026-03-29T22:00:00Z"},    // a week, on the day that lost an hour
		{"America/New_York", "2026-11-02T05:00:00Z"}, // a week, on the day that had one twice
		{"Asia/Amman", "2016-03-31T22:00:00Z"},       // a month, of which the first hour is left out
		{"Asia/Shanghai", "2026-05-31T16:00:00Z"},    // a week and a month
	}
}

// round is one fan that many workers want to write to at once.
type round struct {
	fan    int64
	now    time.Time
	policy *guard.Policy
	before Usage
	all    []*contender
}

func newRound(t *testing.T, seed uint64, workers int) *round {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 7))
	spec := guard.PolicySpec{HoldForAgents: rng.IntN(3)}
	if most := rng.IntN(20); most <= guard.MaxDailyCap {
		spec.DailyCap = &most
	}
	if rng.IntN(2) == 0 {
		spec.WeeklyCap = new(15 + rng.IntN(10))
	}
	if rng.IntN(2) == 0 {
		spec.MonthlyCap = new(24 + rng.IntN(10))
	}
	over := crossings()[rng.IntN(len(crossings()))]
	policy, err := spec.Compile(over.zone)
	require.NoError(t, err)
	now, err := time.Parse(time.RFC3339, over.at)
	require.NoError(t, err)
	r := &round{fan: int64(seed), now: now, policy: policy, before: Usage{FanID: int64(seed), AccountID: account}}
	for trigger := range wechat.Trigger(wechat.TriggerCount) {
		if rng.IntN(2) == 0 {
			r.before.Grants.Trigger(trigger, r.now.UnixMilli(), wechat.Allowance{Messages: 1 + rng.IntN(30), Lifetime: time.Minute}, rng.IntN(3))
		}
	}
	r.before.Counted.Add(policy.Day(r.now)-2-rng.IntN(20), rng.IntN(15))
	r.before.Counted.Add(policy.Day(r.now.Add(-slow))-rng.IntN(2), rng.IntN(3))
	for range workers {
		req := guard.Request{Class: guard.ClassMarketing, Channel: guard.ChannelKefu, Campaign: true, Messages: 1, NotAfter: r.now.Add(time.Hour).UnixMilli()}
		if rng.IntN(4) == 0 {
			req.Class = guard.ClassReply
		}
		if rng.IntN(3) == 0 {
			req.Messages = 2 + rng.IntN(2)
		}
		if rng.IntN(4) == 0 {
			req.Options = guard.OptAsManyAsFit
		}
		r.all = append(r.all, &contender{at: r.now.Add(-slow * time.Duration(rng.IntN(2))), req: req})
	}
	return r
}

// slow is how far behind the others a slow clock is.
const slow = 5 * time.Millisecond

func (r *round) decide(u *Usage, c *contender) guard.Verdict {
	m := r.policy.At(c.at)
	return guard.Decide(&m, r.policy, &c.req, &guard.Facts{Used: u.Counted.At(m.Day), CampaignCaps: guard.NoCaps(), Grants: u.Grants, BudgetLeft: 1000})
}

// try is what a worker does: decide by what it has read before, without a lock, and if that is overtaken, or allows nothing, once more under the lock.
func (r *round) try(ctx context.Context, db *database.DB, s *Store, c *contender) error {
	read, err := s.Read(db.Read(ctx), account, []int64{r.fan})
	if err != nil {
		return err
	}
	before := *read[r.fan]
	err = db.Tx(ctx, func(tx *gorm.DB) error {
		u := before // a transaction may be repeated
		return r.reserve(tx, s, c, &u)
	})
	if err == nil && c.verdict.Kind == guard.Allow || err != nil && !errors.Is(err, ErrStale) {
		return err
	}
	return db.Tx(ctx, func(tx *gorm.DB) error {
		locked, err := s.Lock(tx, account, []int64{r.fan})
		if err != nil {
			return err
		}
		return r.reserve(tx, s, c, locked[r.fan])
	})
}

func (r *round) reserve(tx *gorm.DB, s *Store, c *contender, u *Usage) error {
	c.verdict = r.decide(u, c)
	if c.verdict.Kind != guard.Allow {
		return nil
	}
	take := Take{Messages: c.verdict.Messages}
	if c.req.Counts() {
		take.CapDay = u.Counted.DayAt(r.policy.Day(c.at))
	}
	c.capDay = take.CapDay
	taken := NewReservations(c.at)
	taken.Take(u, take)
	return s.Reserve(tx, taken)
}

// check compares what all workers together got with what there was.
func (r *round) check(t *testing.T, after *Usage) {
	t.Helper()
	sent, byDay := 0, map[int]int{}
	for _, c := range r.all {
		if c.verdict.Kind == guard.Allow {
			sent += c.verdict.Messages
			byDay[c.capDay] += c.verdict.Messages
		}
	}
	delete(byDay, 0) // replies count in no day
	require.LessOrEqual(t, sent, r.before.Grants.Available(r.now.UnixMilli(), 0), "round %d: more than the grant", r.fan)
	for day := range byDay {
		for p, used := range r.expected(byDay, day) {
			if r.policy.Caps[p] >= 0 {
				require.LessOrEqual(t, used, r.policy.Caps[p], "round %d: more than the cap of period %d", r.fan, p)
			}
		}
	}
	for i, b := range r.before.Grants.Buckets {
		if b.Open(r.now.UnixMilli()) {
			require.Equal(t, b.Left-sent, after.Grants.Buckets[i].Left, "round %d: bucket %d", r.fan, i)
		}
	}
	today := r.policy.Day(r.now)
	require.Equal(t, r.expected(byDay, today), after.Counted.At(today), "round %d: caps", r.fan)
	// What is left of a day only falls, so whoever was refused must be refused at the end as well; a refusal that would not be repeated gave
	// away less than there was. Slow clocks are left out: what they were refused of the old day they may have in the new one.
	for _, c := range r.all {
		if c.verdict.Kind != guard.Allow && r.policy.Day(c.at) == today {
			require.NotEqual(t, guard.Allow, r.decide(after, c).Kind, "round %d: short by %d messages", r.fan, c.req.Messages)
		}
	}
}

// expected is what is used of the periods of a day when so many messages were counted in each of the days.
func (r *round) expected(byDay map[int]int, day int) guard.Counts {
	used := r.before.Counted.At(day)
	for p := range used {
		first, next := guard.Period(p).Span(day)
		for counted, n := range byDay {
			if first <= counted && counted < next {
				used[p] += n
			}
		}
	}
	return used
}

// TestManyWorkersNeverExceedAGrantOrACapAndNeverFallShort lets 64 workers want the same fan through real transactions, in seeded rounds.
func TestManyWorkersNeverExceedAGrantOrACapAndNeverFallShort(t *testing.T) {
	t.Parallel()
	const workers = 64
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		rounds := 800
		if db.Dialect() == database.MySQL {
			rounds = 200 // 1,000 together; each transaction waits for a row lock and a commit on the server
		}
		if testing.Short() {
			rounds = 20
		}
		// Rounds of different fans run side by side, so that they share commits.
		s := New(db)
		seeds := make(chan uint64, rounds)
		for seed := range rounds {
			seeds <- uint64(seed + 1)
		}
		close(seeds)
		var running sync.WaitGroup
		for range 16 {
			running.Go(func() {
				for seed := range seeds {
					contend(t, db, s, newRound(t, seed, workers))
				}
			})
		}
		running.Wait()
	})
}

func contend(t *testing.T, db *database.DB, s *Store, r *round) {
	t.Helper()
	transact(t, db, func(tx *gorm.DB) error { return s.Save(tx, []*Usage{&r.before}) })
	together(len(r.all), func(i int) {
		if err := r.try(t.Context(), db, s, r.all[i]); err != nil {
			t.Error(err)
		}
	})
	after, err := s.Available(t.Context(), account, r.fan)
	require.NoError(t, err)
	r.check(t, after)
}
