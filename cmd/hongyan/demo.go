package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"hongyan/internal/clock"
)

// demoFans is how many invented fans the demo's week has.
const demoFans = 2000

// errDemo is returned when a check of the demo failed; the report says which.
var errDemo = errors.New("a check failed; see the lines with ✗ above")

// demoCommand plays a week in virtual time and then one drip in real time, and checks both against what the simulated platform counted.
func demoCommand(ctx context.Context, e env) (err error) {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(e.err)
	seed := flags.Uint64("seed", 1, "the same seed gives the same week, byte for byte")
	if err := flags.Parse(e.args); err != nil {
		return errUsage
	}
	log := slog.New(slog.NewTextHandler(e.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	weekDir, err := memoryDir()
	if err != nil {
		return fmt.Errorf("make a directory for the demo: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(weekDir)) }()
	liveDir, err := os.MkdirTemp("", demoDirs)
	if err != nil {
		return fmt.Errorf("make a directory for the demo: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(liveDir)) }()
	wall := clock.System()
	began := wall.Now()
	weekHeld, err := demoWeek(ctx, e.out, demoOptions{seed: *seed, fans: demoFans, dir: weekDir, log: log})
	if err != nil {
		return err
	}
	took := wall.Now().Sub(began).Seconds()
	fmt.Fprintf(e.out, "\n%s\n以下是真实时间，每次运行都不同。第一部分用时 %.1f 秒。\nReal time from here on: it differs from run to run. Part one took %.1f s.\n%s\n",
		demoRule, took, took, demoRule)
	liveHeld, err := demoLive(ctx, e.out, demoOptions{seed: *seed, dir: liveDir, log: log})
	if err != nil {
		return err
	}
	took = wall.Now().Sub(began).Seconds()
	fmt.Fprintf(e.out, "\n总用时 %.1f 秒 / %.1f s in all\n", took, took)
	if !weekHeld || !liveHeld {
		return errDemo
	}
	return nil
}

const demoRule = "────────────────────────────────────────────────────────────────────────"

const demoDirs = "hongyan-demo-"

// memoryDir makes a directory in memory where the system has such a place, and else where temporary files go. The week commits a hundred thousand
// transactions one after the other; waiting for a disk each time would take minutes, and the data is thrown away at the end.
func memoryDir() (string, error) {
	if dir, err := os.MkdirTemp("/dev/shm", demoDirs); err == nil {
		return dir, nil
	}
	return os.MkdirTemp("", demoDirs)
}

// demoWeek is part one: the week, and what came of it. It reports whether every check held.
func demoWeek(ctx context.Context, out io.Writer, o demoOptions) (held bool, err error) {
	w, err := newDemoWorld(ctx, o)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	w.introduce(out)
	if err := w.play(ctx); err != nil {
		return false, err
	}
	book, err := w.read(ctx)
	if err != nil {
		return false, err
	}
	if err := w.report(ctx, out, book); err != nil {
		return false, err
	}
	replayed, err := w.replayed(ctx)
	if err != nil {
		return false, err
	}
	return printChecks(out, append(w.checks(book), replayed)), nil
}

// introduce says what is about to run.
func (w *demoWorld) introduce(out io.Writer) {
	zone := w.account.Policy.Zone
	begin, end := demoBegin.In(zone), w.end.In(zone)
	fmt.Fprintf(out, "鸿雁演示 · Hongyan demo\n%s\n第一部分：虚拟时钟下的一周 / Part one: a week in virtual time\n%s\n", demoRule, demoRule)
	fmt.Fprintf(out, "  种子 seed          %d（相同的种子，逐字节相同的输出 / same seed, same bytes）\n", w.options.seed)
	fmt.Fprintf(out, "  公众号 account     %s（沙箱，粉丝与微信平台均为模拟 / sandbox: fans and platform are simulated）\n", w.account.Name)
	fmt.Fprintf(out, "  粉丝 fans          %d\n", w.options.fans)
	fmt.Fprintf(out, "  时间 time          %s 至 %s，%s；之后等到没有待发的消息\n", begin.Format(time.DateTime), end.Format(time.DateTime), zone)
	fmt.Fprintf(out, "  免打扰 quiet       %s 至次日 %s\n", demoQuietFrom, demoQuietTo)
	fmt.Fprintf(out, "  每日上限 cap       每人 %d 条；间隔 gap %d 分钟（即时回复不受限 / replies are free of both）\n", demoCap, demoGapMinutes)
	fmt.Fprintf(out, "  平台故障 faults    连接重置、半截应答、-1、45011、推送应答丢失 / resets, half answers, -1, 45011, lost answers to pushes\n")
	for i, d := range w.drips {
		fmt.Fprintf(out, "  智能推送 drip %d    %s：%s，%d 步\n", i+1, d.Name, triggerWords(&d.Definition), len(d.Definition.Steps))
	}
}
