package deliveries

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/gorm"

	"hongyan/guard"
	"hongyan/internal/database"
)

// Figure says what a counter counts: that messages were planned, the state in which they ended, or what fans did after they had arrived. The numbers
// are stored; those of states are the states'.
type Figure uint8

// The figures that are no state of an ended delivery.
const (
	FigurePlanned    = Figure(StatePlanned) // put into the ledger, whatever became of it
	FigureReplied    = Figure(100 + ReactionReplied)
	FigureClicked    = Figure(100 + ReactionClicked)
	FigureUnfollowed = Figure(100 + ReactionUnfollowed)
)

// allFigures lists them.
func allFigures() []Figure {
	out := []Figure{FigurePlanned, FigureReplied, FigureClicked, FigureUnfollowed}
	for s := StateSent; s <= StateCancelled; s++ {
		out = append(out, Figure(s))
	}
	return out
}

// FigureKey says what is counted. Each counter is the number of rows of the ledger of which this is true.
type FigureKey struct {
	AccountID int64
	Source    Source
	Day       int // on which it happened, in the account's zone; numbered as by guard.Policy.Day
	// MessageID tells version, step and place in the step for what a campaign sends. It is 0 for sources whose messages are made for one fan.
	MessageID int64
	Figure    Figure
	Reason    guard.Reason // of an end; ReasonNone otherwise
	ErrCode   int          // the answer that ended it; 0 if none
}

// compare is the order of the primary key.
func (k *FigureKey) compare(o *FigureKey) int {
	return cmp.Or(
		cmp.Compare(k.AccountID, o.AccountID), cmp.Compare(k.Source.Kind, o.Source.Kind), cmp.Compare(k.Source.ID, o.Source.ID), cmp.Compare(k.Figure, o.Figure),
		cmp.Compare(k.Day, o.Day), cmp.Compare(k.MessageID, o.MessageID), cmp.Compare(k.Reason, o.Reason), cmp.Compare(k.ErrCode, o.ErrCode),
	)
}

// Zones knows the zones in which accounts count their days.
type Zones interface {
	Zone(tx *gorm.DB, accountID int64) (*time.Location, error)
}

// CountIn says in which zones days are counted; without it they are those of UTC. It is called before the Store is used.
func (s *Store) CountIn(z Zones) { s.counting.zones = z }

const (
	// figureShards is how many rows a counter is spread over on MySQL, so that transactions which count the same at once do not wait for each other.
	figureShards = 4
	// recountShard holds what a recount has found so far; it counts for nothing.
	recountShard = -1
	// zoneFor is how long a zone is used before it is read again.
	zoneFor = time.Minute
)

// counting is what counting needs to remember. The zero value is ready.
type counting struct {
	zones Zones
	turn  atomic.Uint32

	mu    sync.Mutex
	known map[int64]knownZone
}

type knownZone struct {
	days   *guard.Policy // for its zone alone
	readAt time.Time
}

// Shard is in which of the rows of a counter the next transaction counts.
func (s *Store) Shard() int {
	if s.db.Dialect() == database.SQLite {
		return 0
	}
	return int(s.counting.turn.Add(1) % figureShards)
}

// Day numbers the calendar day of a moment, unix milliseconds, in the zone in which an account counts.
func (s *Store) Day(tx *gorm.DB, accountID, at int64) (int, error) {
	days, err := s.days(tx, accountID)
	if err != nil {
		return 0, err
	}
	return days.Day(clockTime(at)), nil
}

// days knows an account's days.
func (s *Store) days(tx *gorm.DB, accountID int64) (*guard.Policy, error) {
	c := &s.counting
	if c.zones == nil {
		return &guard.Policy{Zone: time.UTC}, nil
	}
	now := s.clock.Now()
	c.mu.Lock()
	found, known := c.known[accountID]
	c.mu.Unlock()
	if known && now.Sub(found.readAt) < zoneFor {
		return found.days, nil
	}
	zone, err := c.zones.Zone(tx, accountID)
	if err != nil {
		return nil, err
	}
	found = knownZone{&guard.Policy{Zone: zone}, now}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil {
		c.known = map[int64]knownZone{}
	}
	c.known[accountID] = found
	return found.days, nil
}

// happened is something that has become of a message: what is counted.
type happened struct {
	key     *Key
	message int64
	figure  Figure
	reason  guard.Reason
	code    int
	at      int64
	n       int64 // 1, or -1 for what turns out to be otherwise
}

// became is how a row came to a state; n is -1 when it leaves it again.
func (d *Delivery) became(state State, reason guard.Reason, at, n int64) happened {
	return happened{key: &d.Key, message: d.MessageID, figure: Figure(state), reason: reason, at: at, n: n}
}

// counted is what a row that stands in the ledger has been counted as, besides as planned; false while it has not ended.
func (d *Delivery) counted() (happened, bool) {
	h := d.became(d.State, d.Reason, d.EndedAt, 1)
	if !noAnswer(d.State) {
		h.code = d.ErrCode
	}
	return h, d.State.Terminal()
}

// noAnswer reports whether rows end in this state without a call. Their errcode, if any, is that of an earlier try, and is not counted.
func noAnswer(s State) bool { return s == StateSkipped || s == StateExpired || s == StateCancelled }

// perFan reports whether each message of such a source is made for one fan, so that counting by message would count each alone.
func (k SourceKind) perFan() bool { return k == SourceAPI || k == SourceTest || k == SourceInbox }

