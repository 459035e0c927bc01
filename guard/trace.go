package guard

import "hongyan/wechat"

// Value is one of the figures that led to a verdict. Names are stable: the words of an explanation refer to them.
type Value struct {
	Name string `json:"name"`
	// Number is a count or, for names that end in _at or _until, unix milliseconds.
	Number int64 `json:"number"`
}

// Values lists the figures behind a verdict of Decide, for the trace.
func Values(m *Moment, p *Policy, r *Request, f *Facts, v Verdict) []Value {
	switch v.Reason {
	case ReasonTooLate:
		return []Value{{"now_at", m.Now}, {"not_after_at", r.NotAfter}}
	case ReasonAgentSession:
		return []Value{{"session_until", f.AgentUntil}}
	case ReasonQuietHours:
		if m.quietUntil >= noEnd {
			return []Value{{"quiet_from_at", m.quietFrom}}
		}
		return []Value{{"quiet_from_at", m.quietFrom}, {"quiet_until", m.quietUntil}}
	case ReasonCap:
		return capValues(p, r, f)
	case ReasonGap:
		return []Value{{"last_at", f.MarketingAt}, {"gap_ms", p.Gap}}
	case ReasonGrantClosed, ReasonGrantExhausted, ReasonGrantReserved:
		return grantValues(p, r, f)
	case ReasonAPIBudget:
		return []Value{{"budget_left", int64(f.BudgetLeft)}, {"messages", int64(r.Messages)}}
	default:
		return nil
	}
}

func grantValues(p *Policy, r *Request, f *Facts) []Value {
	values := []Value{{"messages", int64(r.Messages)}}
	for t, b := range f.Grants.Buckets {
		if b.Until > 0 {
			name := wechat.Trigger(t).String()
			values = append(values, Value{name + "_left", int64(max(0, b.Left))}, Value{name + "_until", b.Until})
		}
	}
	if p.Held > 0 {
		values = append(values, Value{"held_for_agents", int64(p.Held)})
	}
	return values
}
