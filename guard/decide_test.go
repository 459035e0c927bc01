package guard_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"hongyan/guard"
	"hongyan/wechat"
)

// obstacle is one thing that stops a marketing message, in the order in which Decide asks.
type obstacle struct {
	reason guard.Reason
	kind   guard.Kind
	put    func(*scene)
}

func obstacles(t require.TestingT) []obstacle {
	fact := func(set func(*guard.Facts)) func(*scene) { return func(s *scene) { set(&s.facts) } }
	return []obstacle{
		{guard.ReasonInstallationStopped, guard.Defer, fact(func(f *guard.Facts) { f.InstallationStopped = true })},
		{guard.ReasonAccountStopped, guard.Defer, fact(func(f *guard.Facts) { f.AccountStopped = true })},
		{guard.ReasonCampaignStopped, guard.Defer, fact(func(f *guard.Facts) { f.CampaignStopped = true })},
		{guard.ReasonFanGone, guard.Skip, fact(func(f *guard.Facts) { f.Gone = true })},
		{guard.ReasonBlacklisted, guard.Skip, fact(func(f *guard.Facts) { f.Blacklisted = true })},
		{guard.ReasonOptedOut, guard.Skip, fact(func(f *guard.Facts) { f.OptedOut = true })},
		{guard.ReasonHeldOut, guard.Skip, fact(func(f *guard.Facts) { f.HeldOut = true })},
		{guard.ReasonTooLate, guard.Skip, func(s *scene) { s.req.NotAfter = s.ms() }},
		{guard.ReasonDuplicate, guard.Skip, fact(func(f *guard.Facts) { f.Duplicate = true })},
		{guard.ReasonSuperseded, guard.Skip, fact(func(f *guard.Facts) { f.Superseded = true })},
		{guard.ReasonPreviousFailed, guard.Skip, fact(func(f *guard.Facts) { f.PreviousFailed = true })},
		{guard.ReasonAgentSession, guard.Defer, func(s *scene) { s.facts.AgentUntil = s.ms() + minute }},
		{guard.ReasonNoPermission, guard.Skip, fact(func(f *guard.Facts) { f.NoPermission = true })},
		{guard.ReasonQuietHours, guard.Defer, func(s *scene) { s.policy = must(t, "Asia/Shanghai", quietNow()) }},
		{guard.ReasonCap, guard.Skip, fact(func(f *guard.Facts) { f.Used = guard.Counts{3, 3, 3} })},
		{guard.ReasonGap, guard.Defer, func(s *scene) { s.facts.MarketingAt = s.ms() - minute }},
		{guard.ReasonGrantClosed, guard.Skip, fact(func(f *guard.Facts) { f.Grants.CloseAll() })},
		{guard.ReasonGrantExhausted, guard.Skip, fact(func(f *guard.Facts) { f.Grants.Exhaust(f.Grants.Generation) })},
		{guard.ReasonGrantReserved, guard.Skip, func(s *scene) { s.facts.Grants.Take(s.ms(), 4) }},
		{guard.ReasonAPIBudget, guard.Defer, fact(func(f *guard.Facts) { f.BudgetLeft = 0 })},
	}
}

func quietNow() guard.PolicySpec {
	spec := everyRule()
	spec.Quiet = []guard.QuietRange{{Start: "11:00", End: "13:00"}}
	return spec
}

func aboutGrants(r guard.Reason) bool {
	return r == guard.ReasonGrantClosed || r == guard.ReasonGrantExhausted || r == guard.ReasonGrantReserved
}

func TestEveryReasonOfADecisionCanBeReached(t *testing.T) {
	t.Parallel()
	reached := map[guard.Reason]bool{}
	for _, o := range obstacles(t) {
		s := allowed(t, everyRule())
		require.Equal(t, allow(1), s.decide())
		o.put(s)
		v := s.decide()
		require.Equal(t, o.reason, v.Reason, "%s", o.reason)
		require.Equal(t, o.kind, v.Kind, "%s", o.reason)
		reached[o.reason] = true
	}
	for _, r := range guard.Reasons() {
		// The monthly quota belongs to mass sends, which are calls and not requests for one fan.
		if r < guard.ReasonPlatform && r != guard.ReasonMassQuota {
			require.True(t, reached[r], "no decision gives %s", r)
		}
	}
}

