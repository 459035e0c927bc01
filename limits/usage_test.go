package limits

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"pgregory.net/rapid"

	"hongyan/guard"
	"hongyan/internal/database"
	"hongyan/internal/testdb"
	"hongyan/wechat"
)

const account = int64(1)

func start() time.Time { return time.Date(2026, 3, 2, 4, 0, 0, 0, time.UTC) }

// transact runs fn in a transaction and returns its error.
func transact(t *testing.T, db *database.DB, fn func(tx *gorm.DB) error) {
	t.Helper()
	require.NoError(t, db.Tx(t.Context(), fn))
}

// bucket and fanModel say in plain words what fan_limits should hold (design 5.2, 5.3).
type bucket struct {
	left, generation int
	until            int64
}

type fanModel struct {
	buckets     [wechat.TriggerCount]bucket
	generation  int
	counted     []int // the day of every message that counts
	marketingAt int64
}

type reservation struct {
	fan        int64
	buckets    []int
	generation int
	capDay     int
}

func (m *fanModel) reserve(now int64, fan int64, n, capDay int, free bool) reservation {
	r := reservation{fan: fan, generation: m.generation, capDay: capDay}
	for i := range m.buckets {
		if !free && now < m.buckets[i].until {
			m.buckets[i].left -= n
			r.buckets = append(r.buckets, i)
		}
	}
	if capDay != 0 {
		m.counted, m.marketingAt = append(m.counted, slices.Repeat([]int{capDay}, n)...), now
	}
	return r
}

func (m *fanModel) release(r reservation) {
	for _, i := range r.buckets {
		if m.buckets[i].generation <= r.generation {
			m.buckets[i].left++
		}
	}
	if i := slices.Index(m.counted, r.capDay); i >= 0 {
		m.counted = slices.Delete(m.counted, i, i+1)
	}
}

func (m *fanModel) correct(kind CorrectionKind, generation int) {
	m.generation++
	for i := range m.buckets {
		b := &m.buckets[i]
		if b.generation > generation {
			continue
		}
		b.left, b.generation = 0, m.generation
		if kind == CorrectClose {
			b.until = 0
		}
	}
}

// used is what is used of a numbered day, its week and its month.
func (m *fanModel) used(day int) (used guard.Counts) {
	date := func(day int) (month string, year, week int) {
		at := time.Unix(int64(day)*86_400, 0).UTC()
		year, week = at.ISOWeek()
		return at.Format("2006-01"), year, week
	}
	month, year, week := date(day)
	for _, d := range m.counted {
		theirs, y, w := date(d)
		for p, same := range [guard.PeriodCount]bool{d == day, y == year && w == week, theirs == month} {
			if same {
				used[p]++
			}
		}
	}
	return used
}

func (m *fanModel) check(t require.TestingT, u *Usage, day int) {
	for i, b := range m.buckets {
		require.Equal(t, guard.Bucket{Left: b.left, Until: b.until, Generation: b.generation}, u.Grants.Buckets[i], "bucket %d", i)
	}
	require.Equal(t, m.generation, u.Grants.Generation)
	require.Equal(t, m.used(day), u.Counted.At(day))
	require.Equal(t, m.marketingAt, u.MarketingAt)
}

// world is three fans in the database beside their models.
type world struct {
	t      *testing.T
	db     *database.DB
	store  *Store
	now    time.Time
	fans   []int64
	models map[int64]*fanModel
	open   []reservation
}

func (w *world) trigger(rt *rapid.T) {
	fan := rapid.SampledFrom(w.fans).Draw(rt, "fan")
	trigger := wechat.Trigger(rapid.IntRange(0, wechat.TriggerCount-1).Draw(rt, "trigger"))
	n := rapid.IntRange(1, 6).Draw(rt, "grant")
	life := rapid.SampledFrom([]time.Duration{time.Minute, 48 * time.Hour}).Draw(rt, "life")
	m, rule := w.models[fan], wechat.Allowance{Messages: n, Lifetime: life}
	if until := w.now.Add(rule.Usable()).UnixMilli(); until >= m.buckets[trigger].until {
		m.generation++
		m.buckets[trigger] = bucket{n, m.generation, until}
	}
	transact(w.t, w.db, func(tx *gorm.DB) error {
		locked, err := w.store.Lock(tx, account, []int64{fan})
		if err != nil {
			return err
		}
		locked[fan].Grants.Trigger(trigger, w.now.UnixMilli(), rule, 0)
		return w.store.Save(tx, []*Usage{locked[fan]})
	})
}

