package campaigns

import (
	"slices"

	"hongyan/segments"
	"hongyan/wechat"
)

// stepChecks is what the checks of a list of steps know of where it stands.
type stepChecks struct {
	rules wechat.RuleSet
	// atOnce tells that a run comes to the step in the moment of an act of the fan, without a message in between.
	atOnce bool
}

// listEnd is how a run leaves a list of steps.
type listEnd struct {
	over   bool // it does not: it has ended on every way
	atOnce bool // see stepChecks
}

// steps checks a list of steps and those inside them.
func (p *problems) steps(at string, list []Step, c stepChecks) listEnd {
	end := listEnd{atOnce: c.atOnce}
	for i := range list {
		path := index(at, i)
		if end.over {
			p.addf(path, "unreachable", "no fan comes to this step, because every way before it ends the run; take it away, or the exit")
			end.over = false // once is enough
		}
		c.atOnce = end.atOnce
		end = p.step(path, &list[i], c)
	}
	return end
}

func (p *problems) step(at string, s *Step, c stepChecks) listEnd {
	kinds := []string{StepMessage, StepAsk, StepIf, StepSplit, StepWaitFor, StepTag, StepUntag, StepWebhook, StepExit}
	p.choice(at+".kind", s.Kind, kinds...)
	if !slices.Contains(kinds, s.kind()) {
		return listEnd{}
	}
	p.strange(at, s)
	p.when(at, s)
	p.named(at, s)
	c.atOnce = c.atOnce && s.immediate()
	switch s.kind() {
	case StepMessage, StepAsk:
		p.sending(at, s, c)
		return listEnd{}
	case StepIf:
		return p.condition(at, s, c)
	case StepSplit:
		return p.split(at, s, c)
	case StepWaitFor:
		return p.waitFor(at, s, c)
	case StepTag, StepUntag:
		if s.Tag <= 0 {
			p.addf(at+".tag", "required", "write the id of the tag")
		}
	case StepWebhook:
		if s.Webhook <= 0 {
			p.addf(at+".webhook", "required", "write the id of the webhook")
		}
	case StepExit:
		return listEnd{over: true}
	}
	return listEnd{atOnce: c.atOnce}
}

// strange refuses fields that do not go with the kind of step.
func (p *problems) strange(at string, s *Step) {
	sending := []string{StepMessage, StepAsk}
	for _, f := range []struct {
		name  string
		given bool
		kinds []string
	}{
		{"messages", len(s.Messages) > 0, sending}, {"class", s.Class != "", sending}, {"no_grant", s.NoGrant != "", sending},
		{"capped", s.Capped != "", sending}, {"fit", s.Fit != "", sending}, {"quiet", s.Quiet != "", sending}, {"lateness", s.Lateness != "", sending}, {"track_links", s.TrackLinks, sending},
		{"timeout", s.Timeout != "", []string{StepAsk, StepWaitFor}}, {"condition", s.Condition != nil, []string{StepIf}}, {"for", s.For != nil, []string{StepWaitFor}},
		{"then", len(s.Then) > 0, []string{StepIf, StepWaitFor}}, {"else", len(s.Else) > 0, []string{StepIf, StepWaitFor}},
		{"arms", len(s.Arms) > 0, []string{StepSplit}}, {"tag", s.Tag != 0, []string{StepTag, StepUntag}}, {"webhook", s.Webhook != 0, []string{StepWebhook}},
	} {
		if f.given && !slices.Contains(f.kinds, s.kind()) {
			p.addf(at+"."+f.name, "other_kind", "%s does not go with this kind; take it away", f.name)
		}
	}
}

func (p *problems) sending(at string, s *Step, c stepChecks) {
	p.choice(at+".class", s.Class, "marketing", "service", "reply")
	if s.Class == "reply" && !c.atOnce {
		p.addf(at+".class", "reply_first_only", "a reply answers what the fan just did: only a first step without delay can be one, in the drip or in then behind a wait for replied, clicked or scanned")
	}
	p.choice(at+".no_grant", s.NoGrant, "skip", "wait")
	p.choice(at+".capped", s.Capped, "skip", "tomorrow")
	p.choice(at+".fit", s.Fit, "all", "as_many")
	p.choice(at+".quiet", s.Quiet, "defer", "earlier")
	if s.Lateness != "" {
		if ms, ok := p.span(at+".lateness", s.Lateness); ok && ms == 0 {
			p.addf(at+".lateness", "range", "a step without any time to go out would never go out")
		}
	}
	if s.kind() == StepAsk {
		p.timeout(at, s)
	}
	p.count(at+".messages", len(s.Messages), maxMessages)
	longest := p.tracking(at, s)
	for i, m := range s.Messages {
		p.message(index(at+".messages", i), m, c.rules, longest)
	}
}