func TestEarlierReasonWins(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := allowed(t, everyRule())
		var first *obstacle
		grants := false
		for _, o := range obstacles(t) {
			if !rapid.Bool().Draw(t, o.reason.String()) || aboutGrants(o.reason) && grants {
				continue
			}
			grants = grants || aboutGrants(o.reason)
			o.put(s)
			if first == nil {
				first = &o
			}
		}
		if first == nil {
			require.Equal(t, allow(1), s.decide())
			return
		}
		require.Equal(t, first.reason, s.decide().Reason)
	})
}

func TestClassesAreFreeOfWhatDoesNotBindThem(t *testing.T) {
	t.Parallel()
	free := map[guard.Class][]guard.Reason{
		guard.ClassReply: {
			guard.ReasonAgentSession, guard.ReasonQuietHours, guard.ReasonCap, guard.ReasonGap, guard.ReasonGrantReserved,
		},
		guard.ClassService:   {guard.ReasonQuietHours, guard.ReasonCap, guard.ReasonGap},
		guard.ClassMarketing: {},
	}
	for class, reasons := range free {
		for _, o := range obstacles(t) {
			s := allowed(t, everyRule())
			s.req.Class = class
			o.put(s)
			want := o.reason
			for _, r := range reasons {
				if r == o.reason {
					want = guard.ReasonNone
				}
			}
			require.Equal(t, want, s.decide().Reason, "class %d, %s", class, o.reason)
		}
	}
}

func TestAServiceNoticeOfACampaignIsBoundLikeMarketing(t *testing.T) {
	t.Parallel()
	for _, o := range obstacles(t) {
		s := allowed(t, everyRule())
		s.req.Class, s.req.Campaign = guard.ClassService, true
		o.put(s)
		require.Equal(t, o.reason, s.decide().Reason)
	}
}

func TestPassiveReplyNeedsNoGrantAndNoBudget(t *testing.T) {
	t.Parallel()
	s := allowed(t, everyRule())
	s.req.Class, s.req.Channel = guard.ClassReply, guard.ChannelPassive
	s.facts.Grants.CloseAll()
	s.facts.BudgetLeft = 0
	require.Equal(t, allow(1), s.decide())
}

func TestStopsAreAskedAgainWhenTheyEnd(t *testing.T) {
	t.Parallel()
	for _, o := range obstacles(t)[:3] {
		s := allowed(t, everyRule())
		o.put(s)
		require.Equal(t, deferred(o.reason, 0), s.decide())
	}
}

func TestDailyCapCountsMessages(t *testing.T) {
	t.Parallel()
	for limit := range guard.MaxDailyCap + 1 {
		for used := range guard.MaxDailyCap + 2 {
			s := allowed(t, guard.PolicySpec{DailyCap: &limit})
			s.req.Channel = guard.ChannelPassive
			s.req.Messages = 2
			s.facts.Used[guard.PeriodDay] = used
			want := allow(2)
			if used+2 > limit {
				want = skipped(guard.ReasonCap)
			}
			require.Equal(t, want, s.decide(), "cap %d, used %d", limit, used)
		}
	}
}

func TestCampaignCapBindsBelowTheAccountCap(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name                            string
		account                         *int
		used, campaign, campaignUsed, n int
		want                            guard.Verdict
	}{
		{"no cap at all", nil, 99, -1, 99, 5, allow(5)},
		{"campaign cap alone", nil, 99, 2, 1, 1, allow(1)},
		{"campaign cap reached", nil, 0, 2, 2, 1, skipped(guard.ReasonCap)},
		{"campaign cap of 0", nil, 0, 0, 0, 1, skipped(guard.ReasonCap)},
		{"campaign has room, account has not", new(3), 3, 5, 0, 1, skipped(guard.ReasonCap)},
		{"account has room, campaign has not", new(9), 3, 2, 1, 2, skipped(guard.ReasonCap)},
		{"both have room", new(9), 3, 2, 0, 2, allow(2)},
	} {
		s := allowed(t, guard.PolicySpec{DailyCap: c.account})
		s.facts.Used[0], s.facts.CampaignCaps[0], s.facts.CampaignUsed[0] = c.used, c.campaign, c.campaignUsed
		s.req.Messages = c.n
		require.Equal(t, c.want, s.decide(), c.name)
	}
}

