package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2/middleware/adaptor"
	"github.com/prometheus/client_golang/prometheus"

	"hongyan/accounts"
	"hongyan/campaigns"
	"hongyan/guard"
	"hongyan/internal/clock"
	"hongyan/internal/config"
	"hongyan/internal/fault"
	"hongyan/scheduler"
	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

// demoOptions are what a part of the demo is made of.
type demoOptions struct {
	seed uint64
	fans int
	dir  string // for the embedded database
	log  *slog.Logger
}

// The rules of the demo's account. The checks count by them on their own, without asking the guard.
const (
	demoQuietFrom  = "22:00"
	demoQuietTo    = "08:00"
	demoCap        = 3
	demoGapMinutes = 30
	demoSpan       = 7 * 24 * time.Hour
	demoSweepEvery = 30 * time.Minute
	// The clock moves in steps, so that what happens at nearly the same time shares transactions: fans act every other minute, messages go at full and half
	// ones. A message due half a minute after an act is then on time, as its grant demands.
	demoActStep = 2 * time.Minute
	demoDueStep = 30 * time.Second
	demoHost    = "http://demo.hongyan.invalid"
)

// demoBegin is the week's first moment: Monday, midnight in Beijing.
var demoBegin = time.Date(2026, 3, 2, 0, 0, 0, 0, time.FixedZone("CST", 8*3600))

// demoWorld is an installation and a platform that share a clock which is moved by hand. Everything happens in the goroutine that moves it, so a seed
// decides all.
type demoWorld struct {
	options demoOptions
	clock   *clock.Manual
	server  *Server
	sim     *simulator.Simulator
	script  *simulator.Script
	account *accounts.Account
	drips   []*campaigns.Drip
	openids []string
	acts    map[string][]simulator.Act // by openid, in order
	end     time.Time
	routes  http.HandlerFunc // there from open on
}

func newDemoWorld(ctx context.Context, o demoOptions) (_ *demoWorld, err error) {
	w := &demoWorld{options: o, clock: clock.NewManual(demoBegin), acts: map[string][]simulator.Act{}, end: demoBegin.Add(demoSpan)}
	w.server = &Server{Config: config.Config{DataDir: o.dir, Role: config.RoleAll}, Clock: w.clock, Log: o.log, registry: prometheus.NewRegistry(), storage: &storage{}}
	// Pushes go through the real routes: signature, decryption, inbox, passive reply.
	w.sim = simulator.New(simulator.Options{
		Clock: w.clock, Seed: o.seed, Rules: wechat.RulesAt(demoBegin),
		Push: simulator.HandlerTransport(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.routes(rw, r) })),
	})
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	if err := w.open(ctx); err != nil {
		return nil, err
	}
	if err := w.people(ctx); err != nil {
		return nil, err
	}
	return w, w.misbehave()
}

// open makes the embedded database and the scheduler that works in the caller's goroutine. There is no Redis: the direct queue needs none.
func (w *demoWorld) open(ctx context.Context) (err error) {
	s := w.server
	if err := os.MkdirAll(w.options.dir, 0o750); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	if s.storage.db, err = openDatabase(ctx, s.Config, w.clock, s.Log); err != nil {
		return err
	}
	if err := s.schema(ctx); err != nil {
		return err
	}
	if s.storage.vault, err = openVault(s.Config); err != nil {
		return err
	}
	s.Scheduler, err = scheduler.New(ctx, scheduler.Options{
		DB: s.storage.db, Clock: w.clock, Log: s.Log, Prefix: "hongyan:", Transport: w.sim.RoundTripper(), Registry: s.registry,
		Vault: s.storage.vault, DataDir: w.options.dir, MaxLateness: maxLateness, Direct: true,
	})
	if err == nil {
		w.routes = adaptor.FiberApp(s.routes()) //nolint:contextcheck // answers are written under the contexts of their requests
	}
	return err
}

