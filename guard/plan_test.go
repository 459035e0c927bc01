package guard_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"hongyan/guard"
	"hongyan/wechat"
)

func TestPlanMovesADueTimeOutOfQuietHours(t *testing.T) {
	t.Parallel()
	quiet := guard.PolicySpec{Quiet: []guard.QuietRange{{Start: "20:00", End: "21:55"}, {Start: "22:00", End: "08:00"}, {Start: "08:03", End: "09:00"}}}
	now := shanghai(t, "2026-10-15 12:00:00")
	for _, c := range []struct {
		name, due string
		set       func(*scene)
		at        string
		kind      guard.Kind
		reason    guard.Reason
	}{
		{"outside: as wished", "2026-10-15 19:00:00", func(*scene) {}, "2026-10-15 19:00:00.000", guard.Allow, guard.ReasonNone},
		{"in the past: now", "2026-10-14 23:00:00", func(*scene) {}, "2026-10-15 12:00:00.000", guard.Allow, guard.ReasonNone},
		{"inside: after, spread", "2026-10-15 20:30:00", func(s *scene) { s.req.Spread = 60_000 }, "2026-10-15 21:56:00.000", guard.Defer, guard.ReasonQuietHours},
		{"the spread stays before the next quiet hours", "2026-10-15 23:00:00", func(s *scene) { s.req.Spread = 299_999 }, "2026-10-16 08:01:59.999", guard.Defer, guard.ReasonQuietHours},
		{"replies are not moved", "2026-10-15 23:00:00", func(s *scene) { s.req.Class = guard.ClassReply }, "2026-10-15 23:00:00.000", guard.Allow, guard.ReasonNone},
		{"services are not moved", "2026-10-15 23:00:00", func(s *scene) { s.req.Class = guard.ClassService }, "2026-10-15 23:00:00.000", guard.Allow, guard.ReasonNone},
		{"past the hard deadline", "2026-10-15 19:00:00", func(s *scene) { s.req.NotAfter = shanghai(t, "2026-10-15 19:00:00").UnixMilli() }, "2026-10-15 19:00:00.000", guard.Skip, guard.ReasonTooLate},
		{"too late after: skipped", "2026-10-15 23:00:00", endsAt("2026-10-16 08:00:00", 0), "2026-10-15 23:00:00.000", guard.Skip, guard.ReasonQuietHours},
		{"too late after: earlier", "2026-10-15 23:00:00", endsAt("2026-10-16 08:00:00", guard.OptQuietEarlier), "2026-10-15 21:59:59.999", guard.Defer, guard.ReasonQuietHours},
		{"earlier, spread", "2026-10-15 20:30:00", func(s *scene) {
			endsAt("2026-10-15 21:00:00", guard.OptQuietEarlier)(s)
			s.req.Spread = 60_000
		}, "2026-10-15 19:58:59.999", guard.Defer, guard.ReasonQuietHours},
		{"earlier, but not inside the quiet hours before", "2026-10-15 23:00:00", func(s *scene) {
			endsAt("2026-10-16 08:00:00", guard.OptQuietEarlier)(s)
			s.req.Spread = 400_000
		}, "2026-10-15 21:55:00.000", guard.Defer, guard.ReasonQuietHours},
		{"earlier, but not before now", "2026-10-15 20:30:00", func(s *scene) {
			s.now = shanghai(t, "2026-10-15 19:59:00")
			endsAt("2026-10-15 21:00:00", guard.OptQuietEarlier)(s)
			s.req.Spread = 400_000
		}, "2026-10-15 19:59:00.000", guard.Defer, guard.ReasonQuietHours},
		{"earlier is over", "2026-10-15 23:00:00", func(s *scene) {
			s.now = shanghai(t, "2026-10-15 22:00:00")
			endsAt("2026-10-16 08:00:00", guard.OptQuietEarlier)(s)
		}, "2026-10-15 23:00:00.000", guard.Skip, guard.ReasonQuietHours},
		{"the grant ends first", "2026-10-15 23:00:00", func(s *scene) {
			s.grantUntil(shanghai(t, "2026-10-16 08:00:00").UnixMilli())
		}, "2026-10-15 23:00:00.000", guard.Skip, guard.ReasonQuietHours},
		{"the grant ends first, but another is waited for", "2026-10-15 23:00:00", func(s *scene) {
			s.grantUntil(shanghai(t, "2026-10-16 08:00:00").UnixMilli())
			s.req.Options = guard.OptWaitForGrant
		}, "2026-10-16 08:00:00.000", guard.Defer, guard.ReasonQuietHours},
		{"the grant lasts longer", "2026-10-15 23:00:00", func(s *scene) {
			s.grantUntil(shanghai(t, "2026-10-16 08:00:01").UnixMilli())
		}, "2026-10-16 08:00:00.000", guard.Defer, guard.ReasonQuietHours},
	} {
		s := allowed(t, quiet)
		s.now = now
		s.req.Channel = guard.ChannelKefu
		c.set(s)
		got := guard.Plan(s.policy, s.now, shanghai(t, c.due), &s.req, &s.facts)
		require.Equal(t, c.at, time.UnixMilli(got.DueAt).In(s.policy.Zone).Format("2006-01-02 15:04:05.000"), c.name)
		require.Equal(t, c.kind, got.Verdict.Kind, c.name)
		require.Equal(t, c.reason, got.Verdict.Reason, c.name)
	}
}

