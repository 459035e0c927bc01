package simulator

import (
	"container/heap"
	"encoding/json"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"hongyan/internal/fault"
)

// ScriptOptions describe a population of invented fans and how lively they are.
type ScriptOptions struct {
	Seed uint64
	// OpenIDs are the population, as AddFans returned them.
	OpenIDs []string
	// Start is the first moment; Span the length, 0 for a script without end.
	Start time.Time
	Span  time.Duration
	// FollowWithin is the time from Start in which they all follow; 0 is half the span, or
	// an hour without end. AlreadyFans means that they follow already.
	FollowWithin time.Duration
	AlreadyFans  bool
	// Keywords, Scenes and MenuKeys are what they write, scan and tap.
	Keywords, Scenes, MenuKeys []string
	// ActsPerDay is how often a fan acts unasked; 0 is 1.5.
	ActsPerDay float64
	// ReplyShare of the messages that arrive is answered; 0 is 0.25, negative is none.
	ReplyShare float64
	// UnfollowShare of the unasked acts is unfollowing; 0 is 0.02, negative is none.
	UnfollowShare float64
}

// Script is what a population does, as acts in order of time. The same options and the
// same arrivals give the same acts. It is safe for concurrent use.
type Script struct {
	o     ScriptOptions
	end   time.Time
	index map[string]int
	wake  chan struct{}

	mu    sync.Mutex
	fans  []actor
	queue actQueue
	seq   uint64
}

// actor is a fan of the script.
type actor struct {
	rng       *rand.Rand
	following bool
	answers   uint64 // messages that could have been answered
}

// planned is an act in the queue; unasked ones lead to the fan's next.
type planned struct {
	act     Act
	seq     uint64
	fan     int
	unasked bool
}

type actQueue []planned

func (q *actQueue) Len() int { return len(*q) }
func (q *actQueue) Less(i, j int) bool {
	a, b := &(*q)[i], &(*q)[j]
	if !a.act.At.Equal(b.act.At) {
		return a.act.At.Before(b.act.At)
	}
	return a.seq < b.seq
}
func (q *actQueue) Swap(i, j int) { (*q)[i], (*q)[j] = (*q)[j], (*q)[i] }
func (q *actQueue) Push(x any)    { *q = append(*q, x.(planned)) } //nolint:forcetypeassert,errcheck // only planned goes in
func (q *actQueue) Pop() any {
	old := *q
	last := old[len(old)-1]
	*q = old[:len(old)-1]
	return last
}

const (
	defaultActsPerDay    = 1.5
	defaultReplyShare    = 0.25
	defaultUnfollowShare = 0.02
	refollowShare        = 0.3
	firstWordShare       = 0.6  // of new fans write a keyword at once
	nightShare           = 0.1  // of acts in the small hours stay there
	dayBegins            = 8    // Beijing hour at which the others happen
	quickest             = 5    // seconds until the fastest answer
	slowest              = 1800 // seconds until the slowest
)

// NewScript prepares a script; its first acts are the population's follows.
func NewScript(o ScriptOptions) *Script {
	fill(&o.ActsPerDay, defaultActsPerDay)
	fill(&o.ReplyShare, defaultReplyShare)
	fill(&o.UnfollowShare, defaultUnfollowShare)
	if o.FollowWithin <= 0 {
		o.FollowWithin = time.Hour
		if o.Span > 0 {
			o.FollowWithin = o.Span / 2
		}
	}
	s := &Script{o: o, index: make(map[string]int, len(o.OpenIDs)), wake: make(chan struct{}, 1)}
	if o.Span > 0 {
		s.end = o.Start.Add(o.Span)
	}
	s.fans = make([]actor, len(o.OpenIDs))
	for i, id := range o.OpenIDs {
		s.index[id] = i
		s.fans[i].rng = rand.New(rand.NewPCG(mix(o.Seed, 0x5c21), uint64(i))) //nolint:gosec // invented data
		if o.AlreadyFans {
			s.fans[i].following = true
			s.planNext(i, o.Start)
			continue
		}
		offset := time.Duration(s.fans[i].rng.Float64() * float64(o.FollowWithin))
		s.plan(i, s.followAct(i), s.daytime(i, o.Start.Add(offset)), true)
	}
	return s
}

func fill(v *float64, def float64) {
	switch {
	case *v == 0:
		*v = def
	case *v < 0:
		*v = 0
	}
}

func (s *Script) plan(i int, a Act, at time.Time, unasked bool) {
	a.OpenID, a.At = s.o.OpenIDs[i], at.UTC().Truncate(time.Millisecond)
	s.seq++
	heap.Push(&s.queue, planned{act: a, seq: s.seq, fan: i, unasked: unasked})
}

// Peek returns the time of the next act, false when the script is over for now.
func (s *Script) Peek() (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.prune() {
		return time.Time{}, false
	}
	return s.queue[0].act.At, true
}

// prune drops acts at the head that their fan cannot do any more, and reports whether an
// act is left.
func (s *Script) prune() bool {
	for len(s.queue) > 0 {
		head := &s.queue[0]
		if !s.end.IsZero() && !head.act.At.Before(s.end) {
			return false
		}
		if s.fans[head.fan].following || head.act.Kind == ActFollow || head.act.Kind == ActScan {
			return true
		}
		heap.Pop(&s.queue)
	}
	return false
}

