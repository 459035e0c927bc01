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

// contender is one worker's wish in a round, and what it got.
type contender struct {
	req     guard.Request
	verdict guard.Verdict
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
	policy, err := spec.Compile("Asia/Shanghai")
	require.NoError(t, err)
	r := &round{fan: int64(seed), now: start(), policy: policy, before: Usage{FanID: int64(seed), AccountID: account}}
	for trigger := range wechat.Trigger(wechat.TriggerCount) {
		if rng.IntN(2) == 0 {
			r.before.Grants.Trigger(trigger, r.now.UnixMilli(), wechat.Allowance{Messages: 1 + rng.IntN(30), Lifetime: time.Minute}, rng.IntN(3))
		}
	}
	r.before.CapDay, r.before.CapUsed = policy.Day(r.now), rng.IntN(3)
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
		r.all = append(r.all, &contender{req: req})
	}
	return r
}

func (r *round) decide(u *Usage, req *guard.Request) guard.Verdict {
	m := r.policy.At(r.now)
	return guard.Decide(&m, r.policy, req, &guard.Facts{CapUsed: u.UsedOn(m.Day), CampaignCap: -1, Grants: u.Grants, BudgetLeft: 1000})
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
	c.verdict = r.decide(u, &c.req)
	if c.verdict.Kind != guard.Allow {
		return nil
	}
	take := Take{Messages: c.verdict.Messages}
	if c.req.Counts() {
		take.CapDay = r.policy.Day(r.now)
	}
	taken := NewReservations(r.now)
	taken.Take(u, take)
	return s.Reserve(tx, taken)
}

// check compares what all workers together got with what there was.
func (r *round) check(t *testing.T, after *Usage) {
	t.Helper()
	sent, counted := 0, 0
	for _, c := range r.all {
		if c.verdict.Kind != guard.Allow {
			continue
		}
		sent += c.verdict.Messages
		if c.req.Counts() {
			counted += c.verdict.Messages
		}
	}
	require.LessOrEqual(t, sent, r.before.Grants.Available(r.now.UnixMilli(), 0), "round %d: more than the grant", r.fan)
	if r.policy.Cap >= 0 {
		require.LessOrEqual(t, counted, max(0, r.policy.Cap-r.before.CapUsed), "round %d: more than the cap", r.fan)
	}
	for i, b := range r.before.Grants.Buckets {
		if b.Open(r.now.UnixMilli()) {
			require.Equal(t, b.Left-sent, after.Grants.Buckets[i].Left, "round %d: bucket %d", r.fan, i)
		}
	}
	require.Equal(t, r.before.CapUsed+counted, after.UsedOn(r.policy.Day(r.now)), "round %d: cap", r.fan)
	// What is left only falls, so whoever was refused must be refused at the end as well; a refusal that would not be
	// repeated gave away less than there was.
	for _, c := range r.all {
		if c.verdict.Kind != guard.Allow {
			require.NotEqual(t, guard.Allow, r.decide(after, &c.req).Kind, "round %d: short by %d messages", r.fan, c.req.Messages)
		}
	}
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
