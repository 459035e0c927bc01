package simulator

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"hongyan/wechat"
)

// The paths of mass sends.
const (
	PathMassAll      = "/cgi-bin/message/mass/sendall"
	PathMassList     = "/cgi-bin/message/mass/send"
	PathMassPreview  = "/cgi-bin/message/mass/preview"
	PathMassDelete   = "/cgi-bin/message/mass/delete"
	PathMassGet      = "/cgi-bin/message/mass/get"
	PathMassSpeedGet = "/cgi-bin/message/mass/speed/get"
	PathMassSpeedSet = "/cgi-bin/message/mass/speed/set"
)

// The codes of mass sends (platform.md 5.4).
const (
	codeMassOpenIDs     = 40031
	codeMassNoJob       = 40059
	codeMassNoArticle   = 40060
	codeMassBadState    = 40065
	codeMassFewOpenIDs  = 40130
	codeMassBadWxName   = 40132
	codeMassBadTag      = 40152
	codeMassUndeletable = 40204
	codeMassImageCount  = 40215
	codeMassManyOpenIDs = 45019
	codeMassNoQuota     = 45028
	codeMassIDExists    = 45065
	codeMassIDTooSoon   = 45066
	codeMassIDTooLong   = 45067
	codeMassSpeedRange  = 45083
	codeMassSpeedAbsent = 45084
	codeMassNoCards     = 45113
	codeMassAgreement   = 48003
	codeMassConfirming  = 89501
)

const (
	massCallsPerDay    = 100
	massCallsPerMinute = 60
	massPerMonth       = 4 // that reach a fan of a service account
	massConfirmTime    = 30 * time.Minute
	massKeyLife        = 24 * time.Hour
	massKeyPause       = time.Minute

	firstMassID     = 1_000_000_001
	firstMassDataID = 206_227_730
)

// massRoutes are mass sends (platform.md 5.1 to 5.4).
func massRoutes() []route {
	sends := Limit{Daily: massCallsPerDay, PerMinute: massCallsPerMinute}
	return []route{
		{PathMassAll, sends, (*Simulator).serveMassAll},
		{PathMassList, sends, (*Simulator).serveMassList},
		{PathMassPreview, Limit{Daily: 100}, (*Simulator).serveMassPreview},
		{PathMassDelete, Limit{Daily: 10}, (*Simulator).serveMassDelete},
		{PathMassGet, Limit{}, (*Simulator).serveMassGet},
		{PathMassSpeedGet, Limit{}, (*Simulator).serveMassSpeedGet},
		{PathMassSpeedSet, Limit{}, (*Simulator).serveMassSpeedSet},
	}
}

// massState is what an account keeps for mass sends (platform.md 5.1 to 5.4); it is guarded
// by the account's mutex, except the ledger, which has one of its own.
type massState struct {
	jobs      []*massJob // in order of acceptance
	live      []*massJob // those that are not over, in the same order
	keys      map[string]*massKey
	keyOrder  []*massKey // oldest first
	spent     uint32     // the Beijing day whose send to all is used up
	speed     int
	disagreed bool
	reprints  map[string]Reprint
	doom      string // status that the next accepted send ends with
	wxNames   map[string]string
	ledger    massLedger
}

// massKey is a clientmsgid, or the digest that stands for one.
type massKey struct {
	id        string
	job       *massJob
	from, try time.Time // acceptance, and the last call with this id
}

// enterMass begins a call of this family: what fell due in the meantime is done first.
func (s *Simulator) enterMass(c *call) (*account, bool) {
	a, ok := s.enter(c, "POST", true)
	if !ok {
		return nil, false
	}
	for _, p := range s.settleMass(a, c.at) {
		s.queueMassReceipt(p)
	}
	return a, true
}

