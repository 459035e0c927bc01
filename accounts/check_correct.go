package accounts

import (
	"cmp"
	"context"
	"slices"
	"time"

	"hongyan/internal/clock"
	"hongyan/wechat"
)

// doubtFor is how long the platform must keep denying what an account's row says before the row is changed.
const doubtFor = 10 * time.Minute

// standing is what decides which rights an account has.
type standing struct {
	kind     Kind
	verified bool
	sets     []int // permission sets, ascending; of an account that was connected by a scan
}

// claim is what the platform shows of an account's standing. "" and nil leave a part open.
type claim struct {
	kind     Kind
	verified *bool
	sets     []int
}

// correct changes the account's standing where the platform has proved the row wrong.
//
// What gives rights is believed at once: a send too many is refused by the platform, and the account then stops with its
// messages waiting. What takes rights away ends messages for good, so it must have been the whole of the platform's
// answers in two checks at least ten minutes apart; the first one already makes a finding. Answers that are missing,
// late or about something else prove nothing.
func (r *checkRun) correct(ctx context.Context) error {
	c := r.claimed()
	next, less := c.over(r.stands)
	switch {
	case !less && (c.verified != nil || c.sets != nil): // without an answer a doubt remains
		r.memory.DoubtSince = 0
	case less && r.memory.DoubtSince == 0:
		r.memory.DoubtSince = r.now.UnixMilli()
	case less && r.now.UnixMilli()-r.memory.DoubtSince >= doubtFor.Milliseconds():
		r.memory.DoubtSince = 0
		next = c.instead(r.stands)
	}
	if err := r.change(ctx, next); err != nil {
		return err
	}
	if r.memory.DoubtSince != 0 {
		r.add(findDoubt, map[string]string{"since": beijing(clock.FromMillis(r.memory.DoubtSince))})
	}
	r.judgeRights()
	r.summarise()
	return nil
}

// over adds to a standing what a claim gives. less says that the claim also takes something away.
func (c *claim) over(s standing) (more standing, less bool) {
	more = s
	switch {
	case c.kind == KindService:
		more.kind = KindService
	case c.kind != "" && s.kind != c.kind:
		less = true
	}
	if c.verified != nil {
		more.verified = s.verified || *c.verified
		less = less || s.verified && !*c.verified
	}
	if c.sets != nil {
		more.sets = slices.Compact(slices.Sorted(slices.Values(slices.Concat(s.sets, c.sets))))
		less = less || len(more.sets) > len(c.sets)
	}
	return more, less
}

// instead is a standing of which all that a claim says has come true.
func (c *claim) instead(s standing) standing {
	s.kind = cmp.Or(c.kind, s.kind)
	if c.verified != nil {
		s.verified = *c.verified
	}
	if c.sets != nil {
		s.sets = c.sets
	}
	return s
}

func (r *checkRun) change(ctx context.Context, next standing) error {
	if next.kind == r.stands.kind && next.verified == r.stands.verified && slices.Equal(next.sets, r.stands.sets) {
		return nil
	}
	done, err := r.c.o.Accounts.correct(ctx, r.a, next)
	if err != nil || !done { // a member changed the account meanwhile; the next check sees it as it is then
		return err
	}
	values := map[string]string{"kind": string(next.kind), "verified": "no"}
	if next.verified {
		values["verified"] = "yes"
	}
	f := r.add(findCorrected, values)
	if r.stands.verified && !next.verified {
		f.Severity = SeverityError
	}
	r.stands = next
	return nil
}

// claimed is what the platform shows. For an account that was connected by a scan it says so itself; for others it follows
// from what it does and what it refuses.
func (r *checkRun) claimed() claim {
	if r.info != nil {
		return claimOf(r.info)
	}
	var c claim
	var asked, granted, refused int
	for _, f := range families() {
		a, heard := r.answers[f.capability]
		switch {
		case f.proof == provesService && heard && a.permission == Allowed:
			c.kind = KindService
			granted++
		case f.proof != provesVerified:
		default:
			asked++
			if heard && a.permission == Allowed {
				granted++
			}
			if heard && a.code == codeUnauthorised {
				refused++
			}
		}
	}
	switch {
	case granted >= enoughProof:
		c.verified = new(true)
	case refused == asked:
		c.verified = new(false)
	}
	return c
}

const (
	// codeUnauthorised is what an account gets for APIs that its kind does not have.
	codeUnauthorised = 48001
	// enoughProof is how many answers that only verified accounts get prove that one is verified.
	enoughProof = 2
	// verifyTypeNone is the platform's number for accounts that are not verified (platform.md 1.5).
	verifyTypeNone = -1
)

// claimOf reads what the platform tells of an account; verification in part is left open.
func claimOf(info *wechat.AuthorisedAccount) claim {
	c := claim{kind: KindSubscription, sets: slices.Concat([]int{}, info.Permissions)}
	if info.ServiceType == serviceTypeService {
		c.kind = KindService
	}
	switch info.VerifyType {
	case verifyTypeWeChat:
		c.verified = new(true)
	case verifyTypeNone:
		c.verified = new(false)
	}
	return c
}

// nextBeijingDay is when the platform's daily quotas start anew.
func nextBeijingDay(now time.Time) time.Time { return wechat.DayOf(now).Add(1).Start() }
