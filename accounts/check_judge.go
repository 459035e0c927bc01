package accounts

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"hongyan/internal/clock"
)

// beijing writes a moment for people: the platform's days, and so its quotas, are Beijing's.
func beijing(at time.Time) string {
	if at.IsZero() {
		return "–"
	}
	return at.In(time.FixedZone("CST", 8*3600)).Format("2006-01-02 15:04")
}

// sentRefusal starts the reason of an account that was stopped because a send was refused; the errcode follows.
const sentRefusal = "platform_"

// local finds what the account's row shows, and what its last refused send taught.
func (r *checkRun) local() {
	if r.a.Sandbox {
		r.add(findSandbox, nil)
	}
	if !r.a.Stopped {
		return
	}
	f := r.add(findStopped, map[string]string{"reason": r.a.StoppedReason})
	if code, ok := strings.CutPrefix(r.a.StoppedReason, sentRefusal); ok {
		f.ErrCode, _ = strconv.Atoi(code) //nolint:errcheck // 0 is the code of a reason that holds none
	}
	if denies(f.ErrCode) {
		r.answers[CustomerService] = answer{permission: NotAllowed, code: f.ErrCode, source: BySend}
	}
}

const (
	// tokenUse is how long an access token is in use, at the most (platform.md 1.1): two hours less the margin.
	tokenUse = 115 * time.Minute
	// stolenOften is how many tokens more than that explains make a pattern.
	stolenOften = 3
)

// superseded looks whether access tokens are replaced more often than they expire: then another system makes the platform
// end them, as it happens when somebody else asks with force_refresh (platform.md 1.1).
func (r *checkRun) superseded(ctx context.Context) error {
	version, err := tokenVersion(ctx, r.c.o.DB, r.a.ID)
	if err != nil {
		return err
	}
	since := r.memory.TokenAt
	made := version - r.memory.TokenVersion
	r.memory.TokenVersion, r.memory.TokenAt = version, r.now.UnixMilli()
	if since == 0 {
		return nil
	}
	elapsed := time.Duration(r.now.UnixMilli()-since) * time.Millisecond
	if extra := made - 1 - int64(elapsed/tokenUse); extra >= stolenOften {
		r.add(findSuperseded, map[string]string{"times": strconv.FormatInt(extra, 10), "since": beijing(clock.FromMillis(since))})
	}
	return nil
}

const (
	// silentFor is how long no push makes a finding. An account with fans hears of some of them every day.
	silentFor = 24 * time.Hour
	// refusedFor is how long a refused push is remembered, if none is accepted before.
	refusedFor = 24 * time.Hour
)

// pushes judges the pushes that came and those that were refused. It returns the time of the newest accepted one, in unix
// ms, 0 without one.
func (r *checkRun) pushes(ctx context.Context) (last int64, err error) {
	found, err := r.c.o.Pushes.LastPush(ctx, r.a.ID, r.now.Add(-silentFor))
	if err != nil {
		return 0, err
	}
	last = max(found.ReceivedAt, r.memory.LastPushAt)
	r.memory.LastPushAt = last
	ago := r.now.Sub(clock.FromMillis(last))
	values := r.callbackValues()
	switch {
	case r.refusal.at > last && r.now.Sub(clock.FromMillis(r.refusal.at)) < refusedFor:
		values["at"] = beijing(clock.FromMillis(r.refusal.at))
		r.add(refusalFinding(r.refusal.reason), values)
	case last == 0 && !found.Ever && r.platform.Component != nil:
		values["component"] = r.platform.Component.AppID
		r.add(findComponentNeverSeen, values)
	case last == 0 && !found.Ever:
		r.add(findNeverSeen, values)
	case last > 0 && ago < silentFor:
		r.add(findPushesOK, map[string]string{"at": beijing(clock.FromMillis(last))})
	case found.Unclear: // too many pushes of other accounts lie before it
	default:
		values["at"] = "–"
		if last > 0 {
			values["at"] = beijing(clock.FromMillis(last))
		}
		values["hours"] = strconv.Itoa(int(silentFor.Hours()))
		r.add(findSilent, values)
	}
	return last, nil
}

func (r *checkRun) callbackValues() map[string]string {
	values := map[string]string{"mode": string(r.a.Callback.Mode)}
	if url := r.c.o.CallbackURL(r.a); url != "" {
		values["url"] = url
	}
	return values
}

