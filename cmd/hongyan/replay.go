package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"hongyan/accounts"
	"hongyan/internal/clock"
	"hongyan/internal/config"
	"hongyan/internal/fault"
	"hongyan/scheduler"
)

// errReplay is returned when something is not as pushes and ledger say; the report says what.
var errReplay = errors.New("what is believed is not what the pushes and the ledger say; see the differences above")

// replayCommand builds fans, grants, caps and figures of all accounts, or of the one that --account names by its id or AppID, anew from the inbox and the
// ledger and compares them with what is stored. It writes nothing, and fails when something differs.
func replayCommand(ctx context.Context, e env) error {
	which, args, err := takeFlag(e.args, "account")
	if err != nil {
		return err
	}
	e.args = args
	return withStorage(ctx, e, func(cfg config.Config, st *storage) error {
		if err := (&Server{Config: cfg, storage: st}).schema(ctx); err != nil {
			return err
		}
		clk := clock.System()
		store := accounts.New(st.db, clk, st.vault)
		all, err := store.FindAccounts(ctx)
		if err != nil {
			return err
		}
		found, equal := false, true
		for _, a := range all {
			if which != "" && which != a.AppID && which != strconv.FormatInt(a.ID, 10) {
				continue
			}
			found = true
			report, err := scheduler.NewReplay(scheduler.ReplayOptions{DB: st.db, Clock: clk, Accounts: store, AccountID: a.ID}).Run(ctx)
			if err != nil {
				return fmt.Errorf("replay account %d: %w", a.ID, err)
			}
			printReplay(e.out, a, report)
			equal = equal && report.Equal()
		}
		switch {
		case which != "" && !found:
			return fault.New(fault.NotFound, "there is no account %q", which)
		case !equal:
			return errReplay
		}
		return nil
	})
}

func printReplay(out io.Writer, a *accounts.Account, r *scheduler.ReplayReport) {
	mark := "✓ equal / 一致"
	if !r.Equal() {
		mark = "✗ different / 不一致"
	}
	fmt.Fprintf(out, "%s %s (%s)\n", mark, a.Name, a.AppID)
	fmt.Fprintf(out, "  粉丝 / fans %d · 推送与事件 / pushes and events %d · 互动 / interactions %d · 发出过的消息 / messages marked %d · 计数 / figures %d\n",
		r.Fans, r.Pushes, r.Interactions, r.Deliveries, r.Figures)
	fmt.Fprintf(out, "  hash %s\n", r.Live)
	if r.Live != r.Rebuilt {
		fmt.Fprintf(out, "  rebuilt %s · %d of %d slices differ\n", r.Rebuilt, r.DifferentSlices, r.Slices)
	}
	for _, line := range []struct {
		n    int64
		text string
	}{
		{r.Partial, "位粉丝较早的推送已不保留，从现存的第一条推送开始重建 / fans whose first pushes are not kept any more: rebuilt from the first one that is"},
		{r.Pushless, "位粉丝没有任何推送（来自同步或后台） / fans without any push: synchronisations and requests made them"},
		{r.Told, "位粉丝的部分状态以同步时微信的说法为准 / fans of whom a synchronisation learned something that pushes did not tell"},
		{r.Waiting, "条推送还在等待处理 / pushes that wait to be acted upon"},
		{r.Parked, "条推送多次处理失败，已搁置 / pushes that failed too often and are parked"},
		{r.Busy, "位粉丝在读取时一直有变化，没有核对 / fans who kept changing while they were read: not compared"},
		{r.BusySources, "个来源的计数在读取时一直有变化，没有核对 / sources whose figures kept changing: not compared"},
	} {
		if line.n > 0 {
			fmt.Fprintf(out, "  %d %s\n", line.n, line.text)
		}
	}
	if r.Equal() {
		return
	}
	fmt.Fprintf(out, "  %d fans and %d figures differ; believed, and as pushes and ledger say:\n", r.DifferentFans, r.DifferentFigures)
	for _, d := range r.Differences {
		of := ""
		if d.FanID != 0 {
			of = fmt.Sprintf("fan %d ", d.FanID)
		}
		fmt.Fprintf(out, "    %s%s: %s, %s\n", of, d.Field, d.Live, d.Rebuilt)
	}
}