func dayOf(at time.Time) int { return int(at.Unix() / 86_400) }

// reserve takes for several fans, some of them twice, in one transaction.
func (w *world) reserve(rt *rapid.T) {
	fans := rapid.SliceOfN(rapid.SampledFrom(w.fans), 1, 4).Draw(rt, "fans")
	takes := make([]Take, len(fans))
	for i, fan := range fans {
		takes[i] = Take{Messages: rapid.IntRange(1, 3).Draw(rt, "n"), Free: rapid.Bool().Draw(rt, "free")}
		if rapid.Bool().Draw(rt, "counts") {
			takes[i].CapDay = dayOf(w.now)
		}
		r := w.models[fan].reserve(w.now.UnixMilli(), fan, takes[i].Messages, takes[i].CapDay, takes[i].Free)
		for range takes[i].Messages {
			w.open = append(w.open, r)
		}
	}
	transact(w.t, w.db, func(tx *gorm.DB) error {
		locked, err := w.store.Lock(tx, account, fans)
		if err != nil {
			return err
		}
		taken := NewReservations(w.now)
		for i, fan := range fans {
			taken.Take(locked[fan], takes[i])
		}
		return w.store.Reserve(tx, taken)
	})
}

func (w *world) settle(rt *rapid.T) {
	var releases []Release
	for range min(len(w.open), rapid.IntRange(0, 3).Draw(rt, "releases")) {
		i := rapid.IntRange(0, len(w.open)-1).Draw(rt, "of")
		r := w.open[i]
		w.open = slices.Delete(w.open, i, i+1)
		w.models[r.fan].release(r)
		release := Release{FanID: r.fan, Generation: r.generation, CapDay: r.capDay}
		for _, b := range r.buckets {
			release.Buckets |= 1 << b
		}
		releases = append(releases, release)
	}
	corrections := map[int64]Correction{}
	if len(w.open) > 0 && rapid.Bool().Draw(rt, "correct") {
		i := rapid.IntRange(0, len(w.open)-1).Draw(rt, "answer")
		r := w.open[i]
		kind := rapid.SampledFrom([]CorrectionKind{CorrectExhaust, CorrectClose}).Draw(rt, "kind")
		corrections[r.fan] = Correction{kind, r.generation}
		w.models[r.fan].correct(kind, r.generation)
	}
	transact(w.t, w.db, func(tx *gorm.DB) error {
		_, err := w.store.Settle(tx, w.now, account, releases, corrections)
		return err
	})
}

func TestReservingAndSettlingEqualTheModel(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		fan := int64(0)
		rapid.Check(t, func(rt *rapid.T) {
			w := &world{t: t, db: db, store: New(db), now: start(), models: map[int64]*fanModel{}}
			for range 3 {
				fan++
				w.fans = append(w.fans, fan)
				w.models[fan] = &fanModel{}
			}
			transact(t, db, func(tx *gorm.DB) error { return w.store.Ensure(tx, account, w.fans) })
			for range rapid.IntRange(1, 12).Draw(rt, "steps") {
				rapid.SampledFrom([]func(*rapid.T){w.trigger, w.reserve, w.reserve, w.settle}).Draw(rt, "step")(rt)
				w.now = w.now.Add(rapid.SampledFrom([]time.Duration{0, 20 * time.Second, time.Minute, 24 * time.Hour, 11 * 24 * time.Hour}).Draw(rt, "pause"))
			}
			got, err := w.store.Read(db.Read(t.Context()), account, w.fans)
			require.NoError(rt, err)
			for id, m := range w.models {
				m.check(rt, got[id], dayOf(w.now))
			}
		})
	})
}

func TestLimitsAreOfOneAccount(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		s := New(db)
		transact(t, db, func(tx *gorm.DB) error { return s.Ensure(tx, account, []int64{1, 2}) })
		transact(t, db, func(tx *gorm.DB) error { return s.Ensure(tx, account, []int64{1, 2, 3}) })
		got, err := s.Read(db.Read(t.Context()), account, []int64{1, 2, 3, 4})
		require.NoError(t, err)
		require.Len(t, got, 3)
		got, err = s.Read(db.Read(t.Context()), 2, []int64{1})
		require.NoError(t, err)
		require.Empty(t, got)
		none, err := s.Available(t.Context(), 2, 1)
		require.NoError(t, err)
		require.Equal(t, &Usage{FanID: 1, AccountID: 2}, none)
	})
}