// endsAt gives the campaign a hard end in Shanghai.
func endsAt(end string, options guard.Option) func(*scene) {
	return func(s *scene) {
		at, err := time.ParseInLocation(time.DateTime, end, s.policy.Zone)
		if err != nil {
			panic(err)
		}
		s.req.NotAfter, s.req.Options = at.UnixMilli(), options
	}
}

func TestPropertyAPlacementIsFreeInTimeAndAgreesWithDecide(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		_, p := drawPolicy(t, rapid.SampledFrom([]string{"Asia/Shanghai", "Europe/Berlin", "America/New_York"}).Draw(t, "zone"))
		minutes := rapid.IntRange(0, 5*1440)
		now := utc(t, "2026-03-25 00:00").Add(time.Duration(minutes.Draw(t, "now")) * time.Minute)
		due := utc(t, "2026-03-25 00:00").Add(time.Duration(minutes.Draw(t, "due")) * time.Minute)
		r := guard.Request{
			Class: guard.ClassMarketing, Channel: guard.ChannelPassive, Messages: 1, Spread: rapid.Uint32().Draw(t, "spread"),
			Options:  rapid.SampledFrom([]guard.Option{0, guard.OptQuietEarlier}).Draw(t, "options"),
			NotAfter: now.Add(time.Duration(minutes.Draw(t, "not_after")) * time.Minute).UnixMilli(),
		}
		f := guard.Facts{CampaignCaps: guard.NoCaps()}
		got := guard.Plan(p, now, due, &r, &f)
		if got.Verdict.Kind == guard.Skip {
			return
		}
		require.GreaterOrEqual(t, got.DueAt, now.UnixMilli())
		require.Less(t, got.DueAt, r.NotAfter)
		m := p.At(time.UnixMilli(got.DueAt))
		require.Equal(t, allow(1), guard.Decide(&m, p, &r, &f), "at %s", time.UnixMilli(got.DueAt).In(p.Zone))
	})
}

func TestPropertyADeferralOverQuietHoursIsToAFreeMoment(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		_, p := drawPolicy(t, "Europe/Berlin")
		now := utc(t, "2026-03-25 00:00").Add(time.Duration(rapid.IntRange(0, 5*1440).Draw(t, "now")) * time.Minute)
		r := guard.Request{
			Class: guard.ClassMarketing, Channel: guard.ChannelPassive, Messages: 1,
			Spread: rapid.Uint32().Draw(t, "spread"), NotAfter: 1 << 60,
		}
		f := guard.Facts{CampaignCaps: guard.NoCaps()}
		m := p.At(now)
		if v := guard.Decide(&m, p, &r, &f); v.Kind == guard.Defer {
			m = p.At(time.UnixMilli(v.Until))
			require.Equal(t, allow(1), guard.Decide(&m, p, &r, &f))
		}
	})
}