// enterMassSend is enterMass for the two calls that send. They share their quotas.
func (s *Simulator) enterMassSend(c *call) (*account, bool) {
	a, ok := s.enterMass(c)
	if !ok {
		return nil, false
	}
	limit := a.use[c.api].limit.Load()
	var day, minute int
	for _, path := range []string{PathMassAll, PathMassList} {
		use := &a.use[s.byPath[path]]
		day += use.day.used(dayOf(c.at))
		minute += use.minute.used(minuteOf(c.at))
	}
	switch {
	case limit.PerMinute > 0 && minute > limit.PerMinute:
		c.refuse(codeMinuteQuota)
	case limit.Daily > 0 && day > limit.Daily:
		c.refuse(codeDailyQuota)
	default:
		return a, true
	}
	return nil, false
}

// serveMassAll is POST /cgi-bin/message/mass/sendall (platform.md 5.2).
func (s *Simulator) serveMassAll(c *call) {
	a, ok := s.enterMassSend(c)
	if !ok {
		return
	}
	m, code := parseMass(c.body, massToFilter, s.massIDBytes())
	if code != codeOK {
		c.refuse(code)
		return
	}
	s.takeMass(c, a, &m, nil)
}

// serveMassList is POST /cgi-bin/message/mass/send (platform.md 5.2), for service accounts.
func (s *Simulator) serveMassList(c *call) {
	a, ok := s.enterMassSend(c)
	if !ok {
		return
	}
	if a.config().Type != Service {
		c.refuse(codeUnauthorized)
		return
	}
	m, code := parseMass(c.body, massToList, s.massIDBytes())
	if code != codeOK {
		c.refuse(code)
		return
	}
	fans, code := s.listedFans(a, m.openIDs)
	m.listCode = code
	s.takeMass(c, a, &m, fans)
}

// listedFans finds the fans of a list, which are all the account's and all different.
func (s *Simulator) listedFans(a *account, openIDs []string) ([]*fan, int) {
	out := make([]*fan, 0, len(openIDs))
	seen := make(map[string]bool, len(openIDs))
	for _, id := range openIDs {
		code := s.accountFan(a, id, codeMassOpenIDs, func(f *fan) int {
			out = append(out, f)
			return codeOK
		})
		if code != codeOK || seen[id] {
			return nil, codeMassOpenIDs
		}
		seen[id] = true
	}
	return out, codeOK
}

// takeMass accepts a send or refuses it.
func (s *Simulator) takeMass(c *call, a *account, m *massCall, fans []*fan) {
	c.kind, c.content = m.kind, m.content
	sw := s.switches.Load()
	j := &massJob{
		kind: m.kind, content: m.content, draft: m.draft, toAll: m.toAll, list: fans,
		ignoreReprint: m.ignoreReprint, at: c.at, call: c.seq,
	}
	when, code := a.acceptMass(j, m, sw)
	if code != codeOK {
		c.refuse(code)
		if code == codeMassIDExists {
			c.answer = fmt.Appendf(nil, `{"errcode":%d,"errmsg":"clientmsgid exist rid: %s","msg_id":%d}`,
				code, requestID(c.at.Unix(), s.seed, c.seq), j.id)
		}
		return
	}
	c.answer = fmt.Appendf(nil, `{"errcode":0,"errmsg":"send job submission success","msg_id":%d`, j.id)
	if j.dataID != 0 {
		c.answer = fmt.Appendf(c.answer, `,"msg_data_id":%d`, j.dataID)
	}
	c.answer = append(c.answer, '}')
	if when.After(c.at) {
		s.armMass(a, when)
		return
	}
	for _, p := range s.settleMass(a, c.at) {
		s.deliverPush(s.push.base, p)
	}
}