func TestCorrectionsLeaveAloneWhatAnActHasOpenedSince(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name       string
		correction Correction
		left       [2]int // of the old bucket and of the new one
		open       [2]bool
		diverged   int
	}{
		{"45047 empties what the send could have used", Correction{CorrectExhaust, 1}, [2]int{0, 3}, [2]bool{true, true}, 1},
		{"45015 closes it", Correction{CorrectClose, 1}, [2]int{0, 3}, [2]bool{false, true}, 1},
		{"a later send concerns both", Correction{CorrectClose, 2}, [2]int{0, 0}, [2]bool{false, false}, 1},
		{"an earlier send concerns none", Correction{CorrectExhaust, 0}, [2]int{5, 3}, [2]bool{true, true}, 1},
		{"none", Correction{}, [2]int{5, 3}, [2]bool{true, true}, 0},
	}
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		s, now := New(db), start()
		for i, c := range cases {
			fan := int64(i + 1)
			transact(t, db, func(tx *gorm.DB) error {
				u := &Usage{FanID: fan, AccountID: account}
				u.Grants.Trigger(wechat.TriggerMessage, now.UnixMilli(), wechat.Allowance{Messages: 5, Lifetime: 48 * time.Hour}, 0)
				u.Grants.Trigger(wechat.TriggerScan, now.UnixMilli(), wechat.Allowance{Messages: 3, Lifetime: time.Minute}, 0)
				return s.Save(tx, []*Usage{u})
			})
			var diverged int
			transact(t, db, func(tx *gorm.DB) (err error) {
				diverged, err = s.Settle(tx, now, account, nil, map[int64]Correction{fan: c.correction})
				return err
			})
			require.Equal(t, c.diverged, diverged, c.name)
			got, err := s.Available(t.Context(), account, fan)
			require.NoError(t, err)
			for j, trigger := range []wechat.Trigger{wechat.TriggerMessage, wechat.TriggerScan} {
				b := got.Grants.Buckets[trigger]
				require.Equal(t, c.left[j], b.Left, c.name)
				require.Equal(t, c.open[j], b.Open(now.UnixMilli()), c.name)
			}
		}
	})
}

func TestACampaignsOwnCapsCountByPeriod(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		s := New(db)
		sunday := dayOf(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
		take := func(campaign int64, day int, messages map[int64]int) {
			takes := map[int64]CampaignTake{}
			for fan, n := range messages {
				takes[fan] = CampaignTake{day, n}
			}
			transact(t, db, func(tx *gorm.DB) error { return s.CountCampaign(tx, campaign, takes) })
		}
		giveBack := func(campaign, fan int64, day int) {
			transact(t, db, func(tx *gorm.DB) error { return s.ReturnCampaign(tx, campaign, fan, day) })
		}
		used := func(campaign int64, day int) map[int64]guard.Counts {
			read, err := s.CampaignCounted(db.Read(t.Context()), campaign, []int64{1, 2, 3})
			require.NoError(t, err)
			out := map[int64]guard.Counts{}
			for fan, c := range read {
				out[fan] = c.At(day)
			}
			return out
		}
		take(7, sunday-1, map[int64]int{1: 2, 2: 1})
		take(7, sunday, map[int64]int{1: 1, 3: 1})
		take(8, sunday, map[int64]int{1: 9})
		require.Equal(t, map[int64]guard.Counts{1: {1, 3, 1}, 2: {0, 1, 0}, 3: {1, 1, 1}}, used(7, sunday))
		giveBack(7, 1, sunday-1)
		require.Equal(t, guard.Counts{1, 2, 1}, used(7, sunday)[1], "given back to the periods from which it was taken")
		giveBack(7, 3, sunday)
		giveBack(7, 3, sunday)
		require.Equal(t, guard.Counts{}, used(7, sunday)[3], "never below zero")
		take(7, sunday+1, map[int64]int{1: 1})
		giveBack(7, 1, sunday)
		require.Equal(t, guard.Counts{1, 1, 1}, used(7, sunday+1)[1], "over the border of a week, only the month gets it back")
		require.Equal(t, map[int64]guard.Counts{1: {9, 9, 9}}, used(8, sunday), "another campaign's")
		take(7, sunday+31, map[int64]int{1: 4})
		giveBack(7, 1, sunday+1)
		require.Equal(t, guard.Counts{4, 4, 4}, used(7, sunday+31)[1], "last month's release gives this month nothing back")
	})
}

