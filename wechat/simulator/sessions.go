package simulator

import (
	"context"
	"time"

	"hongyan/internal/fault"
	"hongyan/wechat/callback"
)

// sessionIdle is when the platform ends an agent's session by itself (platform.md 2.6).
const sessionIdle = 30 * time.Minute

// OpenSession lets a human agent take a fan over: until it ends, the fan's messages are
// not pushed. It answers NotFound, and Conflict when a session is open.
func (s *Simulator) OpenSession(ctx context.Context, openID, agent string) (Push, error) {
	return s.session(ctx, openID, func(f *fan, now time.Time) (*Push, error) {
		if f.agent != "" {
			return nil, fault.New(fault.Conflict, "%s talks to %s already", openID, f.agent)
		}
		return s.startSession(f, agent, now)
	})
}

// CloseSession ends the agent's session. It answers NotFound, and Conflict when none is open.
func (s *Simulator) CloseSession(ctx context.Context, openID string) (Push, error) {
	return s.session(ctx, openID, func(f *fan, now time.Time) (*Push, error) {
		if f.agent == "" {
			return nil, fault.New(fault.Conflict, "%s talks to no agent", openID)
		}
		return s.endSession(f, now)
	})
}

func (s *Simulator) session(
	ctx context.Context, openID string, change func(*fan, time.Time) (*Push, error),
) (Push, error) {
	var p *Push
	var failed error
	now := s.clock.Now()
	err := s.withFan(openID, func(f *fan) { p, failed = change(f, now) })
	if err == nil {
		err = failed
	}
	if err != nil {
		return Push{}, err
	}
	return s.deliverPush(ctx, p), nil
}

// takeOver begins a session; the fan is locked.
func (f *fan) takeOver(agent string, now time.Time) {
	f.agent, f.agentSince, f.agentSeen, f.waitSince = agent, now.UnixMilli(), now.UnixMilli(), 0
}

// startSession begins a session and prepares its event; the fan is locked.
func (s *Simulator) startSession(f *fan, agent string, now time.Time) (*Push, error) {
	f.takeOver(agent, now)
	return s.sessionPush(f, "kf_create_session", agent, now)
}

// endSession ends the session that is open and prepares its event; the fan is locked.
func (s *Simulator) endSession(f *fan, now time.Time) (*Push, error) {
	agent := f.agent
	f.agent = ""
	return s.sessionPush(f, "kf_close_session", agent, now)
}

func (s *Simulator) sessionPush(f *fan, name, agent string, now time.Time) (*Push, error) {
	return s.newPush(f, ActKind(name), event(name, callback.KfSession{Account: agent}), now)
}

// sessionIsIdle tells of a session that nobody touched for 30 minutes; the fan is locked.
func (f *fan) sessionIsIdle(now time.Time) bool {
	return f.agent != "" && now.UnixMilli()-f.agentSeen >= sessionIdle.Milliseconds()
}

// endIdleSession closes a session that nobody touched for 30 minutes. It is noticed when
// the fan acts next, which is when it matters.
func (s *Simulator) endIdleSession(f *fan, now time.Time) *Push {
	if !f.sessionIsIdle(now) {
		return nil
	}
	p, err := s.endSession(f, now)
	if err != nil {
		return nil // a KfSession can always be written
	}
	return p
}

// AgentSays lets the agent of an open session write to the fan. By default that uses one
// message of the fan's grant, which our side does not see. It answers NotFound, and
// Conflict without a session or a grant.
func (s *Simulator) AgentSays(openID, text string) error {
	var failed error
	var arrival Arrival
	now := s.clock.Now()
	err := s.withFan(openID, func(f *fan) {
		sw := s.switches.Load()
		if f.agent == "" {
			failed = fault.New(fault.Conflict, "%s talks to no agent", openID)
			return
		}
		if !sw.AgentFree {
			if code := f.grants.spend(sw.Grants, now.UnixMilli()); code != codeOK {
				failed = fault.New(fault.Conflict, "the agent cannot write: %d %s", code, errText(code))
				return
			}
		}
		f.agentSeen = now.UnixMilli()
		s.note(f, chatAgent, text, now)
		arrival = Arrival{
			AppID: f.account.config().AppID, OpenID: openID, Via: ViaAgent, Kind: "text",
			Content: text, Key: s.key("text", text), At: now,
		}
		s.hand(f, &arrival)
	})
	if err != nil {
		return err
	}
	if failed == nil {
		s.hooks.tell(arrival)
	}
	return failed
}