// close gives everything back.
func (w *demoWorld) close() error {
	w.sim.Close()
	return w.server.storage.close()
}

// people makes the account with its drips, and the fans with what they will do unasked.
func (w *demoWorld) people(ctx context.Context) (err error) {
	if w.account, w.drips, err = demoAccount(ctx, w.server.Scheduler, demoHost, demoPolicy(), demoDrips()); err != nil {
		return err
	}
	if w.openids, err = populate(w.sim, w.account, demoHost, w.options.fans); err != nil {
		return fmt.Errorf("make the demo's fans: %w", err)
	}
	w.script = simulator.NewScript(simulator.ScriptOptions{
		Seed: w.options.seed, OpenIDs: w.openids, Start: demoBegin, Span: demoSpan, FollowWithin: 5 * 24 * time.Hour,
		Keywords: []string{"优惠", "有优惠吗", "领券"}, MenuKeys: []string{"shop"}, ActsPerDay: 0.2, ReplyShare: 0.06, UnfollowShare: 0.15,
	})
	return nil
}

// misbehave makes the platform fail now and then, as the real one does.
func (w *demoWorld) misbehave() error {
	err := w.sim.SetFaults(simulator.PathSend, simulator.Faults{
		ResetBefore: 0.002, ResetAfter: 0.003, HalfAnswer: 0.002, HangAfter: 0.001, BadGateway: 0.001, Busy: 0.002, BusyAfter: 0.002,
		Codes: []simulator.CodeShare{{Code: 45011, Share: 0.01}},
	})
	if err != nil {
		return err
	}
	return w.sim.SetPushFaults(simulator.PushFaults{LoseAnswers: 1, Share: 0.01})
}

// play moves the clock from one moment at which something happens to the next, until the week is over and nothing waits any more.
func (w *demoWorld) play(ctx context.Context) error {
	defer w.sim.OnArrival(w.script.Received)()
	sch := w.server.Scheduler
	for swept := w.clock.Now(); ; {
		at, more, err := w.next(ctx)
		if err != nil || !more {
			return err
		}
		w.clock.Set(at)
		if err := w.act(ctx); err != nil {
			return err
		}
		if at.Sub(swept) >= demoSweepEvery {
			if _, err := sch.Sweep(ctx); err != nil {
				return err
			}
			swept = at
		}
		if err := sch.Turn(ctx); err != nil {
			return err
		}
	}
}

// next is the next moment at which a fan acts or a message is due; false when there is none.
func (w *demoWorld) next(ctx context.Context) (time.Time, bool, error) {
	due, waiting, err := w.server.Scheduler.NextDue(ctx, w.account.ID)
	if err != nil {
		return due, false, err
	}
	if waiting && !due.After(w.clock.Now()) {
		return due, false, fault.New(fault.Internal, "a message that was due at %s is still waiting", due)
	}
	due = upTo(due, demoDueStep)
	act, acting := w.script.Peek()
	if act = upTo(act, demoActStep); acting && (!waiting || act.Before(due)) {
		return act, true, nil
	}
	return due, waiting, nil
}

// upTo is the first full step at or after a time.
func upTo(at time.Time, step time.Duration) time.Time {
	return at.Add(step - time.Millisecond).Truncate(step)
}

// act lets the fans do what they planned for this moment.
func (w *demoWorld) act(ctx context.Context) error {
	for {
		at, more := w.script.Peek()
		if !more || upTo(at, demoActStep).After(w.clock.Now()) {
			return nil
		}
		act, _ := w.script.Next()
		_, err := w.sim.Do(ctx, act)
		switch {
		case err == nil:
			act.At = w.clock.Now()
			w.acts[act.OpenID] = append(w.acts[act.OpenID], act)
		case !fault.Is(err, fault.Conflict): // a fan who cannot do it any more leaves it
			return err
		}
	}
}