func TestCapWaitsForTomorrowOnlyIfItCanStillBeSentThen(t *testing.T) {
	t.Parallel()
	midnight := shanghai(t, "2026-10-16 00:00:00").UnixMilli()
	for _, c := range []struct {
		name string
		set  func(*scene)
		want guard.Verdict
	}{
		{"tomorrow", func(*scene) {}, deferred(guard.ReasonCap, midnight+7)},
		{"campaign ends at midnight", func(s *scene) { s.req.NotAfter = midnight }, skipped(guard.ReasonCap)},
		{"campaign ends just after its place", func(s *scene) { s.req.NotAfter = midnight + 8 }, deferred(guard.ReasonCap, midnight+7)},
		{"campaign ends at its place", func(s *scene) { s.req.NotAfter = midnight + 7 }, skipped(guard.ReasonCap)},
		{"grant ends before midnight", func(s *scene) { s.grantUntil(midnight) }, skipped(guard.ReasonCap)},
		{"grant ends before midnight, but another is waited for", func(s *scene) {
			s.grantUntil(midnight)
			s.req.Options |= guard.OptWaitForGrant
		}, deferred(guard.ReasonCap, midnight+7)},
		{"more than a whole day allows", func(s *scene) { s.req.Messages = 4 }, skipped(guard.ReasonCap)},
		{"more than a whole day allows, as many as fit", func(s *scene) {
			s.req.Messages = 4
			s.req.Options |= guard.OptAsManyAsFit
		}, deferred(guard.ReasonCap, midnight+7)},
		{"cap of 0 never fits", func(s *scene) { s.policy = must(t, "Asia/Shanghai", guard.PolicySpec{DailyCap: new(0)}) }, skipped(guard.ReasonCap)},
		{"campaign cap of 0 never fits", func(s *scene) { s.facts.CampaignCaps[guard.PeriodDay] = 0 }, skipped(guard.ReasonCap)},
	} {
		s := allowed(t, guard.PolicySpec{DailyCap: new(3)})
		s.facts.Used = guard.Counts{3, 3, 3}
		s.req.Options = guard.OptCapTomorrow
		s.req.Spread = uint32(10*minute) + 7
		c.set(s)
		require.Equal(t, c.want, s.decide(), c.name)
	}
}

// grantUntil gives the fan one bucket with 5 messages that we rely on until then.
func (s *scene) grantUntil(until int64) {
	s.facts.Grants = guard.Grants{}
	rule := today(wechat.TriggerMessage)
	s.facts.Grants.Trigger(wechat.TriggerMessage, until-rule.Usable().Milliseconds(), rule, 0)
}

func TestTomorrowIsTheAccountsOwn(t *testing.T) {
	t.Parallel()
	for zone, want := range map[string]string{
		"Asia/Shanghai":    "2026-10-15 16:00",
		"America/New_York": "2026-10-16 04:00",
		"Pacific/Auckland": "2026-10-16 11:00",
	} {
		s := allowed(t, guard.PolicySpec{})
		s.policy = must(t, zone, guard.PolicySpec{DailyCap: new(1), SpreadMinutes: new(0)})
		s.now = utc(t, "2026-10-15 12:00")
		s.facts.Used = guard.Counts{1, 1, 1}
		s.req.Options = guard.OptCapTomorrow
		require.Equal(t, deferred(guard.ReasonCap, utc(t, want).UnixMilli()), s.decide(), zone)
	}
}

func TestAsManyAsFitTakesTheSmallestRoom(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ capUsed, campaignUsed, granted, want int }{
		{0, 0, 5, 4}, {8, 0, 5, 2}, {8, 3, 5, 1}, {0, 0, 3, 3}, {8, 0, 1, 1},
	} {
		s := allowed(t, guard.PolicySpec{DailyCap: new(10)})
		s.req.Messages, s.req.Options = 4, guard.OptAsManyAsFit
		s.facts.Used[0], s.facts.CampaignCaps[0], s.facts.CampaignUsed[0] = c.capUsed, 4, c.campaignUsed
		s.facts.Grants.Take(s.ms(), 5-c.granted)
		require.Equal(t, allow(c.want), s.decide(), "%+v", c)

		s.req.Options = 0
		require.Equal(t, c.want == 4, s.decide().Kind == guard.Allow, "all or nothing: %+v", c)
	}
}