// Next returns the next act, in order of time; false when the script is over. A script
// that is over goes on when Received plans an answer before its end.
func (s *Script) Next() (Act, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.prune() {
		return Act{}, false
	}
	p := heap.Pop(&s.queue).(planned) //nolint:forcetypeassert,errcheck // only planned goes in
	f := &s.fans[p.fan]
	first := !f.following
	switch p.act.Kind {
	case ActFollow, ActScan:
		f.following = true
	case ActUnfollow:
		f.following = false
	default:
	}
	if !p.unasked {
		return p.act, true
	}
	switch {
	case p.act.Kind == ActUnfollow:
		if f.rng.Float64() < refollowShare {
			s.plan(p.fan, s.followAct(p.fan), s.daytime(p.fan, p.act.At.Add(3*s.gap(p.fan))), true)
		}
	case first && f.rng.Float64() < firstWordShare:
		s.plan(p.fan, s.write(f.rng), p.act.At.Add(s.pause(f.rng.Float64())), true)
	default:
		s.planNext(p.fan, p.act.At)
	}
	return p.act, true
}

// Received tells the script what reached a fan: some answer it a little later. It can be
// handed to Simulator.OnArrival.
func (s *Script) Received(a Arrival) {
	i, ok := s.index[a.OpenID]
	if !ok {
		return
	}
	s.mu.Lock()
	f := &s.fans[i]
	f.answers++
	// Not from the fan's own generator: arrivals must not disturb the unasked acts.
	rng := rand.New(rand.NewPCG(mix(s.o.Seed, uint64(i), 0xa115), f.answers)) //nolint:gosec // invented data
	answers := rng.Float64() < s.o.ReplyShare
	if answers {
		s.plan(i, s.answer(rng, a), a.At.Add(s.pause(rng.Float64())), false)
	}
	s.mu.Unlock()
	if answers {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// answer taps an item of an in-chat menu, or writes.
func (s *Script) answer(rng *rand.Rand, a Arrival) Act {
	if a.Kind == "msgmenu" {
		var menu struct {
			List []struct {
				ID      string `json:"id"`
				Content string `json:"content"`
			} `json:"list"`
		}
		if json.Unmarshal([]byte(a.Content), &menu) == nil && len(menu.List) > 0 {
			item := menu.List[rng.IntN(len(menu.List))]
			return Act{Kind: ActTap, ItemID: item.ID, Text: item.Content}
		}
	}
	return s.write(rng)
}

func (s *Script) write(rng *rand.Rand) Act {
	words := s.o.Keywords
	if len(words) == 0 || rng.Float64() < 0.3 {
		words = smallTalk()
	}
	return Act{Kind: ActText, Text: words[rng.IntN(len(words))]}
}

func (s *Script) followAct(i int) Act {
	rng := s.fans[i].rng
	if len(s.o.Scenes) > 0 && rng.Float64() < 0.3 {
		return Act{Kind: ActFollow, Scene: s.o.Scenes[rng.IntN(len(s.o.Scenes))]}
	}
	return Act{Kind: ActFollow}
}

// planNext plans the fan's next unasked act after a random gap.
func (s *Script) planNext(i int, after time.Time) {
	rng := s.fans[i].rng
	at := s.daytime(i, after.Add(s.gap(i)))
	if rng.Float64() < s.o.UnfollowShare {
		s.plan(i, Act{Kind: ActUnfollow}, at, true)
		return
	}
	a := s.write(rng)
	u := rng.Float64()
	switch {
	case u < 0.15 && len(s.o.MenuKeys) > 0:
		a = Act{Kind: ActClick, Key: s.o.MenuKeys[rng.IntN(len(s.o.MenuKeys))]}
	case u < 0.25 && len(s.o.Scenes) > 0:
		a = Act{Kind: ActScan, Scene: s.o.Scenes[rng.IntN(len(s.o.Scenes))]}
	case u >= 0.95:
		a = Act{Kind: ActImage}
	case u >= 0.92:
		a = Act{Kind: ActPlace, Latitude: 22 + 18*rng.Float64(), Longitude: 100 + 20*rng.Float64(), Text: "中国"}
	}
	s.plan(i, a, at, true)
}

func (s *Script) gap(i int) time.Duration {
	if s.o.ActsPerDay <= 0 {
		return math.MaxInt64 / 8
	}
	mean := float64(24*time.Hour) / s.o.ActsPerDay
	return time.Duration(min(s.fans[i].rng.ExpFloat64(), 20) * mean)
}

// pause is between 5 s and 30 min, short ones likelier.
func (*Script) pause(u float64) time.Duration {
	return time.Duration(quickest * math.Pow(slowest/quickest, u) * float64(time.Second))
}

// daytime moves most acts out of the small hours.
func (s *Script) daytime(i int, at time.Time) time.Time {
	rng := s.fans[i].rng
	local := at.In(time.FixedZone("CST", beijingOffset))
	stays, spread := rng.Float64() < nightShare, rng.Float64()
	if local.Hour() >= dayBegins || stays {
		return at
	}
	morning := time.Date(local.Year(), local.Month(), local.Day(), dayBegins, 0, 0, 0, local.Location())
	return morning.Add(time.Duration(spread * float64(4*time.Hour)))
}

// MarshalScript renders the acts that are left as JSON lines: two scripts with the same
// seed are compared by it. It uses the script up; at most limit acts are taken.
func MarshalScript(s *Script, limit int) ([]byte, error) {
	var out []byte
	for range limit {
		a, ok := s.Next()
		if !ok {
			break
		}
		line, err := json.Marshal(a)
		if err != nil {
			return nil, fault.Wrap(fault.Internal, err, "render an act")
		}
		out = append(append(out, line...), '\n')
	}
	return out, nil
}