func TestACampaignsRowsCountAsTheGuardDoes(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		s, campaign, fans := New(db), int64(0), []int64{1, 2, 3}
		rapid.Check(t, func(rt *rapid.T) {
			campaign++
			want := map[int64]guard.Counted{}
			day := dayOf(start())
			for range rapid.IntRange(1, 10).Draw(rt, "steps") {
				day += rapid.SampledFrom([]int{0, 0, 1, 3, 20}).Draw(rt, "pause")
				takes := map[int64]CampaignTake{}
				for _, fan := range rapid.SliceOfNDistinct(rapid.SampledFrom(fans), 0, 3, rapid.ID).Draw(rt, "fans") {
					takes[fan] = CampaignTake{CapDay: day, Messages: rapid.IntRange(1, 2).Draw(rt, "n")}
					c := want[fan]
					c.Add(day, takes[fan].Messages)
					want[fan] = c
				}
				transact(t, db, func(tx *gorm.DB) error { return s.CountCampaign(tx, campaign, takes) })
				fan, back := rapid.SampledFrom(fans).Draw(rt, "back to"), day-rapid.IntRange(0, 9).Draw(rt, "ago")
				if c, known := want[fan]; known && c.Day >= back {
					c.GiveBack(back)
					want[fan] = c
					transact(t, db, func(tx *gorm.DB) error { return s.ReturnCampaign(tx, campaign, fan, back) })
				}
			}
			got, err := s.CampaignCounted(db.Read(t.Context()), campaign, fans)
			require.NoError(rt, err)
			require.Equal(rt, want, got)
		})
	})
}

func TestBudgetsAreNeverExceededAndStartAnewInBeijing(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		s, b := New(db), Budget{AccountID: account, API: KefuAPI, Most: 200}
		evening := time.Date(2026, 3, 2, 15, 59, 59, 0, time.UTC)
		reserve := func(at time.Time, want int) int {
			n, err := s.ReserveBudget(t.Context(), at, b, want)
			require.NoError(t, err)
			return n
		}
		var kept atomic.Int64
		together(32, func(i int) {
			for range 4 {
				n := reserve(evening, 3+i%5)
				back := n / 3
				require.NoError(t, s.ReturnBudget(t.Context(), evening, b, back))
				if got := kept.Add(int64(n - back)); got > b.Most {
					t.Errorf("%d calls of %d were given", got, b.Most)
				}
			}
		})
		kept.Add(int64(reserve(evening, 1000)))
		require.Equal(t, b.Most, kept.Load(), "and none is lost")
		require.Zero(t, reserve(evening, 1))

		midnight := evening.Add(time.Second)
		require.Equal(t, 5, reserve(midnight, 5), "a new day in Beijing")
		require.Equal(t, 7, mustReserve(t, s, midnight, Budget{AccountID: 2, API: KefuAPI, Most: 7}, 9), "another account's budget")
		require.NoError(t, s.CloseBudget(t.Context(), midnight, b))
		require.Zero(t, reserve(midnight, 1))
		require.NoError(t, s.ReturnBudget(t.Context(), midnight, b, 5))
		require.Zero(t, reserve(midnight, 1), "what was not used does not open a closed budget")
	})
}

func mustReserve(t *testing.T, s *Store, at time.Time, b Budget, want int) int {
	t.Helper()
	n, err := s.ReserveBudget(t.Context(), at, b, want)
	require.NoError(t, err, fmt.Sprint(b))
	return n
}

