package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"hongyan/accounts"
	"hongyan/campaigns"
	"hongyan/guard"
	"hongyan/internal/clock"
	"hongyan/internal/fault"
	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

// The sandbox account and the host under which its calls leave the program: they go to the simulator in this process, and to nobody else. Its secrets
// protect invented fans on a simulated platform.
const (
	sandboxAppID    = "wx5a4d80a0c0ffee01"
	sandboxOriginal = "gh_5a4d80a0c0ff"
	sandboxSecret   = "sandbox-secret-of-invented-fans"
	sandboxToken    = "sandboxtoken"
	sandboxAESKey   = "sandboxsandboxsandboxsandboxsandboxsandbox1"
	sandboxHost     = "sandbox.hongyan.invalid"
	sandboxFans     = 60
	sandboxSeed     = 20260301
)

// sandbox is an account of invented fans who keep acting, so that a new installation has something to show.
type sandbox struct {
	clock  clock.Clock
	log    *slog.Logger
	sim    *simulator.Simulator
	cancel context.CancelFunc
	done   sync.WaitGroup
	// openids are its fans', from open on.
	openids []string
}

func newSandbox(clk clock.Clock, log *slog.Logger) *sandbox {
	return &sandbox{clock: clk, log: log, sim: simulator.New(simulator.Options{
		Clock: clk, Seed: sandboxSeed, Rules: wechat.RulesAt(clk.Now()), Record: simulator.RecordRing,
	})}
}

// transport sends calls for the sandbox's host to the simulator, and all others where they belong.
func (b *sandbox) transport(other http.RoundTripper) http.RoundTripper {
	return hostTransport{host: sandboxHost, there: b.sim.RoundTripper(), other: other}
}

type hostTransport struct {
	host         string
	there, other http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t hostTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host == t.host {
		return t.there.RoundTrip(req)
	}
	return t.other.RoundTrip(req)
}

// open makes the account, if it is new, and makes its platform know it: before anything is sent to the account, or the platform answers that there is no such account,
// and that stops it. Pushes go to the address that s has taken.
func (b *sandbox) open(ctx context.Context, s *Server) error {
	account, err := sandboxAccount(ctx, s, "http://"+sandboxHost)
	if err != nil {
		return fmt.Errorf("make the sandbox account: %w", err)
	}
	if b.openids, err = populate(b.sim, account, s.URL(), sandboxFans); err != nil {
		return fmt.Errorf("make the sandbox's fans: %w", err)
	}
	return nil
}

// act lets the fans act, from when their pushes are taken.
func (b *sandbox) act(ctx context.Context) {
	script := simulator.NewScript(simulator.ScriptOptions{
		Seed: sandboxSeed, OpenIDs: b.openids, Start: b.clock.Now(), FollowWithin: 90 * time.Second, Keywords: []string{"优惠", "你好", "活动"},
		ActsPerDay: 500, ReplyShare: 0.3, UnfollowShare: 0.01,
	})
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	b.cancel = cancel
	b.done.Go(func() {
		if err := b.sim.Run(running, script); err != nil && running.Err() == nil {
			b.log.Error("the sandbox's fans stopped acting", "error", err)
		}
	})
}

func (b *sandbox) stop() {
	if b.cancel != nil {
		b.cancel()
	}
	b.done.Wait()
	b.sim.Close()
}

// populate puts an account with fans on a simulated platform; pushes go to the server at url.
func populate(sim *simulator.Simulator, a *accounts.Account, url string, fans int) ([]string, error) {
	err := sim.AddAccount(simulator.Account{
		AppID: a.AppID, Secret: a.Secret, OriginalID: a.OriginalID, Type: simulator.Service, Verified: a.Verified,
		Callback: simulator.Callback{
			URL: url + "/wechat/callback/" + a.AppID, Token: a.Callback.Token, AESKey: a.Callback.AESKeys[0], Mode: simulator.Mode(a.Callback.Mode),
		},
	})
	if err != nil {
		return nil, err
	}
	return sim.AddFans(a.AppID, fans, false)
}

// sandboxAccount finds the sandbox account or makes it, with a drip that greets whoever follows.
func sandboxAccount(ctx context.Context, s *Server, baseURL string) (*accounts.Account, error) {
	sch := s.Scheduler
	found, err := sch.Accounts.FindAccountByAppID(ctx, sandboxAppID)
	if err == nil || !fault.Is(err, fault.NotFound) {
		return found, err
	}
	dailyCap := 8
	a := &accounts.Account{
		AppID: sandboxAppID, OriginalID: sandboxOriginal, Name: "鸿雁咖啡", Kind: accounts.KindService, Verified: true, Sandbox: true, BaseURL: baseURL,
		Secret: sandboxSecret, Callback: accounts.Callback{Mode: accounts.ModeSafe, Token: sandboxToken, AESKeys: []string{sandboxAESKey}},
		Spec: guard.PolicySpec{DailyCap: &dailyCap, Quiet: []guard.QuietRange{{Start: "03:00", End: "05:00"}}},
	}
	if err := sch.Accounts.CreateAccount(ctx, a); err != nil {
		return nil, err
	}
	for _, drip := range sandboxDrips() {
		definition, err := json.Marshal(drip.definition)
		if err != nil {
			return nil, fmt.Errorf("write a drip: %w", err)
		}
		d, err := sch.Campaigns.CreateDrip(ctx, a, campaigns.NewDrip{Name: drip.name, Definition: definition})
		if err != nil {
			return nil, err
		}
		if err := sch.Campaigns.StartDrip(ctx, a, campaigns.Change{ID: d.ID}); err != nil {
			return nil, err
		}
	}
	return sch.Accounts.FindAccount(ctx, a.ID)
}

// namedDrip is a drip as a member would write it.
type namedDrip struct {
	name       string
	definition map[string]any
}

// step writes one step of a drip: when, and a text for each message.
func dripStep(when map[string]any, texts ...string) map[string]any {
	messages := make([]any, len(texts))
	for i, t := range texts {
		messages[i] = wechat.TextMessage(t)
	}
	when["messages"] = messages
	return when
}

func sandboxDrips() []namedDrip {
	return []namedDrip{
		{"新粉欢迎", map[string]any{
			"triggers": []any{map[string]any{"kind": "follow"}},
			"steps": []any{
				dripStep(map[string]any{"delay": "0s"}, "{{nickname|朋友}}你好，这里是{{account_name}}。回复「优惠」领取新人券。"),
				dripStep(map[string]any{"delay": "20s"}, "我们每天现烘咖啡豆，下午三点前下单当天发货。"),
				dripStep(map[string]any{"delay": "5m", "no_grant": "wait"}, "还没想好喝什么？回复口味，我们帮你选豆。"),
			},
			"re_entry": map[string]any{"mode": "always"},
		}},
		{"领券", map[string]any{
			"triggers": []any{map[string]any{"kind": "keyword", "keywords": []string{"优惠"}, "match": "contains"}},
			"steps": []any{
				dripStep(map[string]any{"delay": "0s"}, "新人券已放进卡包，七天内有效。", "满 50 减 10，全场通用。"),
				dripStep(map[string]any{"delay": "2m"}, "券还没用？今天下单加赠挂耳包一枚。"),
			},
			"re_entry": map[string]any{"mode": "always"},
		}},
	}
}
