package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"hongyan/accounts"
	"hongyan/campaigns"
	"hongyan/deliveries"
	"hongyan/guard"
	"hongyan/internal/clock"
	"hongyan/internal/config"
	"hongyan/internal/fault"
	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

const (
	// livePatience is how long the second part waits for a message before it gives up.
	livePatience = 10 * time.Second
	// liveLate is how late a message may be on a machine that has nothing else to do; a busy one may need it all.
	liveLate = 2 * time.Second
)

// demoLive is part two: the program as `hongyan serve` runs it, with its embedded database and queue, a platform behind a socket, and one fan. It reports
// whether every check held.
func demoLive(ctx context.Context, out io.Writer, o demoOptions) (held bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*livePatience)
	defer cancel()
	clk := clock.System()
	sim := simulator.New(simulator.Options{Clock: clk, Seed: o.seed, Rules: wechat.RulesAt(clk.Now())})
	defer sim.Close()
	base, stop, err := liveServe(ctx, sim)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	cfg, _, err := config.Load(nil, nil, io.Discard)
	if err != nil {
		return false, err
	}
	cfg.Addr, cfg.DataDir, cfg.Sandbox = "127.0.0.1:0", o.dir, config.Off
	s := &Server{Config: cfg, Clock: clk, Log: o.log}
	if err := s.Open(ctx); err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.Start(ctx); err != nil {
		return false, err
	}
	live := &liveDrip{server: s, sim: sim, clock: clk}
	err = live.run(ctx, base)
	// Stopping finishes what runs, so that the ledger then tells everything.
	if err := errors.Join(err, s.Stop(context.WithoutCancel(ctx))); err != nil {
		return false, err
	}
	return live.report(ctx, out)
}

// liveServe puts the simulated platform behind a socket on this machine. stop returns when it is gone.
func liveServe(ctx context.Context, sim *simulator.Simulator) (base string, stop func() error, err error) {
	var listening net.ListenConfig
	ln, err := listening.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("listen for the simulated platform: %w", err)
	}
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- simulator.ServeListener(serving, ln, sim) }()
	return "http://" + ln.Addr().String(), func() error {
		cancel()
		return <-ended
	}, nil
}

// liveDrip is one drip to one fan, with the times that were measured.
type liveDrip struct {
	server  *Server
	sim     *simulator.Simulator
	clock   clock.Clock
	account *accounts.Account
	drip    *campaigns.Drip
	openid  string

	followed time.Time
	answered time.Duration // from the fan's follow to the passive reply
	passive  bool
	arrivals []simulator.Arrival
}

// run lets a fan follow and waits for everything that the drip says.
func (l *liveDrip) run(ctx context.Context, base string) error {
	var drips []*campaigns.Drip
	var err error
	if l.account, drips, err = demoAccount(ctx, l.server.Scheduler, base, guard.PolicySpec{}, liveDrips()); err != nil {
		return err
	}
	l.drip = drips[0]
	openids, err := populate(l.sim, l.account, l.server.URL(), 1)
	if err != nil {
		return err
	}
	l.openid = openids[0]
	if err := l.sim.CheckURL(ctx, l.account.AppID); err != nil {
		return err
	}
	arrived := make(chan simulator.Arrival, 16)
	defer l.sim.OnArrival(func(a simulator.Arrival) { arrived <- a })()
	l.followed = l.clock.Now()
	push, err := l.sim.Follow(ctx, l.openid, "")
	if err != nil {
		return err
	}
	l.answered, l.passive = l.clock.Now().Sub(l.followed), push.Reply != nil
	for range l.drip.Definition.Steps {
		timer := l.clock.NewTimer(livePatience)
		select {
		case a := <-arrived:
			timer.Stop()
			l.arrivals = append(l.arrivals, a)
		case <-timer.C:
			return nil // the report says what is missing
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("wait for the drip's messages: %w", ctx.Err())
		}
	}
	return nil
}

func liveDrips() []newDrip {
	return []newDrip{{"欢迎三步", campaigns.Definition{
		Triggers: []campaigns.Trigger{{Kind: campaigns.TriggerFollow}},
		Steps: []campaigns.Step{
			{Delay: "0s", Class: "reply", Messages: texts("你好，这里是{{account_name}}。")},
			{Delay: "1s", Messages: texts("今日现烘：耶加雪菲。")},
			{Delay: "2s", Messages: texts("回复「优惠」领取新人券。")},
		},
	}}}
}

// report prints what was measured and checks it against the ledger.
func (l *liveDrip) report(ctx context.Context, out io.Writer) (bool, error) {
	sch := l.server.Scheduler
	fan, err := sch.Fans.FindFanByOpenID(ctx, l.account.ID, l.openid)
	if err != nil {
		return false, err
	}
	rows, err := sch.Ledger.Timeline(ctx, l.account.ID, fan.ID)
	if err != nil {
		return false, err
	}
	fmt.Fprintf(out, "第二部分：一个智能推送，真实时间 / Part two: one drip in real time\n")
	fmt.Fprintf(out, "  asynq 队列 + 内置数据库（SQLite，同步写盘）+ HTTP 回调 %s\n\n", l.server.URL())
	fmt.Fprintf(out, "  +0 ms      粉丝关注 / the fan follows\n")
	sent, latest := 0, time.Duration(0)
	for i, a := range l.arrivals {
		fmt.Fprintf(out, "  %s %s「%s」", pad(fmt.Sprintf("+%d ms", a.At.Sub(l.followed).Milliseconds()), 10), viaWords[a.Via], a.Content)
		if i < len(rows) && a.Via == simulator.ViaKefu {
			late := a.At.Sub(clock.FromMillis(rows[i].DueAt))
			latest = max(latest, late)
			fmt.Fprintf(out, "：比预定晚 %d ms / late by %d ms", late.Milliseconds(), late.Milliseconds())
		} else if a.Via == simulator.ViaPassive {
			fmt.Fprintf(out, "：推送到答复 %d ms / answered in %d ms", l.answered.Milliseconds(), l.answered.Milliseconds())
		}
		fmt.Fprintln(out)
	}
	for i := range rows {
		if rows[i].State == deliveries.StateSent {
			sent++
		}
	}
	steps := len(l.drip.Definition.Steps)
	if len(rows) == 0 {
		return false, fault.New(fault.Internal, "the fan's follow planned nothing")
	}
	return printChecks(out, []demoCheck{
		{l.passive, "欢迎语作为被动回复送达 / the welcome went as the reply to the push", fmt.Sprintf("%d ms", l.answered.Milliseconds())},
		{len(l.arrivals) == steps && sent == steps && len(rows) == steps, "每步恰好一条，台账与平台一致 / one message a step, ledger and platform agree",
			fmt.Sprintf("收到 %d，台账已发送 %d，步数 %d", len(l.arrivals), sent, steps)},
		{latest <= liveLate, "准时 / on time", fmt.Sprintf("最多晚 %d ms，允许 %d ms", latest.Milliseconds(), liveLate.Milliseconds())},
	}), nil
}

var viaWords = map[simulator.Via]string{
	simulator.ViaKefu: "客服消息 kefu", simulator.ViaPassive: "被动回复 reply", simulator.ViaAgent: "人工客服 agent",
}