func TestGapBetweenTwoMarketingMessages(t *testing.T) {
	t.Parallel()
	now := shanghai(t, "2026-10-15 12:00:00").UnixMilli()
	for _, c := range []struct {
		name     string
		last     int64
		notAfter int64
		want     guard.Verdict
	}{
		{"never sent any", 0, now + 24*hour, allow(1)},
		{"just inside", now - hour + 1, now + 24*hour, deferred(guard.ReasonGap, now+1)},
		{"exactly a gap ago", now - hour, now + 24*hour, allow(1)},
		{"ends when the campaign has ended", now - minute, now + 59*minute, skipped(guard.ReasonGap)},
		{"ends just before", now - minute, now + 59*minute + 1, deferred(guard.ReasonGap, now+59*minute)},
	} {
		s := allowed(t, guard.PolicySpec{GapMinutes: 60})
		s.facts.MarketingAt, s.req.NotAfter = c.last, c.notAfter
		require.Equal(t, c.want, s.decide(), c.name)
	}
	s := allowed(t, guard.PolicySpec{GapMinutes: 60})
	s.facts.MarketingAt = now - minute
	s.grantUntil(now + 59*minute)
	require.Equal(t, skipped(guard.ReasonGap), s.decide(), "the grant ends before the gap")
}

func TestQuietHoursDeferToTheirEndPlusTheSpread(t *testing.T) {
	t.Parallel()
	end := shanghai(t, "2026-10-16 08:00:00").UnixMilli()
	for _, c := range []struct {
		name string
		set  func(*scene)
		want guard.Verdict
	}{
		{"the first of the spread", func(s *scene) { s.req.Spread = 0 }, deferred(guard.ReasonQuietHours, end)},
		{"inside the spread", func(s *scene) { s.req.Spread = 599_999 }, deferred(guard.ReasonQuietHours, end+599_999)},
		{"any hash", func(s *scene) { s.req.Spread = 4_294_967_295 }, deferred(guard.ReasonQuietHours, end+4_294_967_295%600_000)},
		{"campaign ends first", func(s *scene) { s.req.NotAfter = end }, skipped(guard.ReasonQuietHours)},
		{"grant ends first", func(s *scene) { s.grantUntil(end) }, skipped(guard.ReasonQuietHours)},
		{"grant ends just later", func(s *scene) { s.grantUntil(end + 1) }, deferred(guard.ReasonQuietHours, end)},
		{"another grant is waited for", func(s *scene) {
			s.grantUntil(end)
			s.req.Options = guard.OptWaitForGrant
		}, deferred(guard.ReasonQuietHours, end)},
		{"last moment", func(s *scene) { s.now = shanghai(t, "2026-10-16 07:59:59").Add(999e6) }, deferred(guard.ReasonQuietHours, end)},
		{"the end is exclusive", func(s *scene) { s.now = shanghai(t, "2026-10-16 08:00:00") }, allow(1)},
		{"the start is inclusive", func(s *scene) { s.now = shanghai(t, "2026-10-15 22:00:00") }, deferred(guard.ReasonQuietHours, end)},
		{"a moment before", func(s *scene) { s.now = shanghai(t, "2026-10-15 21:59:59").Add(999e6) }, allow(1)},
	} {
		s := allowed(t, guard.PolicySpec{Quiet: []guard.QuietRange{{Start: "22:00", End: "08:00"}}})
		s.now = shanghai(t, "2026-10-15 23:00:00")
		c.set(s)
		require.Equal(t, c.want, s.decide(), c.name)
	}
}

