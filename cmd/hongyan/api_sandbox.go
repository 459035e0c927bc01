package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"hongyan/admin"
	"hongyan/internal/fault"
	"hongyan/wechat/simulator"
)

// sandboxControl is the simulator as the API knows it.
type sandboxControl struct{ sim *simulator.Simulator }

// Fans implements admin.Sandbox.
func (c sandboxControl) Fans(_ context.Context, appid string, skip, n int) ([]admin.SandboxFan, error) {
	all, err := c.sim.Fans(appid)
	if err != nil {
		return nil, err
	}
	all = all[min(skip, len(all)):]
	out := make([]admin.SandboxFan, 0, min(n, len(all)))
	for i := range all[:min(n, len(all))] {
		f := &all[i]
		out = append(out, admin.SandboxFan{
			OpenID: f.OpenID, Nickname: f.Nickname, Subscribed: f.Subscribed, Blocked: f.Blocked, Blacklisted: f.Blacklisted, Received: f.Accepted,
			FollowedAt: f.FollowedAt * time.Second.Milliseconds(),
		})
	}
	return out, nil
}

// owned refuses a fan of another account.
func (c sandboxControl) owned(appid, openid string) error {
	f, err := c.sim.Fan(openid)
	if err == nil && f.AppID != appid {
		err = fault.New(fault.NotFound, "this sandbox account has no fan %q", openid)
	}
	return err
}

// Act implements admin.Sandbox.
func (c sandboxControl) Act(ctx context.Context, appid string, act *admin.SandboxAct) (admin.SandboxPush, error) {
	if err := c.owned(appid, act.OpenID); err != nil {
		return admin.SandboxPush{}, err
	}
	p, err := c.sim.Do(ctx, simulator.Act{
		OpenID: act.OpenID, Kind: simulator.ActKind(act.Kind), Text: act.Text, Scene: act.Scene, Key: act.Key, ItemID: act.ItemID,
		Latitude: act.Latitude, Longitude: act.Longitude,
	})
	if err != nil {
		return admin.SandboxPush{}, err
	}
	out := admin.SandboxPush{At: p.At.UnixMilli(), Outcome: string(p.Outcome), Reason: p.Reason, Tries: len(p.Tries)}
	if p.Reply != nil {
		out.Reply = p.Reply.Content
	}
	return out, nil
}

// Arrivals implements admin.Sandbox.
func (c sandboxControl) Arrivals(_ context.Context, appid, openid string) ([]admin.SandboxArrival, error) {
	if err := c.owned(appid, openid); err != nil {
		return nil, err
	}
	all, err := c.sim.Arrivals(openid)
	if err != nil {
		return nil, err
	}
	out := make([]admin.SandboxArrival, len(all))
	for i := range all {
		a := &all[i]
		out[i] = admin.SandboxArrival{Seq: a.Seq, Via: string(a.Via), Kind: a.Kind, Content: a.Content, At: a.At.UnixMilli()}
	}
	return out, nil
}

// Faults implements admin.Sandbox. Both sides write a fault with the same names.
func (c sandboxControl) Faults(context.Context) ([]admin.SandboxFaults, error) {
	set := c.sim.FaultsSet()
	out := make([]admin.SandboxFaults, 0, len(set))
	for _, path := range slices.Sorted(maps.Keys(set)) {
		raw, err := json.Marshal(set[path])
		if err != nil {
			return nil, fmt.Errorf("write faults: %w", err)
		}
		f := admin.SandboxFaults{}
		if err := json.Unmarshal(raw, &f); err != nil {
			return nil, fmt.Errorf("read faults: %w", err)
		}
		f.Path = path
		out = append(out, f)
	}
	return out, nil
}

// SetFaults implements admin.Sandbox.
func (c sandboxControl) SetFaults(_ context.Context, f *admin.SandboxFaults) error {
	raw, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("write faults: %w", err)
	}
	var faults simulator.Faults
	if err := json.Unmarshal(raw, &faults); err != nil {
		return fault.Wrap(fault.Invalid, err, "these faults cannot be read")
	}
	return c.sim.SetFaults(f.Path, faults)
}

// Now implements admin.Sandbox.
func (c sandboxControl) Now(context.Context) time.Time { return c.sim.Clock().Now() }

// Advance implements admin.Sandbox.
func (c sandboxControl) Advance(_ context.Context, by time.Duration) error { return c.sim.Advance(by) }
