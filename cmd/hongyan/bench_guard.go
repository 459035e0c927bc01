package main

import (
	"context"
	"errors"
	"runtime"
	"time"

	"hongyan/guard"
	"hongyan/wechat"
)

// guardDecisions is how many decisions a run of guard makes.
const guardDecisions = 5_000_000

// guardRun decides again and again, in one goroutine, about fans who differ in everything that allows: caps partly used, one or several grants open.
func (b *bench) guardRun(context.Context) (*benchLine, error) {
	dailyCap, weeklyCap, monthlyCap, n := 15, 60, 200, guardDecisions
	if b.quick {
		n /= 100
	}
	spec := guard.PolicySpec{
		DailyCap: &dailyCap, WeeklyCap: &weeklyCap, MonthlyCap: &monthlyCap, GapMinutes: 30, Quiet: []guard.QuietRange{{Start: "23:00", End: "07:00"}}, HoldForAgents: 1,
	}
	policy, err := spec.Compile("Asia/Shanghai")
	if err != nil {
		return nil, err
	}
	now := time.Date(2026, 3, 4, 4, 0, 0, 0, time.UTC) // noon in the account's zone
	moment := policy.At(now)
	facts := guardFacts(now)
	req := guard.Request{Class: guard.ClassMarketing, Campaign: true, Channel: guard.ChannelKefu, Messages: 1, NotAfter: now.Add(time.Hour).UnixMilli()}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := b.clock.Now()
	allowed := 0
	for i := range n {
		req.Spread = uint32(i)
		if guard.Decide(&moment, policy, &req, &facts[i%len(facts)]).Kind == guard.Allow {
			allowed++
		}
	}
	seconds := b.clock.Now().Sub(start).Seconds()
	runtime.ReadMemStats(&after)
	if allowed != n {
		return nil, errors.New("the guard did not allow what it should have")
	}
	// The few allocations of the runtime's own in so many decisions are none of the guard's.
	allocs := round(float64(after.Mallocs-before.Mallocs)/float64(n), 3)
	return &benchLine{Bench: "guard", Deliveries: n, PerSecond: round(float64(n)/max(seconds, 0.001), 0), AllocsPerOp: &allocs}, nil
}

func guardFacts(now time.Time) []guard.Facts {
	rules := wechat.RulesAt(now)
	facts := make([]guard.Facts, 512)
	for i := range facts {
		f := &facts[i]
		f.Used, f.CampaignCaps, f.BudgetLeft = guard.Counts{i % 12, i % 12 * 3, i % 12 * 9}, guard.NoCaps(), 1000+i
		if i%3 == 0 {
			f.CampaignCaps, f.CampaignUsed = guard.Caps{3, 9, 27}, guard.Counts{i % 2, i % 9, i % 27}
		}
		at := now.Add(-time.Duration(i%40) * time.Second)
		f.Grants.Trigger(wechat.TriggerMessage, at.UnixMilli(), rules.Grants[wechat.TriggerMessage], i%3)
		if i%2 == 0 {
			f.Grants.Trigger(wechat.TriggerMenu, at.UnixMilli(), rules.Grants[wechat.TriggerMenu], 0)
		}
		if i%4 == 0 {
			f.MarketingAt = now.Add(-time.Hour).UnixMilli()
		}
	}
	return facts
}