// immediate reports whether the step is due as soon as the one before has ended.
func (s *Step) immediate() bool {
	ms, ok := parseSpan(s.Delay)
	return s.At == "" && s.Date == nil && (ok && ms == 0 || s.Delay == "" && !s.sends())
}

func (p *problems) when(at string, s *Step) {
	switch {
	case s.Date != nil && (s.At != "" || s.Delay != ""):
		p.addf(at+".date", "one_of", "a step has a date, a delay or a clock time; write one of them")
	case s.Date != nil:
		p.date(at+".date", s.Date)
	case s.At != "" && s.Delay != "":
		p.addf(at+".at", "one_of", "a step has a delay or a clock time, not both")
	case s.At != "":
		p.clock(at+".at", s.At)
		if s.Days < 0 || s.Days > maxDays {
			p.addf(at+".days", "range", "0 to %d days are possible, not %d", maxDays, s.Days)
		}
		return
	case s.Delay == "" && s.sends():
		p.addf(at+".delay", "required", `write when the step is due: a delay such as "10m" ("0s" for at once), or a clock time in "at"`)
	case s.Delay != "":
		p.span(at+".delay", s.Delay)
	}
	if s.Days != 0 {
		p.addf(at+".days", "clock_time_only", `days go with a clock time; write a delay of days as "%dd"`, s.Days)
	}
}

func (p *problems) clock(field, s string) {
	if _, ok := parseClock(s); !ok {
		p.addf(field, "clock_time", "%q is not a time of day such as 09:30", s)
	}
}

func (p *problems) date(at string, d *StepDate) {
	if d.Attribute == "" {
		p.addf(at+".attribute", "required", "write the name of the attribute that holds the date")
	}
	p.clock(at+".at", d.At)
	if d.Days < -maxDateOffset || d.Days > maxDateOffset {
		p.addf(at+".days", "range", "%d days before the date to %d after it are possible, not %d", maxDateOffset, maxDateOffset, d.Days)
	}
}

func (p *problems) timeout(at string, s *Step) {
	if s.Timeout == "" {
		p.addf(at+".timeout", "required", "write how long the step waits, such as 2h or 3d")
		return
	}
	if ms, ok := p.span(at+".timeout", s.Timeout); ok && (ms < minTimeout || ms > maxTimeout) {
		p.addf(at+".timeout", "range", "a step waits 1m to 30d; write a time in between")
	}
}

func (p *problems) condition(at string, s *Step, c stepChecks) listEnd {
	if s.Condition == nil {
		p.addf(at+".condition", "required", "write the condition by which fans go one way or the other")
	} else if _, err := segments.Parse(at+".condition", s.Condition, p.names.registry()); err != nil {
		p.errs = append(p.errs, err)
	}
	if len(s.Then) == 0 && len(s.Else) == 0 {
		p.addf(at, "no_effect", "all fans go on in the same way behind this step; put steps into then or else, or take it away")
	}
	return join(p.steps(at+".then", s.Then, c), p.steps(at+".else", s.Else, c))
}

func (p *problems) split(at string, s *Step, c stepChecks) listEnd {
	if len(s.Arms) < minArms || len(s.Arms) > maxArms {
		p.addf(at+".arms", "count", "a split has %d to %d arms, not %d", minArms, maxArms, len(s.Arms))
		return listEnd{}
	}
	sum, empty := 0, true
	ends := make([]listEnd, len(s.Arms))
	for i, a := range s.Arms {
		path := index(at+".arms", i)
		if a.Weight < 1 || a.Weight >= allWeights {
			p.addf(path+".weight", "range", "a weight is 1 to 99 per cent, not %d", a.Weight)
		}
		sum += a.Weight
		empty = empty && len(a.Steps) == 0
		ends[i] = p.steps(path+".steps", a.Steps, c)
	}
	if sum != allWeights {
		p.addf(at+".arms", "sum", "the weights add up to %d; together they have to be 100", sum)
	}
	if empty {
		p.addf(at, "no_effect", "all fans go on in the same way behind this step; put steps into an arm, or take it away")
	}
	return join(ends...)
}

func (p *problems) waitFor(at string, s *Step, c stepChecks) listEnd {
	if s.For == nil {
		p.addf(at+".for", "required", "write what the step waits for")
	} else {
		p.awaited(at+".for", *s.For, waitsOn())
	}
	p.timeout(at, s)
	c.atOnce = s.For != nil && slices.Contains([]string{OnReplied, OnClicked, OnScanned}, s.For.On)
	then := p.steps(at+".then", s.Then, c)
	c.atOnce = false
	end := join(then, p.steps(at+".else", s.Else, c))
	end.atOnce = false
	return end
}

// join is how a run leaves a step whose ways end so: one that has not ended may come from any of them.
func join(ends ...listEnd) listEnd {
	out := listEnd{over: true, atOnce: true}
	for _, e := range ends {
		out.over = out.over && e.over
		out.atOnce = out.atOnce && (e.atOnce || e.over)
	}
	return out
}
