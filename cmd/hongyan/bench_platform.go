package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"time"

	"hongyan/internal/clock"
	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

// benchPlatform is the whole simulated platform with one account, in a process of its own.
type benchPlatform struct{ sim *simulator.Simulator }

// platformFans is what the platform knows of its fans, for comparing.
type platformFans struct {
	Fans        int      `json:"fans"`
	Sum         uint64   `json:"sum"` // of the hashes of those who follow
	Blacklisted []string `json:"blacklisted"`
}

// platformReady is the first answer of the platform's process.
type platformReady struct {
	listening

	Gone []string `json:"gone"`
	Back []string `json:"back"`
}

func benchPlatformCommand(_ context.Context, e env) (err error) {
	flags := flag.NewFlagSet(childPlatform, flag.ContinueOnError)
	n := flags.Int("n", 0, "")
	if err := flags.Parse(e.args); err != nil {
		return errUsage
	}
	clk := clock.System()
	p := &benchPlatform{sim: simulator.New(simulator.Options{Clock: clk, Seed: 1, Rules: wechat.RulesAt(clk.Now()), Record: simulator.RecordCompact})}
	defer p.sim.Close()
	ready, err := p.settle(*n)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it lives as long as the process
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	ready.URL = "http://" + listener.Addr().String()
	server := &http.Server{Handler: p.sim, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	err = serveLines(e, ready, p.answer)
	closed := server.Close()
	if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
		closed = errors.Join(closed, ended)
	}
	return errors.Join(err, closed)
}

// settle makes the account and its fans.
func (p *benchPlatform) settle(n int) (ready platformReady, err error) {
	err = p.sim.AddAccount(simulator.Account{
		AppID: benchAppID, Secret: benchSecret, OriginalID: benchOriginal, Type: simulator.Service, Verified: true,
	})
	if err != nil {
		return ready, err
	}
	following, err := p.sim.AddFans(benchAppID, n, true)
	if err != nil {
		return ready, err
	}
	ready.Gone, err = p.sim.AddFans(benchAppID, min(syncGone, n), false)
	ready.Back = following[:min(syncBack, n)]
	for _, openid := range following[max(0, n-syncRow):] {
		err = errors.Join(err, p.sim.SetFanFlags(openid, simulator.FanFlags{Blacklisted: true}))
	}
	return ready, err
}

func (p *benchPlatform) answer(line string) (any, error) {
	if line != "fans" {
		return nil, fmt.Errorf("the platform was asked to %q", line)
	}
	states, err := p.sim.Fans(benchAppID)
	var out platformFans
	for _, f := range states {
		if f.Subscribed {
			out.Fans++
			out.Sum += hashOf(f.OpenID)
		}
		if f.Blacklisted {
			out.Blacklisted = append(out.Blacklisted, f.OpenID)
		}
	}
	return out, err
}
