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
	return s.session(ctx, openID, func(f *fan) (string, string, error) {
		if f.agent != "" {
			return "", "", fault.New(fault.Conflict, "%s talks to %s already", openID, f.agent)
		}
		f.agent = agent
		return "kf_create_session", agent, nil
	})
}

// CloseSession ends the agent's session. It answers NotFound, and Conflict when none is open.
func (s *Simulator) CloseSession(ctx context.Context, openID string) (Push, error) {
	return s.session(ctx, openID, func(f *fan) (string, string, error) {
		if f.agent == "" {
			return "", "", fault.New(fault.Conflict, "%s talks to no agent", openID)
		}
		agent := f.agent
		f.agent = ""
		return "kf_close_session", agent, nil
	})
}

func (s *Simulator) session(
	ctx context.Context, openID string, change func(*fan) (name, agent string, err error),
) (Push, error) {
	var p *Push
	var failed error
	now := s.clock.Now()
	err := s.withFan(openID, func(f *fan) {
		name, agent, err := change(f)
		if err != nil {
			failed = err
			return
		}
		f.agentSeen = now.UnixMilli()
		p, failed = s.newPush(f, ActKind(name), event(name, callback.KfSession{Account: agent}), now)
	})
	if err != nil {
		return Push{}, err
	}
	if failed != nil {
		return Push{}, failed
	}
	return s.deliverPush(ctx, p), nil
}

// endIdleSession closes a session that nobody touched for 30 minutes. It is noticed when
// the fan acts next, which is when it matters.
func (s *Simulator) endIdleSession(f *fan, now time.Time) *Push {
	if f.agent == "" || now.UnixMilli()-f.agentSeen < sessionIdle.Milliseconds() {
		return nil
	}
	agent := f.agent
	f.agent = ""
	p, err := s.newPush(f, "kf_close_session", event("kf_close_session", callback.KfSession{Account: agent}), now)
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
