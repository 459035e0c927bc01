package guard

// Rest decides about the messages of a request that did not fit: Decide allowed n of them, they have been reserved, and f is what is known since. The rest is
// stopped by what they did not fit into, a cap or a grant; not by the gap to the messages that go before them in the same step. It returns the request for the rest too.
func Rest(m *Moment, p *Policy, r *Request, f *Facts, n int) (Request, Verdict) {
	rest, facts := *r, *f
	rest.Messages = r.Messages - n
	rest.Options &^= OptAsManyAsFit
	facts.MarketingAt = 0
	over := Decide(m, p, &rest, &facts)
	if over.Kind == Allow {
		over = skip(ReasonGrantExhausted)
	}
	return rest, over
}