func refusalFinding(why PushRefusal) FindingCode {
	switch why {
	case RefusedSignature:
		return findTokenDiffers
	case RefusedMode:
		return findModeDiffers
	case RefusedCipher:
		return findKeyDiffers
	case RefusedAppID:
		return findAppIDDiffers
	case RefusedStale:
		return findPushesStale
	default:
		return findReceiverDiffers
	}
}

// dateWatch compares the platform's time, as its answers tell it, with ours.
type dateWatch struct {
	next  http.RoundTripper
	clock clock.Clock

	mu   sync.Mutex
	seen bool
	skew time.Duration // ours less the platform's, the least that was seen
}

// RoundTrip implements http.RoundTripper.
func (d *dateWatch) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := d.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if at, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		skew := d.clock.Now().Sub(at)
		d.mu.Lock()
		defer d.mu.Unlock()
		if !d.seen || skew.Abs() < d.skew.Abs() {
			d.seen, d.skew = true, skew
		}
	}
	return resp, nil
}

const (
	// skewMost is how much clocks may differ: answers take a while, and the header has whole seconds.
	skewMost = 30 * time.Second
	// skewRefused is the age from which on pushes are refused.
	skewRefused = 5 * time.Minute
)

func (r *checkRun) clockSkew() {
	skew := r.dates.skew
	if skew.Abs() < skewMost {
		return
	}
	code := findClockAhead
	if skew < 0 {
		code = findClockBehind
	}
	f := r.add(code, map[string]string{"seconds": strconv.Itoa(int(skew.Abs().Seconds()))})
	if skew.Abs() < skewRefused {
		f.Severity = SeverityWarning
	}
}

// derive tells what the account may do. What the platform said in an earlier check holds until it says otherwise.
func (r *checkRun) derive() Rights {
	known := map[Capability]answer{}
	for _, right := range r.before.Rights {
		if right.Source == ByAnswer {
			known[right.Capability] = answer{permission: right.Permission, code: right.ErrCode, source: ByAnswer}
		}
	}
	maps.Copy(known, r.answers)
	f := &facts{kind: r.stands.kind, verified: r.stands.verified, component: r.platform.Component != nil, sets: r.stands.sets, answers: known}
	if r.info != nil {
		f.sets = r.info.Permissions // what was granted counts, also while a loss is in doubt
	}
	if f.sets == nil {
		f.sets = []int{}
	}
	return deriveRights(f, r.before.Rights, r.now.UnixMilli())
}

// judgeRights finds what the account may not do although accounts of its kind may, and what it cannot because it is not
// verified.
func (r *checkRun) judgeRights() {
	r.rights = r.derive()
	if r.memory.DoubtSince != 0 {
		return // one finding says it for all of them
	}
	if !r.stands.verified {
		r.add(findUnverified, nil)
	}
	table := capabilities()
	missing := map[FindingCode][]string{}
	codes := map[FindingCode]int{}
	for i, right := range r.rights {
		if right.Permission != NotAllowed || right.Source == ByType || table[i].need.of(r.stands.kind, r.stands.verified) != Allowed {
			continue
		}
		code := findRightsMissing
		if right.Source == BySets || right.ErrCode == 61007 {
			code = findSetsMissing
		}
		missing[code] = append(missing[code], string(right.Capability))
		if codes[code] == 0 {
			codes[code] = right.ErrCode
		}
	}
	for _, code := range []FindingCode{findRightsMissing, findSetsMissing} {
		if len(missing[code]) == 0 {
			continue
		}
		f := r.add(code, map[string]string{"capabilities": strings.Join(missing[code], ",")})
		f.ErrCode = codes[code]
		if slices.Contains(missing[code], string(CustomerService)) {
			f.Severity = SeverityError
		}
	}
}

// summarise says what is in order.
func (r *checkRun) summarise() {
	if r.granted {
		r.add(findAccessOK, map[string]string{"appid": r.a.AppID})
	}
	if r.granted && !r.silent.ended() && r.memory.DoubtSince == 0 && !r.found(findRightsMissing) && !r.found(findSetsMissing) {
		r.add(findRightsOK, nil)
	}
	if len(r.enough) > 0 && !r.found(findQuotaLow) && !r.found(findQuotaUsedUp) {
		r.add(findQuotaOK, map[string]string{"reset": beijing(nextBeijingDay(r.now))})
	}
}