func TestWithoutAGrantSkipOrWait(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		set     func(*scene)
		options guard.Option
		want    guard.Reason
	}{
		{"closed", func(s *scene) { s.facts.Grants.CloseAll() }, 0, guard.ReasonGrantClosed},
		{"ended", func(s *scene) { s.grantUntil(s.ms()) }, 0, guard.ReasonGrantClosed},
		{"exhausted", func(s *scene) { s.facts.Grants.Take(s.ms(), 5) }, 0, guard.ReasonGrantExhausted},
		{"too few for the step", func(s *scene) { s.facts.Grants.Take(s.ms(), 4) }, 0, guard.ReasonGrantExhausted},
		{"kept for agents", func(s *scene) { s.facts.Grants.Take(s.ms(), 2) }, 0, guard.ReasonGrantReserved},
		{"the last is kept for agents", func(s *scene) { s.facts.Grants.Take(s.ms(), 4) }, guard.OptAsManyAsFit, guard.ReasonGrantReserved},
		{"nothing left, as many as fit", func(s *scene) { s.facts.Grants.Take(s.ms(), 5) }, guard.OptAsManyAsFit, guard.ReasonGrantExhausted},
	} {
		s := allowed(t, guard.PolicySpec{HoldForAgents: 1})
		s.req.Messages, s.req.Options = 3, c.options
		c.set(s)
		require.Equal(t, skipped(c.want), s.decide(), c.name)
		s.req.Options |= guard.OptWaitForGrant
		require.Equal(t, deferred(c.want, 0), s.decide(), c.name)
	}
}

func TestHeldMessagesAreKeptOnlyFromTheFansOwnBucket(t *testing.T) {
	t.Parallel()
	s := allowed(t, guard.PolicySpec{HoldForAgents: 5})
	require.Equal(t, skipped(guard.ReasonGrantReserved), s.decide())
	s.facts.Grants.Trigger(wechat.TriggerMenu, s.ms(), today(wechat.TriggerMenu), 0)
	s.req.Messages = 3
	require.Equal(t, allow(3), s.decide())
}

func TestAgentSessionPostponesUntilItsEnd(t *testing.T) {
	t.Parallel()
	s := allowed(t, guard.PolicySpec{})
	end := s.ms() + guard.AgentSession.Milliseconds()
	s.facts.AgentUntil = end
	require.Equal(t, deferred(guard.ReasonAgentSession, end), s.decide())
	s.req.NotAfter = end
	require.Equal(t, skipped(guard.ReasonAgentSession), s.decide())
	s.facts.AgentUntil = s.ms()
	require.Equal(t, allow(1), s.decide(), "the end is exclusive")
}

func TestAPIBudgetReturnsAtBeijingMidnightWhateverTheZone(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{"Asia/Shanghai", "Europe/Berlin", "America/New_York", "Pacific/Auckland"} {
		for now, midnight := range map[string]string{
			"2026-10-15 15:59": "2026-10-15 16:00", "2026-10-15 16:00": "2026-10-16 16:00",
			"2026-03-29 00:30": "2026-03-29 16:00", "2026-12-31 17:00": "2027-01-01 16:00",
		} {
			s := allowed(t, guard.PolicySpec{})
			s.policy = must(t, zone, guard.PolicySpec{})
			s.now = utc(t, now)
			back := utc(t, midnight).UnixMilli()
			s.req.Messages = 2
			s.facts.BudgetLeft = 1
			s.req.NotAfter = back + 1
			s.grantUntil(back + 1)
			require.Equal(t, deferred(guard.ReasonAPIBudget, back), s.decide(), "%s %s", zone, now)
			s.req.NotAfter = back
			require.Equal(t, skipped(guard.ReasonAPIBudget), s.decide(), "%s %s", zone, now)
			s.req.NotAfter = back + 1
			s.grantUntil(back)
			require.Equal(t, skipped(guard.ReasonAPIBudget), s.decide(), "the grant ends first: %s %s", zone, now)
			s.facts.BudgetLeft = 2
			require.Equal(t, allow(2), s.decide())
		}
	}
}

func TestBudgetDayIsBeijings(t *testing.T) {
	t.Parallel()
	require.Equal(t, 20261015, guard.BudgetDay(utc(t, "2026-10-15 15:59")))
	require.Equal(t, 20261016, guard.BudgetDay(utc(t, "2026-10-15 16:00")))
	require.Equal(t, 20270101, guard.BudgetDay(utc(t, "2026-12-31 16:00")))
}