// acceptMass judges a send by the account's state and takes it up; it answers when the send
// goes on by itself. For a repetition it sets the id of the first send and answers 45065.
func (a *account) acceptMass(j *massJob, m *massCall, sw *Switches) (time.Time, int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	st := &a.mass
	st.forgetKeys(j.at)
	key := m.key(sw)
	if k, ok := st.keys[key]; ok {
		j.id = k.job.id
		return j.at, k.repeat(j.at)
	}
	if m.openIDs == nil && !m.toAll {
		j.tag = a.tags.find(int(m.tag))
	}
	articles, partsCode := a.massParts(m, j.at, sw.StrictMedia)
	j.gone = make([]bool, articles)
	// A subscription account has one send a day, a service account one to all.
	j.daily = j.toAll || a.config().Type == Subscription
	switch {
	case st.disagreed:
		return j.at, codeMassAgreement
	case m.listCode != codeOK:
		return j.at, m.listCode
	case m.openIDs == nil && !m.toAll && j.tag == nil:
		return j.at, codeMassBadTag
	case partsCode != codeOK:
		return j.at, partsCode
	case j.daily && st.waits():
		return j.at, codeMassConfirming
	case j.daily && st.spent == dayOf(j.at):
		return j.at, codeMassNoQuota
	}
	if j.daily {
		st.spent = dayOf(j.at)
	}
	st.add(a, j, sw)
	if key != "" {
		st.remember(&massKey{id: key, job: j, from: j.at, try: j.at})
	}
	return j.when, codeOK
}

// repeat judges another call with the same id: it must be a minute after the one before.
func (k *massKey) repeat(now time.Time) int {
	last := k.try
	k.try = now
	if now.Sub(last) < massKeyPause {
		return codeMassIDTooSoon
	}
	return codeMassIDExists
}

// massParts checks what a send refers to and counts its articles. The account is locked.
// A video has an id made for mass sends, which is no upload and stands under no strict rule.
func (a *account) massParts(m *massCall, at time.Time, strict bool) (articles, code int) {
	use := mediaUse{
		kinds:  []wechat.MediaType{wechat.MediaType(m.kind)},
		strict: strict && (m.kind == "image" || m.kind == "voice"), at: at,
	}
	if slices.ContainsFunc(m.media, func(id string) bool { return !a.mediaUsable(id, use) }) {
		return 0, codeBadMediaID
	}
	if m.draft == "" {
		return 1, codeOK
	}
	d, ok := a.draft.find(m.draft)
	if !ok {
		return 0, codeBadMediaID
	}
	return len(d.articles), codeOK
}

// add takes up a send. The account is locked.
func (st *massState) add(a *account, j *massJob, sw *Switches) {
	n := int64(len(st.jobs))
	j.id = firstMassID + n
	if j.kind == "mpnews" {
		j.dataID = firstMassDataID + n
		j.reprint = st.reprints[j.draft]
	}
	j.fail, st.doom = st.doom, ""
	switch {
	case j.toAll:
		j.size = a.users.followers.count()
	case j.tag != nil:
		j.size = j.tag.fans.count()
	default:
		j.size = len(j.list)
	}
	if j.toAll && sw.Mass.Confirm {
		j.step, j.when = massWaiting, j.at.Add(massConfirmTime)
	} else {
		j.schedule(j.at, st.speed, sw)
	}
	st.jobs = append(st.jobs, j)
	st.live = append(st.live, j)
}

// waits reports whether a send waits for the administrator. The account is locked.
func (st *massState) waits() bool {
	return slices.ContainsFunc(st.live, func(j *massJob) bool { return j.step == massWaiting })
}

func (st *massState) remember(k *massKey) {
	if st.keys == nil {
		st.keys = map[string]*massKey{}
	}
	st.keys[k.id] = k
	st.keyOrder = append(st.keyOrder, k)
}

// forgetKeys drops the ids whose day is over.
func (st *massState) forgetKeys(now time.Time) {
	for len(st.keyOrder) > 0 && now.Sub(st.keyOrder[0].from) >= massKeyLife {
		delete(st.keys, st.keyOrder[0].id)
		st.keyOrder = st.keyOrder[1:]
	}
}

// key is the id that tells repetitions. Without a clientmsgid the platform makes one of
// audience and content (platform.md 5.2).
func (m *massCall) key(sw *Switches) string {
	switch {
	case m.id != "":
		return m.id
	case sw.Mass.NoDigest:
		return ""
	}
	h := mix(hashText(m.kind), hashText(m.content), uint64(m.tag))
	for _, id := range m.openIDs {
		h = mix(h, hashText(id))
	}
	return "digest " + strconv.FormatUint(h, 16)
}

func (s *Simulator) massIDBytes() int { return s.switches.Load().Mass.ClientMsgIDBytes }