// tally adds what happened to the figures: one statement for all that a transaction has to say. Everything that puts rows into the ledger or ends them
// calls it in the same transaction, so that the figures equal the ledger at any moment.
func (s *Store) tally(tx *gorm.DB, what []happened) error {
	if len(what) == 0 {
		return nil
	}
	sums, err := s.sum(tx, what)
	if err != nil {
		return err
	}
	return s.addFigures(tx, sums, s.Shard())
}

func (s *Store) sum(tx *gorm.DB, what []happened) (map[FigureKey]int64, error) {
	sums := map[FigureKey]int64{}
	for i := range what {
		h := &what[i]
		day, err := s.Day(tx, h.key.AccountID, h.at)
		if err != nil {
			return nil, err
		}
		sums[h.counter(day)] += h.n
	}
	return sums, nil
}

// counter is what counts it, on a day.
func (h *happened) counter(day int) FigureKey {
	key := FigureKey{h.key.AccountID, h.key.Source, day, h.message, h.figure, h.reason, h.code}
	if h.key.Source.Kind.perFan() {
		key.MessageID = 0
	}
	if noAnswer(State(h.figure)) {
		key.ErrCode = 0
	}
	return key
}

func (s *Store) addFigures(tx *gorm.DB, sums map[FigureKey]int64, shard int) error {
	maps.DeleteFunc(sums, func(_ FigureKey, n int64) bool { return n == 0 })
	keys := slices.SortedFunc(maps.Keys(sums), func(a, b FigureKey) int { return a.compare(&b) })
	for chunk := range slices.Chunk(keys, database.ChunkSize) {
		args := make([]any, 0, 10*len(chunk))
		for _, k := range chunk {
			args = append(args, k.AccountID, k.Source.Kind, k.Source.ID, k.Day, k.MessageID, k.Figure, k.Reason, k.ErrCode, shard, sums[k])
		}
		q := "INSERT INTO delivery_figures (" + figureColumns + ", shard, n) VALUES (?,?,?,?,?,?,?,?,?,?)" + strings.Repeat(",(?,?,?,?,?,?,?,?,?,?)", len(chunk)-1) +
			s.db.Dialect().Upsert(strings.Split(figureColumns+", shard", ", "), "n = n + {n}")
		if err := tx.Exec(q, args...).Error; err != nil {
			return fmt.Errorf("count deliveries: %w", err)
		}
	}
	return nil
}

const figureColumns = "account_id, source_kind, source_id, day, message_id, figure, reason, errcode"

func (k *FigureKey) fields() []any {
	return []any{&k.AccountID, &k.Source.Kind, &k.Source.ID, &k.Day, &k.MessageID, &k.Figure, &k.Reason, &k.ErrCode}
}

// outcomeEnds is what outcomes are counted as.
func outcomeEnds(now int64, outcomes []Outcome) []happened {
	out := make([]happened, 0, len(outcomes))
	for i := range outcomes {
		if o := &outcomes[i]; o.State.Terminal() {
			h := o.Delivery.became(o.State, o.Reason, now, 1)
			h.code = o.ErrCode
			out = append(out, h)
		}
	}
	return out
}

// corrected takes back what rows were counted as that turn out to have ended otherwise.
func corrected(rows []Delivery) []happened {
	out := make([]happened, 0, len(rows))
	for i := range rows {
		h, _ := rows[i].counted()
		h.n = -1
		out = append(out, h)
	}
	return out
}

// finish ends those of the rows that are still planned, and returns how many. The ids are sorted.
func (s *Store) finish(tx *gorm.DB, now int64, ids []int64, to State, reason guard.Reason) (int64, error) {
	rows, err := readLocked(tx, s.db.Dialect().ForUpdate(), "id IN ? AND state = ?", ids, StatePlanned)
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	still := make([]int64, len(rows))
	ends := make([]happened, len(rows))
	for i := range rows {
		still[i], ends[i] = rows[i].ID, rows[i].became(to, reason, now, 1)
	}
	err = s.update(tx, still, "UPDATE deliveries SET state = ?, reason = ?, ended_at = ?, lane = NULL, lane_source = NULL, lane_at = NULL WHERE id IN ? AND state = ?",
		to, reason, now, still, StatePlanned)
	if err != nil {
		return 0, err
	}
	return int64(len(still)), s.tally(tx, ends)
}

// insertion names one statement that put rows into the ledger.
type insertion struct{ at, token int64 }

// fresh are those of the rows that an insertion has put into the ledger; inserted tells how many these are.
func (s *Store) fresh(tx *gorm.DB, by insertion, rows []Planned, inserted int64) ([]Planned, error) {
	switch inserted {
	case 0:
		return nil, nil
	case int64(len(rows)):
		return rows, nil
	}
	fans := make([]int64, len(rows))
	for i := range rows {
		fans[i] = rows[i].FanID
	}
	stored, err := read(tx, "fan_id IN ? AND planned_at = ? AND batch_id = ?", database.SortedSet(fans), by.at, by.token)
	if err != nil {
		return nil, err
	}
	mine := make(map[Key]bool, len(stored))
	for i := range stored {
		mine[stored[i].Key] = true
	}
	var out []Planned
	for i := range rows {
		if mine[rows[i].Key] {
			delete(mine, rows[i].Key)
			out = append(out, rows[i])
		}
	}
	return out, nil
}

// planned is what planning rows is counted as.
func planned(now int64, rows []Planned) []happened {
	out := make([]happened, 0, len(rows))
	for i := range rows {
		p := &rows[i]
		h := happened{key: &p.Key, message: p.MessageID, figure: FigurePlanned, at: now, n: 1}
		out = append(out, h)
		if p.State.Terminal() {
			h.figure, h.reason = Figure(p.State), p.Reason
			out = append(out, h)
		}
	}
	return out
}