func TestSpreadIsSteadyAndEven(t *testing.T) {
	t.Parallel()
	const fans, slots = 60_000, 60
	var counts [slots]int
	for fan := range int64(fans) {
		hash := guard.Spread(42, fan)
		require.Equal(t, hash, guard.Spread(42, fan))
		counts[hash%600_000/10_000]++
	}
	for _, n := range counts {
		require.InDelta(t, fans/slots, n, 200)
	}
	require.NotEqual(t, guard.Spread(1, 7), guard.Spread(2, 7), "another campaign, another place")
}

func TestValuesLedToTheVerdict(t *testing.T) {
	t.Parallel()
	now := allowed(t, everyRule()).ms()
	want := map[guard.Reason]map[string]int64{
		guard.ReasonTooLate:      {"now_at": now, "not_after_at": now},
		guard.ReasonAgentSession: {"session_until": now + minute},
		guard.ReasonQuietHours:   {"quiet_from_at": now - hour, "quiet_until": now + hour},
		guard.ReasonCap:          {"messages": 1, "cap": 3, "cap_used": 3},
		guard.ReasonGap:          {"last_at": now - minute, "gap_ms": hour},
		guard.ReasonGrantClosed:  {"messages": 1, "held_for_agents": 1},
		guard.ReasonGrantExhausted: {
			"messages": 1, "held_for_agents": 1, "message_left": 0, "message_until": now + 46*hour + 50*minute,
		},
		guard.ReasonGrantReserved: {
			"messages": 1, "held_for_agents": 1, "message_left": 1, "message_until": now + 46*hour + 50*minute,
		},
		guard.ReasonAPIBudget: {"messages": 1, "budget_left": 0},
	}
	for _, o := range obstacles(t) {
		s := allowed(t, everyRule())
		o.put(s)
		if want[o.reason] == nil {
			require.Empty(t, s.values(), "%s", o.reason)
			continue
		}
		require.Equal(t, want[o.reason], s.values(), "%s", o.reason)
	}
	s := allowed(t, guard.PolicySpec{})
	s.facts.CampaignCaps[0], s.facts.CampaignUsed[0] = 2, 2
	require.Equal(t, map[string]int64{"messages": 1, "campaign_cap": 2, "campaign_cap_used": 2}, s.values())
	s = allowed(t, guard.PolicySpec{})
	s.facts.Grants.Trigger(wechat.TriggerMenu, now-minute, today(wechat.TriggerMenu), 4)
	s.req.Messages = 6
	require.Zero(t, s.values()["menu_left"], "less than nothing is shown as nothing")
}

func TestReasonsHaveNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, r := range guard.Reasons() {
		require.NotEmpty(t, r.String())
		require.False(t, seen[r.String()], r)
		seen[r.String()] = true
	}
	require.Len(t, seen, 27)
	require.Equal(t, "allow defer skip", guard.Allow.String()+" "+guard.Defer.String()+" "+guard.Skip.String())
}

func TestASpreadAfterQuietHoursEndsBeforeTheNext(t *testing.T) {
	t.Parallel()
	s := allowed(t, guard.PolicySpec{Quiet: []guard.QuietRange{{Start: "22:00", End: "08:00"}, {Start: "08:03", End: "09:00"}}})
	s.now = shanghai(t, "2026-10-15 23:00:00")
	end := shanghai(t, "2026-10-16 08:00:00").UnixMilli()
	s.req.Spread = uint32(3*minute) + 5
	require.Equal(t, deferred(guard.ReasonQuietHours, end+5), s.decide())
}
