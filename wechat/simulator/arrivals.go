package simulator

import (
	"encoding/json"
	"slices"
	"time"
)

// Via is the way on which a message reached a fan.
type Via string

// The ways.
const (
	ViaKefu    Via = "kefu"
	ViaPassive Via = "passive"
	ViaAgent   Via = "agent"
)

// Arrival is a message that reached a fan.
type Arrival struct {
	Seq     uint64    `json:"seq"`
	AppID   string    `json:"appid"`
	OpenID  string    `json:"openid"`
	Via     Via       `json:"via"`
	Kind    string    `json:"kind"`
	Content string    `json:"content"` // the text, or the content of other kinds as it came
	Key     string    `json:"key"`     // what identifies it, by Options.Key
	At      time.Time `json:"at"`
	Call    uint64    `json:"call,omitempty"` // Seq of the call that brought it
}

// hand puts a message into the fan's chat; the fan is locked.
func (s *Simulator) hand(f *fan, a *Arrival) {
	a.Seq = s.arrivals.Add(1)
	if a.Via != ViaAgent {
		f.accepted = append(f.accepted, hashText(a.Key))
	}
	if s.record.mode != RecordCompact {
		f.arrivals = append(f.arrivals, *a)
	}
}

// Arrivals returns what reached a fan, in order; nothing in compact mode. It answers NotFound.
func (s *Simulator) Arrivals(openID string) ([]Arrival, error) {
	var out []Arrival
	err := s.withFan(openID, func(f *fan) { out = slices.Clone(f.arrivals) })
	return out, err
}

// AcceptedTexts returns the keys of what reached a fan, in order: neither what an agent said nor previews.
// An unknown fan got nothing.
func (s *Simulator) AcceptedTexts(openID string) []string {
	arrivals, err := s.Arrivals(openID)
	if err != nil {
		return nil
	}
	var out []string
	for _, a := range arrivals {
		if a.Via != ViaAgent && a.Via != ViaPreview {
			out = append(out, a.Key)
		}
	}
	return out
}

// Duplicate is a key that reached one fan more than once. Key is empty in compact mode.
type Duplicate struct {
	AppID  string `json:"appid"`
	OpenID string `json:"openid"`
	Key    string `json:"key"`
	Times  int    `json:"times"`
}

// Duplicates lists every key that reached a fan more than once by kefu or passive reply:
// accounts and fans in order of creation, keys in order of first arrival.
func (s *Simulator) Duplicates() []Duplicate {
	var out []Duplicate
	s.eachFan(func(f *fan) { out = append(out, f.duplicates()...) })
	return out
}

func (f *fan) duplicates() []Duplicate {
	times := map[uint64]int{}
	for _, h := range f.accepted {
		times[h]++
	}
	if len(times) == len(f.accepted) {
		return nil
	}
	keys := map[uint64]string{}
	for _, a := range f.arrivals {
		keys[hashText(a.Key)] = a.Key
	}
	var out []Duplicate
	for _, h := range f.accepted {
		if times[h] > 1 {
			out = append(out, Duplicate{f.account.config().AppID, f.openID, keys[h], times[h]})
			delete(times, h)
		}
	}
	return out
}

// eachFan visits every fan, locked, accounts and fans in order of creation.
func (s *Simulator) eachFan(visit func(*fan)) {
	s.accounts.mu.RLock()
	list := slices.Clone(s.accounts.list)
	s.accounts.mu.RUnlock()
	for _, a := range list {
		s.eachFanOf(a, visit)
	}
}

// Dump renders the arrivals of all fans as JSON lines, accounts and fans in order of
// creation: two runs with the same seed are compared by it.
func (s *Simulator) Dump() ([]byte, error) {
	var out []byte
	var failed error
	s.eachFan(func(f *fan) {
		for _, a := range f.arrivals {
			line, err := json.Marshal(a)
			if err != nil {
				failed = err
			}
			out = append(append(out, line...), '\n')
		}
	})
	return out, failed
}