func TestAReleaseGivesBackOnlyToWhatItWasTakenFrom(t *testing.T) {
	t.Parallel()
	monday := dayOf(time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC))
	cases := []struct {
		name    string
		release Release
		left    [2]int // of the message's bucket, generation 1, and of the scan's, generation 2
		used    guard.Counts
	}{
		{"all of it", Release{Buckets: 1<<wechat.TriggerMessage | 1<<wechat.TriggerScan, Generation: 2, CapDay: monday}, [2]int{6, 4}, guard.Counts{2, 3, 4}},
		{"not to a bucket opened since", Release{Buckets: 1<<wechat.TriggerMessage | 1<<wechat.TriggerScan, Generation: 1, CapDay: monday}, [2]int{6, 3}, guard.Counts{2, 3, 4}},
		{"not to a bucket it did not take from", Release{Buckets: 1 << wechat.TriggerScan, Generation: 2, CapDay: monday}, [2]int{5, 4}, guard.Counts{2, 3, 4}},
		{"not to another day", Release{Buckets: 1 << wechat.TriggerMessage, Generation: 2, CapDay: monday + 1}, [2]int{6, 3}, guard.Counts{3, 3, 4}},
		{"not over the border of a week", Release{Buckets: 1 << wechat.TriggerMessage, Generation: 2, CapDay: monday - 1}, [2]int{6, 3}, guard.Counts{3, 4, 4}},
		{"nor over that of a month", Release{Buckets: 1 << wechat.TriggerMessage, Generation: 2, CapDay: monday - 2}, [2]int{6, 3}, guard.Counts{3, 4, 5}},
		{"free of the cap", Release{Buckets: 1 << wechat.TriggerMessage, Generation: 2}, [2]int{6, 3}, guard.Counts{3, 4, 5}},
	}
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		s, now := New(db), start()
		for i, c := range cases {
			c.release.FanID = int64(i + 1)
			transact(t, db, func(tx *gorm.DB) error {
				u := &Usage{FanID: c.release.FanID, AccountID: account, Counted: guard.Counted{Day: monday, Used: guard.Counts{3, 4, 5}}}
				u.Grants.Trigger(wechat.TriggerMessage, now.UnixMilli(), wechat.Allowance{Messages: 5, Lifetime: 48 * time.Hour}, 0)
				u.Grants.Trigger(wechat.TriggerScan, now.UnixMilli(), wechat.Allowance{Messages: 3, Lifetime: time.Minute}, 0)
				return s.Save(tx, []*Usage{u})
			})
			transact(t, db, func(tx *gorm.DB) error {
				_, err := s.Settle(tx, now, account, []Release{c.release}, nil)
				return err
			})
			got, err := s.Available(t.Context(), account, c.release.FanID)
			require.NoError(t, err)
			left := [2]int{got.Grants.Buckets[wechat.TriggerMessage].Left, got.Grants.Buckets[wechat.TriggerScan].Left}
			require.Equal(t, c.left, left, c.name)
			require.Equal(t, c.used, got.Counted.Used, c.name)
		}
	})
}

func TestAReservationOnAnOvertakenReadingIsRefused(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		now := time.Unix(1_700_000_000, 0)
		s := New(db)
		fans := []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14}
		transact(t, db, func(tx *gorm.DB) error { return s.Ensure(tx, account, fans) })
		for _, c := range []struct {
			name   string
			change func(tx *gorm.DB) error
		}{
			{"touched", func(tx *gorm.DB) error { return s.Touch(tx, account, []int64{12}) }},
			{"saved", func(tx *gorm.DB) error {
				locked, err := s.Lock(tx, account, []int64{3})
				if err != nil {
					return err
				}
				return s.Save(tx, []*Usage{locked[3]})
			}},
			{"reserved", func(tx *gorm.DB) error { return takeOne(tx, s, now, []int64{14}) }},
		} {
			var stale *Reservations
			read, err := s.Read(db.Read(t.Context()), account, fans)
			require.NoError(t, err)
			stale = NewReservations(now)
			for _, u := range read {
				stale.Take(u, Take{Messages: 1, CapDay: 20_000})
			}
			transact(t, db, c.change)
			before, err := s.Read(db.Read(t.Context()), account, fans)
			require.NoError(t, err)
			err = db.Tx(t.Context(), func(tx *gorm.DB) error { return s.Reserve(tx, stale) })
			require.ErrorIs(t, err, ErrStale, c.name)
			after, err := s.Read(db.Read(t.Context()), account, fans)
			require.NoError(t, err)
			require.Equal(t, before, after, "%s: nothing of it is stored", c.name)
		}
		transact(t, db, func(tx *gorm.DB) error { return takeOne(tx, s, now, fans) })
		after, err := s.Read(db.Read(t.Context()), account, fans)
		require.NoError(t, err)
		require.Equal(t, guard.Counts{2, 2, 2}, after[14].Counted.Used)
		require.EqualValues(t, 2, after[14].Version, "each change raises the version by one")
	})
}

// takeOne reserves one message for each fan, on the newest reading.
func takeOne(tx *gorm.DB, s *Store, now time.Time, fans []int64) error {
	read, err := s.Read(tx, account, fans)
	if err != nil {
		return err
	}
	taken := NewReservations(now)
	for _, u := range read {
		taken.Take(u, Take{Messages: 1, CapDay: 20_000})
	}
	return s.Reserve(tx, taken)
}
