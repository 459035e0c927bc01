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
	"hongyan/internal/config"
	"hongyan/internal/stops"
	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

// withStorage opens the storage for a command that does one thing.
func withStorage(ctx context.Context, e env, do func(config.Config, *storage) error) error {
	cfg, err := loadConfig(e)
	if err != nil {
		return err
	}
	st, err := openStorage(ctx, cfg, clock.System(), cfg.Logger(e.err))
	if err != nil {
		return err
	}
	return errors.Join(do(cfg, st), st.close())
}

func identity(cfg config.Config, st *storage) stops.Identity {
	return stops.Identity{DB: st.db, Clock: clock.System(), Dir: cfg.DataDir}
}

// simulatorCommand runs the simulated platform by itself: its API, and the control API under /_sim/.
func simulatorCommand(ctx context.Context, e env) error {
	flags := flag.NewFlagSet("simulator", flag.ContinueOnError)
	flags.SetOutput(e.err)
	addr := flags.String("addr", "127.0.0.1:8090", "host:port to listen on")
	seed := flags.Uint64("seed", 1, "the same seed gives the same fans")
	if err := flags.Parse(e.args); err != nil {
		return errUsage
	}
	clk := clock.System()
	sim := simulator.New(simulator.Options{Clock: clk, Seed: *seed, Rules: wechat.RulesAt(clk.Now())})
	defer sim.Close()
	fmt.Fprintf(e.err, "the simulated platform is at http://%s; its control API at http://%s/_sim/\n", *addr, *addr)
	return simulator.Serve(ctx, *addr, sim)
}

// healthcheckCommand asks the server on this machine, for container health checks in images without a shell.
func healthcheckCommand(ctx context.Context, e env) error {
	cfg, err := loadConfig(e)
	if err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(cfg.Addr)
	if err != nil {
		return fmt.Errorf("read HONGYAN_ADDR: %w", err)
	}
	if host == "" || host == "0.0.0.0" || host == "::" {
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/healthz", http.NoBody)
	if err != nil {
		return fmt.Errorf("ask for health: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask for health: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("the server answered %s", resp.Status)
	}
	return errors.Join(err, resp.Body.Close())
}
