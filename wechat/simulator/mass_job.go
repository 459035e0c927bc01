package simulator

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"hongyan/wechat/callback"
)

// ViaMass and ViaPreview are the ways of mass sends and of their previews. A preview is in
// a fan's arrivals and is no duplicate of the send.
const (
	ViaMass    Via = "mass"
	ViaPreview Via = "preview"
)

// ActMassFinished is the Act of the push that reports a mass send.
const ActMassFinished ActKind = "masssendjobfinish"

// massStep is where a mass send stands.
type massStep uint8

const (
	massScheduled massStep = iota // goes out when its time has come
	massWaiting                   // for the administrator; fails when its time has come
	massRunning
	massOver
)

// The ends of a mass send, as the receipt writes them (platform.md 2.5).
const (
	massSuccess       = "send success"
	massCheckBroken   = "err(30001)"
	massMayNotReprint = "err(30002)"
	massIsReprint     = "err(30003)"
	massRefused       = "err(40001)"
	massExpired       = "err(40002)"
)

// massJob is a mass send that was accepted. What follows call is guarded by the account's
// mutex; while the job runs, only the runner changes it.
type massJob struct {
	id, dataID    int64
	kind, content string
	draft         string
	toAll         bool
	tag           *tag
	list          []*fan
	ignoreReprint bool
	at            time.Time
	call          uint64

	step    massStep
	when    time.Time // see massStep
	size    int       // of the audience when the send was accepted
	daily   bool      // it uses the day's send to all
	fail    string    // status that it must end with, "" for none
	reprint Reprint
	status  string
	counts  massCounts
	gone    []bool // pages that were deleted, by article
}

type massCounts struct{ total, filtered, sent, failed int }

// massRates are the speed levels in 10,000 fans a minute (platform.md 5.3).
var massRates = [...]int{80, 60, 45, 30, 10}

// schedule plans the send: it ends when the last fan has had a turn.
func (j *massJob) schedule(now time.Time, speed int, sw *Switches) {
	j.step, j.when = massScheduled, now
	if !sw.ReceiptFirst {
		// Whole milliseconds, as the clock counts them: a job must be due when its timer fires.
		lasts := time.Duration(j.size) * time.Minute / time.Duration(massRates[speed]*10_000)
		j.when = now.Add(time.Duration(sw.Mass.Delay) + lasts).Add(time.Millisecond - 1).Truncate(time.Millisecond)
	}
}

// settleMass does what is due of an account's mass sends, in order of acceptance, and
// returns the receipts to push. It holds no lock while it goes through the fans.
func (s *Simulator) settleMass(a *account, now time.Time) []*Push {
	var out []*Push
	for {
		j := a.nextMass(now)
		if j == nil {
			return out
		}
		s.runMass(a, j)
		out = append(out, s.massReceipt(a, j))
	}
}

// nextMass takes the first job that is due off the list of live ones.
func (a *account) nextMass(now time.Time) *massJob {
	a.mu.Lock()
	defer a.mu.Unlock()
	live := a.mass.live
	for i, j := range live {
		if j.when.After(now) {
			continue
		}
		if j.step == massWaiting {
			j.fail = massExpired
		}
		j.step = massRunning
		a.mass.live = slices.Delete(live, i, i+1)
		return j
	}
	return nil
}

