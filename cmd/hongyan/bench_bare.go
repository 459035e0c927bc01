package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"sync"
	"sync/atomic"

	"hongyan/wechat"
)

// bareLoop is what sending is compared with: the same client, transport and concurrency, each body built and each answer read, and nothing kept.
type bareLoop struct {
	n, inFlight int
	account     wechat.Account
	client      *wechat.Client
}

func benchBareCommand(ctx context.Context, e env) error {
	fs := flag.NewFlagSet(childBare, flag.ContinueOnError)
	l := &bareLoop{account: wechat.Account{ID: 1, AppID: benchAppID, Secret: "bench-secret"}}
	fs.StringVar(&l.account.BaseURL, "sink", "", "")
	fs.IntVar(&l.n, "n", 0, "")
	fs.IntVar(&l.inFlight, "in-flight", 1, "")
	if err := fs.Parse(e.args); err != nil {
		return errUsage
	}
	l.client = wechat.New(wechat.Options{Transport: wechat.NewTransport(inFlightFor(l.inFlight))})
	return serveLines(e, struct{}{}, func(line string) (any, error) {
		if line != "run" {
			return nil, fmt.Errorf("the bare loop was asked to %q", line)
		}
		before, err := usageNow()
		if err != nil {
			return nil, err
		}
		if err := l.run(ctx); err != nil {
			return nil, err
		}
		after, err := usageNow()
		after.CPU -= before.CPU
		return after, err
	})
}

func (l *bareLoop) run(ctx context.Context) error {
	var next atomic.Int64
	var all sync.WaitGroup
	failures := make([]error, l.inFlight)
	for i := range l.inFlight {
		all.Go(func() { failures[i] = l.calls(ctx, &next) })
	}
	all.Wait()
	return errors.Join(failures...)
}

func (l *bareLoop) calls(ctx context.Context, next *atomic.Int64) error {
	body := make([]byte, 0, 1024)
	for {
		i := int(next.Add(1)) - 1
		if i >= l.n {
			return nil
		}
		m := wechat.TextMessage(benchNickname + "你好，本周新到埃塞俄比亚豆，回复「试饮」到店免费喝一杯。")
		var err error
		if body, err = wechat.AppendKefu(body[:0], benchOpenID(benchBulk, i), &m); err != nil {
			return err
		}
		if err := l.client.SendKefuJSON(ctx, l.account, body); err != nil {
			return err
		}
	}
}