// newDrip is a drip before it is stored.
type newDrip struct {
	name       string
	definition campaigns.Definition
}

// demoAccount makes an account with running drips.
func demoAccount(ctx context.Context, sch *scheduler.Scheduler, baseURL string, policy guard.PolicySpec, drips []newDrip) (*accounts.Account, []*campaigns.Drip, error) {
	a := &accounts.Account{
		AppID: sandboxAppID, OriginalID: sandboxOriginal, Name: "鸿雁咖啡", Kind: accounts.KindService, Verified: true, Sandbox: true, BaseURL: baseURL,
		Secret: sandboxSecret, Callback: accounts.Callback{Mode: accounts.ModeSafe, Token: sandboxToken, AESKeys: []string{sandboxAESKey}},
		Spec: policy,
	}
	if err := sch.Accounts.CreateAccount(ctx, a); err != nil {
		return nil, nil, err
	}
	var out []*campaigns.Drip
	for _, drip := range drips {
		definition, err := json.Marshal(drip.definition)
		if err != nil {
			return nil, nil, fmt.Errorf("write a drip: %w", err)
		}
		d, err := sch.Campaigns.CreateDrip(ctx, a, campaigns.NewDrip{Name: drip.name, Definition: definition})
		if err != nil {
			return nil, nil, err
		}
		if err := sch.Campaigns.StartDrip(ctx, a, campaigns.Change{ID: d.ID}); err != nil {
			return nil, nil, err
		}
		out = append(out, d)
	}
	found, err := sch.Accounts.FindAccount(ctx, a.ID)
	return found, out, err
}

func demoPolicy() guard.PolicySpec {
	most := demoCap
	return guard.PolicySpec{DailyCap: &most, GapMinutes: demoGapMinutes, Quiet: []guard.QuietRange{{Start: demoQuietFrom, End: demoQuietTo}}}
}

func demoDrips() []newDrip {
	return []newDrip{
		{"新粉欢迎", campaigns.Definition{
			Triggers: []campaigns.Trigger{{Kind: campaigns.TriggerFollow}},
			Steps: []campaigns.Step{
				{Delay: "0s", Class: "reply", Messages: texts("{{nickname|朋友}}你好，这里是鸿雁咖啡。回复「优惠」领取新人券。")},
				{Delay: "30s", Messages: texts("我们每天现烘咖啡豆，下午三点前下单当天发货。")},
				{At: "10:00", Days: 1, NoGrant: "wait", Lateness: "36h", Messages: texts("还没想好喝什么？回复口味，我们帮你选豆。")},
			},
		}},
		{"领券", campaigns.Definition{
			Triggers: []campaigns.Trigger{{Kind: campaigns.TriggerKeyword, Keywords: []string{"优惠", "领券"}, Match: campaigns.MatchContains}},
			Steps: []campaigns.Step{
				{Delay: "0s", Class: "reply", Messages: texts("新人券已放进卡包，七天内有效。", "满 50 减 10，全场通用。")},
				{Delay: "2h", Messages: texts("券还没用？今天下单加赠挂耳包一枚。")},
				{Delay: "10m", Capped: "tomorrow", Fit: "as_many", Messages: texts("手冲课周末开班，报名从速。", "晒单有礼：评价返 5 元。")},
				{At: "20:30", Days: 1, Messages: texts("新人券今晚最后提醒，别错过。")},
			},
		}},
	}
}

func texts(contents ...string) []wechat.Message {
	out := make([]wechat.Message, len(contents))
	for i, c := range contents {
		out[i] = wechat.TextMessage(c)
	}
	return out
}

// triggerWords says what starts a drip.
func triggerWords(d *campaigns.Definition) string {
	t := d.Triggers[0]
	if t.Kind == campaigns.TriggerFollow {
		return "关注时 / on follow"
	}
	return "发送「" + strings.Join(t.Keywords, "」「") + "」时 / on a keyword"
}