// runMass carries a send out.
func (s *Simulator) runMass(a *account, j *massJob) {
	spoils := s.switches.Load().Mass.FailedCounts
	status := j.verdict()
	var counts massCounts
	if status == massSuccess || spoils {
		fans := j.list
		switch {
		case j.toAll:
			fans = a.users.followers.fans()
		case j.tag != nil:
			fans = j.tag.fans.fans()
		}
		counts = s.spreadMass(a, j, fans, status == massSuccess)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	j.step, j.status, j.list = massOver, status, nil
	if status == massSuccess {
		j.counts = counts
		a.draft.remove(j.draft) // its media id is void after the send
		return
	}
	if j.daily && !spoils && a.mass.spent == dayOf(j.at) {
		a.mass.spent = 0
	}
}

// verdict is how the send must end, by the administrator and the originality check.
func (j *massJob) verdict() string {
	switch {
	case j.fail != "":
		return j.fail
	case j.reprint == "":
		return massSuccess
	case j.reprint == ReprintUnchecked && !j.ignoreReprint:
		return massCheckBroken
	case j.reprint == ReprintUnchecked:
		return massSuccess
	case !j.ignoreReprint:
		return massIsReprint
	case j.reprint == ReprintForbidden:
		return massMayNotReprint
	}
	return massSuccess
}

// spreadMass goes through the audience. Each fan is locked alone.
func (s *Simulator) spreadMass(a *account, j *massJob, fans []*fan, deliver bool) massCounts {
	cfg := a.config()
	month, limit := monthOf(j.when), 0
	if cfg.Type == Service {
		limit = massPerMonth
	}
	n := massCounts{total: len(fans)}
	message := Arrival{
		AppID: cfg.AppID, Via: ViaMass, Kind: j.kind, Content: j.content,
		Key: s.key(j.kind, j.content), At: j.when, Call: j.call,
	}
	for _, f := range fans {
		arrival, shard := message, s.fans.shard(f.openID)
		arrival.OpenID = f.openID
		shard.mu.Lock()
		reached := false
		switch {
		case !f.subscribed, f.blacklisted, f.blocked:
			n.filtered++
		case f.limited:
			n.failed++
		case !a.mass.ledger.take(f, month, limit):
			n.filtered++
		default:
			n.sent++
			if reached = deliver; reached {
				s.hand(f, &arrival)
			}
		}
		shard.mu.Unlock()
		if reached {
			s.hooks.tell(arrival)
		}
	}
	return n
}

// massLedger counts what reached each fan in a Beijing month. Its mutex is an innermost
// one: it is taken under a fan's, and nothing is locked under it.
type massLedger struct {
	mu   sync.Mutex
	fans map[*fan]massMonth
}

type massMonth struct {
	month    uint32
	received uint32
}

// take counts one more for a fan unless that exceeds limit; a limit of 0 is none.
func (l *massLedger) take(f *fan, month uint32, limit int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.fans[f]
	if m.month != month {
		m = massMonth{month: month}
	}
	if limit > 0 && int(m.received) >= limit {
		return false
	}
	m.received++
	if l.fans == nil {
		l.fans = map[*fan]massMonth{}
	}
	l.fans[f] = m
	return true
}

func (l *massLedger) received(f *fan, month uint32) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m := l.fans[f]; m.month == month {
		return int(m.received)
	}
	return 0
}

// massReceipt prepares the MASSSENDJOBFINISH push of a send that is over.
func (s *Simulator) massReceipt(a *account, j *massJob) *Push {
	cfg := a.config()
	helper := OpenID(s.seed, cfg.AppID, -1) // 公众号群发助手, no fan
	p := &Push{Seq: s.push.seq.Add(1), AppID: cfg.AppID, OpenID: helper, Act: ActMassFinished, At: j.when}
	result := callback.MassResult{
		MsgID: j.id, Status: j.status, TotalCount: j.counts.total, FilterCount: j.counts.total - j.counts.filtered,
		SentCount: j.counts.sent, ErrorCount: j.counts.failed,
	}
	if j.draft != "" {
		result.CopyrightState, result.Copyright = j.originality()
		if j.status == massSuccess {
			for i := range j.gone {
				result.Articles = append(result.Articles, callback.ArticleURL{ArticleNo: i + 1, URL: j.address(i + 1)})
			}
		}
	}
	body, err := callback.BuildXML(callback.Event{
		ToUser: cfg.OriginalID, FromUser: helper, CreatedAt: j.when.Truncate(time.Second),
		MsgType: "event", Name: string(ActMassFinished), Payload: result,
	})
	if err != nil {
		p.Outcome, p.Reason = OutcomeNotPushed, err.Error()
	}
	p.Body = string(body)
	return p
}

// originality is the part of the receipt about reprints: the state of the whole, and of
// the first article.
func (j *massJob) originality() (int, []callback.CopyrightResult) {
	const free, reprint, forbidden = 1, 2, 3
	switch j.reprint {
	case ReprintAllowed, ReprintForbidden:
	default:
		return free, nil
	}
	first := callback.CopyrightResult{
		ArticleNo: 1, AuditState: 2, OriginalArticleURL: "http://mp.weixin.qq.com/s/original",
		OriginalArticleType: 1, CanReprint: j.reprint == ReprintAllowed,
		NeedReplaceContent: true, NeedShowReprintSource: true,
	}
	if j.reprint == ReprintForbidden {
		return forbidden, []callback.CopyrightResult{first}
	}
	return reprint, []callback.CopyrightResult{first}
}

// address is where an article of the send can be read.
func (j *massJob) address(article int) string {
	return fmt.Sprintf("http://mp.weixin.qq.com/s?mid=%d&idx=%d", j.dataID, article)
}

// queueMassReceipt pushes a receipt in the background.
func (s *Simulator) queueMassReceipt(p *Push) {
	if err := s.push.enqueue(s.push.base, s, p); err != nil {
		p.Outcome, p.Reason = OutcomeNotPushed, err.Error()
		s.record.pushed(p)
	}
}

// armMass lets what is due at a time happen by itself. On a clock that is moved by hand
// nothing does: the account's next call of this family does it, or RunMass.
func (s *Simulator) armMass(a *account, at time.Time) {
	if s.virtual() {
		return
	}
	s.push.background(func() {
		for at.After(s.clock.Now()) {
			if !s.sleep(s.push.base, at.Sub(s.clock.Now())) {
				return
			}
		}
		for _, receipt := range s.settleMass(a, s.clock.Now()) {
			s.deliverPush(s.push.base, receipt)
		}
	})
}
