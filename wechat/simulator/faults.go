package simulator

import (
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"hongyan/internal/fault"
)

// Faults says how often an API misbehaves. Shares are of all its calls, from 0 to 1, and
// together at most 1. A name that ends in After means that the call was processed: a
// message may have been accepted although the caller cannot know.
type Faults struct {
	// Latency delays every answer; LatencyMax, when larger, makes it vary up to that.
	// The call is processed when it arrives and its answer held back.
	Latency    Duration `json:"latency,omitempty"`
	LatencyMax Duration `json:"latency_max,omitempty"`

	ResetBefore     float64 `json:"reset_before,omitempty"`      // connection reset, not processed
	ResetAfter      float64 `json:"reset_after,omitempty"`       // connection reset, processed
	HalfAnswer      float64 `json:"half_answer,omitempty"`       // processed, half of the answer arrives
	BadGateway      float64 `json:"bad_gateway,omitempty"`       // HTTP 502, not processed
	BadGatewayAfter float64 `json:"bad_gateway_after,omitempty"` // HTTP 502, processed
	Hang            float64 `json:"hang,omitempty"`              // no answer at all, not processed
	HangAfter       float64 `json:"hang_after,omitempty"`        // no answer at all, processed
	Busy            float64 `json:"busy,omitempty"`              // -1, not processed
	BusyAfter       float64 `json:"busy_after,omitempty"`        // -1, processed

	// Codes are error codes given instead of processing the call.
	Codes []CodeShare `json:"codes,omitempty"`
	// Most stops after so many faults; 0 does not stop. Latency goes on.
	Most int `json:"most,omitempty"`
}

// CodeShare is the share of calls that get one error code.
type CodeShare struct {
	Code  int     `json:"code"`
	Share float64 `json:"share"`
}

// fate is what becomes of a call's answer.
type fate uint8

const (
	fateAnswer fate = iota
	fateReset
	fateHalf
	fateBadGateway
	fateHang
)

// plan is the drawn fate of one call.
type plan struct {
	fate      fate
	processed bool
	code      int // the error code to answer; 0 leaves the answer alone
	delay     time.Duration
}

// options lists the shares with what they lead to, in a fixed order.
func (f *Faults) options() []option {
	out := []option{
		{f.ResetBefore, plan{fate: fateReset}},
		{f.ResetAfter, plan{fate: fateReset, processed: true}},
		{f.HalfAnswer, plan{fate: fateHalf, processed: true}},
		{f.BadGateway, plan{fate: fateBadGateway}},
		{f.BadGatewayAfter, plan{fate: fateBadGateway, processed: true}},
		{f.Hang, plan{fate: fateHang}},
		{f.HangAfter, plan{fate: fateHang, processed: true}},
		{f.Busy, plan{code: codeBusy}},
		{f.BusyAfter, plan{code: codeBusy, processed: true}},
	}
	for _, c := range f.Codes {
		out = append(out, option{c.Share, plan{code: c.Code}})
	}
	return out
}

type option struct {
	share float64
	plan  plan
}

func (f *Faults) validate() error {
	sum := 0.0
	for _, o := range f.options() {
		if !(o.share >= 0 && o.share <= 1) {
			return fault.BadField("faults", "share", "a share lies between 0 and 1, not %v", o.share)
		}
		sum += o.share
	}
	if sum > 1+1e-9 {
		return fault.BadField("faults", "share", "the shares add up to %v, more than 1", sum)
	}
	for _, c := range f.Codes {
		if c.Code == codeOK {
			return fault.BadField("faults.codes", "code", "0 is not an error code")
		}
	}
	if f.Latency < 0 || f.LatencyMax < 0 {
		return fault.BadField("faults.latency", "negative", "a latency is not negative")
	}
	return nil
}

// faultTable draws fates. The n-th call of an API under a setting gets the same fate in
// every run with the same seed.
type faultTable struct {
	seed uint64
	mu   sync.Mutex // serialises changes
	by   [apiCount]atomic.Pointer[faultState]
}

type faultState struct {
	faults  Faults
	options []option
	drawn   atomic.Uint64
	spent   atomic.Int64
}

func (t *faultTable) init(seed uint64) {
	t.seed = mix(seed, 0xfa017)
	for i := range t.by {
		t.by[i].Store(&faultState{})
	}
}

// SetFaults makes the API of a path misbehave from now on; an empty path means all APIs.
// The zero Faults heals. It answers Invalid and, for an unknown path, NotFound.
func (s *Simulator) SetFaults(path string, f Faults) error {
	if err := f.validate(); err != nil {
		return err
	}
	which, known := s.apiOf(path)
	if !known && path != "" {
		return fault.New(fault.NotFound, "the simulator has no API %q", path)
	}
	heal := reflect.ValueOf(f).IsZero()
	t := &s.faults
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.by {
		if path != "" && i != int(which) {
			continue
		}
		st := &faultState{}
		if !heal {
			st.faults, st.options = f, f.options()
		}
		t.by[i].Store(st)
	}
	return nil
}

// FaultsSet returns the settings by path, APIs that behave left out.
func (s *Simulator) FaultsSet() map[string]Faults {
	out := map[string]Faults{}
	for i := range s.faults.by {
		path := s.pathOf(i)
		if st := s.faults.by[i].Load(); st.options != nil && path != "" {
			out[path] = st.faults
		}
	}
	return out
}

func (t *faultTable) draw(which api) plan {
	st := t.by[which].Load()
	healthy := plan{processed: true}
	if st.options == nil {
		return healthy
	}
	n := st.drawn.Add(1)
	delay := st.delay(unit(mix(t.seed, uint64(which), n, 1)))
	u := unit(mix(t.seed, uint64(which), n))
	for _, o := range st.options {
		if u >= o.share {
			u -= o.share
			continue
		}
		if st.faults.Most > 0 && st.spent.Add(1) > int64(st.faults.Most) {
			break
		}
		p := o.plan
		p.delay = delay
		return p
	}
	healthy.delay = delay
	return healthy
}

func (st *faultState) delay(u float64) time.Duration {
	low, high := time.Duration(st.faults.Latency), time.Duration(st.faults.LatencyMax)
	if high <= low {
		return low
	}
	return low + time.Duration(u*float64(high-low))
}
