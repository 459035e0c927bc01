package simulator

import (
	"maps"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

// RecordMode says how much of the traffic is kept. Counters and, per fan, the hash of every
// message that arrived are kept in every mode, so Counts and Duplicates are always exact.
type RecordMode uint8

// The modes.
const (
	RecordFull    RecordMode = iota // every call, push and arrival
	RecordRing                      // the newest calls and pushes; every arrival
	RecordCompact                   // counters and hashes only: for millions of calls
)

// Call is the record of one request.
type Call struct {
	Seq      uint64    `json:"seq"` // 1, 2, 3 … in order of arrival
	At       time.Time `json:"at"`  // when it arrived
	Method   string    `json:"method"`
	Path     string    `json:"path"`
	AppID    string    `json:"appid,omitempty"`
	OpenID   string    `json:"openid,omitempty"`
	Kind     string    `json:"kind,omitempty"`
	Content  string    `json:"content,omitempty"`
	Body     string    `json:"body,omitempty"`
	Code     int       `json:"code"`     // the errcode of the answer, whether it arrived or not
	Accepted bool      `json:"accepted"` // the platform did what was asked
	Lost     bool      `json:"lost"`     // no whole answer reached the caller
	Done     bool      `json:"done"`     // the exchange is over
}

// Filter selects calls; zero fields select all.
type Filter struct {
	Path     string
	AppID    string
	OpenID   string
	Code     *int
	Accepted *bool
	AfterSeq uint64
}

func (f *Filter) match(c *Call) bool {
	return (f.Path == "" || f.Path == c.Path) &&
		(f.AppID == "" || f.AppID == c.AppID) &&
		(f.OpenID == "" || f.OpenID == c.OpenID) &&
		(f.Code == nil || *f.Code == c.Code) &&
		(f.Accepted == nil || *f.Accepted == c.Accepted) &&
		c.Seq > f.AfterSeq
}

// recorder keeps calls and counts. Its counters are atomic; the list has a lock that the
// compact mode never takes.
type recorder struct {
	mode  RecordMode
	ring  int
	stats [apiCount]apiStats

	mu     sync.Mutex
	calls  []Call
	first  int // how many were dropped before calls[0]
	pushes []Push
	codes  map[Outcome]int
}

type apiStats struct {
	calls, ok, inFlight, maxInFlight    atomic.Int64
	lostAccepted, lostRefused           atomic.Int64
	busyAccepted, busyRefused, accepted atomic.Int64

	mu    sync.Mutex
	codes map[int]int
}

func (r *recorder) init(mode RecordMode, ring int) {
	r.mode, r.ring, r.codes = mode, ring, map[Outcome]int{}
	for i := range r.stats {
		r.stats[i].codes = map[int]int{}
	}
}

// begin notes that a call arrived.
func (r *recorder) begin(c *call) {
	st := &r.stats[c.api]
	st.calls.Add(1)
	raise(&st.maxInFlight, st.inFlight.Add(1))
	if r.mode == RecordCompact {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mode == RecordRing && len(r.calls) >= 2*r.ring {
		drop := len(r.calls) - r.ring
		r.calls = slices.Delete(r.calls, 0, drop)
		r.first += drop
	}
	c.slot = r.first + len(r.calls)
	r.calls = append(r.calls, Call{
		Seq: c.seq, At: c.at, Method: c.method, Path: c.path, OpenID: c.openID, Body: string(c.body),
	})
}

// processed notes what the platform decided, before the answer is on its way.
func (r *recorder) processed(c *call) {
	if c.accepted {
		r.stats[c.api].accepted.Add(1)
	}
	r.update(c, func(kept *Call) {
		kept.AppID, kept.OpenID, kept.Kind, kept.Content = c.appID, c.openID, c.kind, c.content
		kept.Code, kept.Accepted = c.code, c.accepted
	})
}

// end notes how the exchange ended.
func (r *recorder) end(c *call, lost bool) {
	st := &r.stats[c.api]
	st.inFlight.Add(-1)
	switch {
	case lost && c.accepted:
		st.lostAccepted.Add(1)
	case lost:
		st.lostRefused.Add(1)
	case c.code == codeBusy && c.accepted:
		st.busyAccepted.Add(1)
	case c.code == codeBusy:
		st.busyRefused.Add(1)
	}
	if !lost {
		st.count(c.code)
	}
	r.update(c, func(kept *Call) { kept.Lost, kept.Done = lost, true })
}

func (st *apiStats) count(code int) {
	if code == codeOK {
		st.ok.Add(1)
		return
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.codes[code]++
}

func (r *recorder) update(c *call, change func(*Call)) {
	if r.mode == RecordCompact {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := c.slot - r.first; i >= 0 && i < len(r.calls) {
		change(&r.calls[i])
	}
}

// raise lifts a maximum to at least v.
func raise(maximum *atomic.Int64, v int64) {
	for {
		old := maximum.Load()
		if v <= old || maximum.CompareAndSwap(old, v) {
			return
		}
	}
}

// APICounts counts the calls of one API. Answers that were lost are not in OK and Codes.
type APICounts struct {
	Calls    int         `json:"calls"`
	Accepted int         `json:"accepted"` // the platform did what was asked, answered or not
	OK       int         `json:"ok"`
	Codes    map[int]int `json:"codes,omitempty"` // answers by errcode, 0 left out
	// LostAccepted and LostNotAccepted count calls whose answer did not arrive whole:
	// resets, half answers, 502s, hangs and callers who hung up.
	LostAccepted    int `json:"lost_accepted"`
	LostNotAccepted int `json:"lost_not_accepted"`
	// BusyAccepted and BusyNotAccepted count -1 answers: to a sender as good as lost.
	BusyAccepted    int `json:"busy_accepted"`
	BusyNotAccepted int `json:"busy_not_accepted"`
	InFlight        int `json:"in_flight"`
	MaxInFlight     int `json:"max_in_flight"`
}

// Unknowable is how many calls of the API left their caller in doubt.
func (c APICounts) Unknowable() int {
	return c.LostAccepted + c.LostNotAccepted + c.BusyAccepted + c.BusyNotAccepted
}

// Counts counts all traffic since the start or the last ResetRecord.
type Counts struct {
	ByPath map[string]APICounts `json:"by_path"`
	Pushes map[Outcome]int      `json:"pushes"`
}

// Send is the counts of customer-service messages.
func (c Counts) Send() APICounts { return c.ByPath[PathSend] }

// Counts returns the counters; unknown paths are under "".
func (s *Simulator) Counts() Counts {
	r := &s.record
	out := Counts{ByPath: map[string]APICounts{}, Pushes: map[Outcome]int{}}
	for i := range r.stats {
		if c := r.stats[i].snapshot(); c.Calls > 0 {
			out.ByPath[s.pathOf(i)] = c
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.Copy(out.Pushes, r.codes)
	return out
}

func (st *apiStats) snapshot() APICounts {
	st.mu.Lock()
	defer st.mu.Unlock()
	codes := maps.Clone(st.codes)
	return APICounts{
		Calls: int(st.calls.Load()), Accepted: int(st.accepted.Load()), OK: int(st.ok.Load()), Codes: codes,
		LostAccepted: int(st.lostAccepted.Load()), LostNotAccepted: int(st.lostRefused.Load()),
		BusyAccepted: int(st.busyAccepted.Load()), BusyNotAccepted: int(st.busyRefused.Load()),
		InFlight: int(st.inFlight.Load()), MaxInFlight: int(st.maxInFlight.Load()),
	}
}

// Calls returns the kept calls that match, in order of arrival.
func (s *Simulator) Calls(f Filter) []Call {
	r := &s.record
	r.mu.Lock()
	var out []Call
	kept := r.calls
	if r.mode == RecordRing && len(kept) > r.ring {
		kept = kept[len(kept)-r.ring:]
	}
	for i := range kept {
		if f.match(&kept[i]) {
			out = append(out, kept[i])
		}
	}
	r.mu.Unlock()
	sort.Slice(out, func(i, j int) bool { return out[i].Seq < out[j].Seq })
	return out
}

// ResetRecord forgets calls, pushes, arrivals and counters. Grants, quotas, tokens and
// calls still in flight stay as they are.
func (s *Simulator) ResetRecord() {
	r := &s.record
	r.mu.Lock()
	r.first += len(r.calls)
	r.calls, r.pushes, r.codes = nil, nil, map[Outcome]int{}
	r.mu.Unlock()
	for i := range r.stats {
		r.stats[i].reset()
	}
	s.eachFan(func(f *fan) { f.calls, f.accepted, f.arrivals = 0, nil, nil })
}

func (st *apiStats) reset() {
	for _, n := range []*atomic.Int64{
		&st.calls, &st.ok, &st.lostAccepted, &st.lostRefused, &st.busyAccepted, &st.busyRefused, &st.accepted,
	} {
		n.Store(0)
	}
	st.maxInFlight.Store(st.inFlight.Load())
	st.mu.Lock()
	defer st.mu.Unlock()
	st.codes = map[int]int{}
}
