package guard

import "hongyan/wechat"

// OpenChat is Trigger for an act in a chat channel (platform.md 10.3, 10.4). The arithmetic of Grants stays inside every
// combination that adds nothing, so it serves them all; when acts of a mini-program overlap, some of what its documented
// maximum would allow remains unused. A grant by code opens nothing here: see CodeGrant.
func (g *Grants) OpenChat(grant wechat.ChatGrant, eventAt int64, uncounted int) bool {
	if grant.Combination == wechat.CombineByCode {
		return false
	}
	return g.Trigger(grant.Bucket, eventAt, grant.Allowance, uncounted)
}

// CodeGrant is the right to one message that the code of an event brought. It is the Grants of that event alone, and
// zero for an act that brings no code.
func CodeGrant(grant wechat.ChatGrant, eventAt int64) Grants {
	var code Grants
	if grant.Combination == wechat.CombineByCode {
		code.Trigger(grant.Bucket, eventAt, grant.Allowance, 0)
	}
	return code
}

// CodeAllows reports whether the message of a code may go to a person at now. It needs nothing of the person's own grants.
// But whether the platform charges it to them as well is not published: it might take the last message from under a send
// that was allowed to have it. So while one is on its way (onWire of them), the message waits, unless one more is left.
func CodeAllows(code, person *Grants, now int64, onWire int) bool {
	return code.Available(now, 0) > 0 && (onWire == 0 || person.Available(now, 0) > 0)
}

// TakeByCode reserves the message of a code at now: it takes from the person's grants too. A release goes to both. The
// caller has checked CodeAllows.
func TakeByCode(code, person *Grants, now int64) {
	code.Take(now, 1)
	person.Take(now, 1)
}
