package simulator

import (
	"slices"
	"sort"
	"sync"
)

// roll lists fans in the order in which they came, page by page. Who leaves and comes back
// stands at the end. A page costs what it holds, however long the list is.
//
// Its mutex is the innermost: it is taken under an account's or a fan's, and nothing is
// locked under it.
type roll struct {
	mu      sync.Mutex
	entries []rollEntry       // by place, ascending
	last    uint64            // the place given last; places start at 1
	left    int               // entries whose fan has left
	cursors map[string]uint64 // openid -> its place when a page ended with it
}

type rollEntry struct {
	place uint64
	fan   *fan // nil after the fan left
}

// rollSlack is how many entries of fans who left are not worth cleaning up.
const rollSlack = 1024

// add puts a fan at the end and returns the place, which remove wants.
func (r *roll) add(f *fan) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	r.entries = append(r.entries, rollEntry{r.last, f})
	return r.last
}

// remove takes the fan at a place off the list; a place that is empty stays so.
func (r *roll) remove(place uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := r.from(place)
	if i == len(r.entries) || r.entries[i].place != place || r.entries[i].fan == nil {
		return
	}
	r.entries[i].fan = nil
	r.left++
	if r.left > rollSlack && r.left > len(r.entries)/2 {
		r.entries = slices.DeleteFunc(r.entries, func(e rollEntry) bool { return e.fan == nil })
		r.left = 0
	}
}

// from is the index of the first entry at a place or behind it.
func (r *roll) from(place uint64) int {
	return sort.Search(len(r.entries), func(i int) bool { return r.entries[i].place >= place })
}

// count is how many fans are on the list.
func (r *roll) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.entries) - r.left
}

// fans returns everybody on the list, in order.
func (r *roll) fans() []*fan {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]*fan, 0, len(r.entries)-r.left)
	for _, e := range r.entries {
		if e.fan != nil {
			out = append(out, e.fan)
		}
	}
	return out
}

// rollPage is a page of a roll as the platform answers it.
type rollPage struct {
	Total *int      `json:"total,omitempty"`
	Count int       `json:"count"`
	Data  *rollData `json:"data,omitempty"`
	Next  string    `json:"next_openid"`
}

type rollData struct {
	OpenIDs []string `json:"openid"`
}

// page returns up to most openids behind the one called after; place is where that stands
// or last stood, 0 if it never did. An openid that ended a page counts from where it stood
// then: somebody who reads the list misses nobody because the cursor's fan has left, or has
// left and come back at the end. It reports false for a cursor that was never on the list.
func (r *roll) page(after string, place uint64, most int) (rollPage, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if handed, ok := r.cursors[after]; ok {
		place = handed
	}
	if after != "" && place == 0 {
		return rollPage{}, false
	}
	total := len(r.entries) - r.left
	out := rollPage{Total: &total}
	var openIDs []string
	for i := r.from(place + 1); i < len(r.entries) && len(openIDs) < most; i++ {
		if e := r.entries[i]; e.fan != nil {
			openIDs, place = append(openIDs, e.fan.openID), e.place
		}
	}
	if len(openIDs) == 0 {
		return out, true
	}
	out.Count, out.Data, out.Next = len(openIDs), &rollData{openIDs}, openIDs[len(openIDs)-1]
	if r.cursors == nil {
		r.cursors = map[string]uint64{}
	}
	r.cursors[out.Next] = place
	return out, true
}

// serveRoll answers with a page of a roll. place tells where a fan stands on it.
func (s *Simulator) serveRoll(c *call, q rollQuery) {
	var place uint64
	if q.after != "" {
		code := s.accountFan(q.account, q.after, codeBadOpenID, func(f *fan) int {
			place = q.place(f)
			return codeOK
		})
		if code != codeOK {
			c.refuse(code)
			return
		}
	}
	page, ok := q.roll.page(q.after, place, q.most)
	if !ok {
		c.refuse(codeBadOpenID)
		return
	}
	if q.noTotal {
		page.Total = nil
	}
	c.answerJSON(page)
}

// rollQuery asks for a page of a roll.
type rollQuery struct {
	account *account
	roll    *roll
	after   string
	place   func(*fan) uint64 // called under the fan's lock
	most    int
	noTotal bool // the answer of this API does not tell how long the list is
}

// accountFan runs do under the lock of one of the account's fans. It answers 40003 for an
// openid that nobody has, foreign for one of another account, and otherwise what do answers.
func (s *Simulator) accountFan(a *account, openID string, foreign int, do func(*fan) int) int {
	shard := s.fans.shard(openID)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	f, ok := shard.m[openID]
	switch {
	case !ok:
		return codeBadOpenID
	case f.account != a:
		return foreign
	}
	return do(f)
}
