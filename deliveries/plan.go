package deliveries

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"hongyan/guard"
	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/limits"
)

// Store reads and writes the ledger.
type Store struct {
	db       *database.DB
	clock    clock.Clock
	counting counting
}

// New returns the ledger kept in db.
func New(db *database.DB, clk clock.Clock) *Store { return &Store{db: db, clock: clk} }

// laneWaiting holds what is not due yet or waits for an interaction, ordered by due time. The ready lanes are
// limits.LaneUrgent and limits.LaneBulk, ordered by deadline; a row outside every lane is marked or ended.
const laneWaiting limits.Lane = 3

// UrgentWithin is how near its deadline a due message travels in the urgent lane.
const UrgentWithin = 2 * time.Minute

// place is where a planned row waits: its lane, the source that the bulk lane takes turns by, and its order.
type place struct {
	lane   limits.Lane
	source int64
	at     int64
}

func placeOf(now int64, p *Planned) place {
	switch {
	case p.DueAt > now:
		return place{laneWaiting, 0, p.DueAt}
	case p.Class == guard.ClassReply || p.Deadline < now+UrgentWithin.Milliseconds():
		return place{limits.LaneUrgent, 0, p.Deadline}
	default:
		return place{limits.LaneBulk, p.Source.key(), p.Deadline}
	}
}

const planColumns = "account_id, source_kind, source_id, fan_id, occurrence, step_no, message_no, resend, step_size, channel, class, options, " +
	"message_id, state, reason, due_at, not_after, deadline_at, lane, lane_source, lane_at, planned_at, marked_at, ended_at, attempt, batch_id, " +
	"reserved, reserved_generation, cap_day"

// Plan puts messages into the ledger, within tx. A message whose key is there already is left as it is, so planning twice is harmless.
func (s *Store) Plan(tx *gorm.DB, now time.Time, rows []Planned) error {
	at := now.UnixMilli()
	for chunk := range slices.Chunk(rows, database.ChunkSize) {
		fresh, err := s.insert(tx, at, chunk)
		if err != nil {
			return err
		}
		if err := s.tally(tx, planned(at, fresh)); err != nil {
			return err
		}
		if err := s.tracePlanned(tx, at, chunk); err != nil {
			return err
		}
	}
	return nil
}

// insert stores rows whose keys are not there yet, and returns those.
func (s *Store) insert(tx *gorm.DB, at int64, rows []Planned) ([]Planned, error) {
	// Until it is marked, a row has no batch, and the column tells by a negative number which insertion put it there.
	token := -1 - int64(rand.Int32()) //nolint:gosec // tells insertions of the same millisecond apart; not a secret
	var q strings.Builder
	q.WriteString(s.db.Dialect().InsertIgnore() + " deliveries (" + planColumns + ") VALUES ")
	args := make([]any, 0, 29*len(rows))
	for i := range rows {
		if i > 0 {
			q.WriteByte(',')
		}
		q.WriteString("(?" + strings.Repeat(",?", 28) + ")")
		args = append(args, rows[i].values(at, token)...)
	}
	res := tx.Exec(q.String(), args...)
	if res.Error != nil {
		return nil, fmt.Errorf("plan deliveries: %w", res.Error)
	}
	return s.fresh(tx, insertion{at, token}, rows, res.RowsAffected)
}

func (p *Planned) values(now, token int64) []any {
	var lane, source, order any
	var marked, ended int64
	attempt := 0
	switch {
	case p.State == StatePlanned:
		pl := placeOf(now, p)
		lane, source, order = pl.lane, pl.source, pl.at
	case p.State == StateSending:
		marked, attempt = now, 1
	case p.State.Terminal():
		ended = now
	}
	return []any{
		p.AccountID, p.Source.Kind, p.Source.ID, p.FanID, p.Occurrence, p.StepNo, p.MessageNo, p.Resend, p.StepSize, p.Channel, p.Class, p.Options,
		p.MessageID, p.State, p.Reason, p.DueAt, p.NotAfter, p.Deadline, lane, source, order, now, marked, ended, attempt, token,
		p.Reserved.Buckets, p.Reserved.Generation, p.Reserved.CapDay,
	}
}

// tracePlanned records why rows were moved or skipped as they were planned.
func (s *Store) tracePlanned(tx *gorm.DB, now int64, rows []Planned) error {
	var decisions []decision
	for i := range rows {
		p := &rows[i]
		if p.Verdict != guard.Defer && p.Verdict != guard.Skip {
			continue
		}
		id, err := findID(tx, &p.Key, now)
		if err != nil {
			return err
		}
		if id == 0 {
			continue // planned before; it has its trace
		}
		decisions = append(decisions, decision{deliveryID: id, at: now, verdict: p.Verdict, reason: p.Reason, values: p.Values})
	}
	return s.trace(tx, decisions)
}

const whereKey = "account_id = ? AND source_kind = ? AND source_id = ? AND fan_id = ? AND occurrence = ? AND step_no = ? AND message_no = ? AND resend = ?"

func (k *Key) args() []any {
	return []any{k.AccountID, k.Source.Kind, k.Source.ID, k.FanID, k.Occurrence, k.StepNo, k.MessageNo, k.Resend}
}

// findID finds a row that was planned at a time and has no trace yet: a second Plan at the same moment adds none.
func findID(tx *gorm.DB, k *Key, plannedAt int64) (int64, error) {
	var id int64
	err := tx.Raw("SELECT id FROM deliveries WHERE "+whereKey+" AND planned_at = ? AND NOT EXISTS (SELECT 1 FROM decisions WHERE delivery_id = deliveries.id)",
		append(k.args(), plannedAt)...).Scan(&id).Error
	if err != nil {
		return 0, fmt.Errorf("find a planned delivery: %w", err)
	}
	return id, nil
}

// FindByKey returns the id of the row with this key, 0 if there is none.
func (s *Store) FindByKey(tx *gorm.DB, k Key) (int64, error) {
	var id int64
	if err := tx.Raw("SELECT id FROM deliveries WHERE "+whereKey, k.args()...).Scan(&id).Error; err != nil {
		return 0, fmt.Errorf("find a delivery: %w", err)
	}
	return id, nil
}

// decision is a step of a delivery's trace.
type decision struct {
	deliveryID int64
	at         int64
	attempt    int
	verdict    guard.Kind
	reason     guard.Reason
	values     []guard.Value
	errcode    int
	rid        string
}

func (s *Store) trace(tx *gorm.DB, decisions []decision) error {
	for chunk := range slices.Chunk(decisions, database.ChunkSize) {
		args := make([]any, 0, 8*len(chunk))
		for _, d := range chunk {
			values := []byte("[]")
			if len(d.values) > 0 {
				var err error
				if values, err = json.Marshal(d.values); err != nil {
					return fmt.Errorf("trace decisions: %w", err)
				}
			}
			args = append(args, d.deliveryID, d.at, d.attempt, d.verdict, d.reason, string(values), d.errcode, d.rid)
		}
		q := "INSERT INTO decisions (delivery_id, at, attempt, verdict, reason, values_json, errcode, rid) VALUES (?,?,?,?,?,?,?,?)" +
			strings.Repeat(",(?,?,?,?,?,?,?,?)", len(chunk)-1)
		if err := tx.Exec(q, args...).Error; err != nil {
			return fmt.Errorf("trace decisions: %w", err)
		}
	}
	return nil
}

// cancelSlice bounds how many rows one statement cancels, so that a stop does not hold locks for long.
const cancelSlice = 1000

// Cancel ends up to a slice of a source's planned rows and returns how many it ended; the caller repeats it, in a new transaction, until that is 0. With
// fanIDs only those fans' rows.
func (s *Store) Cancel(tx *gorm.DB, src Source, accountID int64, fanIDs []int64, now time.Time) (int64, error) {
	query := "SELECT id FROM deliveries WHERE account_id = ? AND source_kind = ? AND source_id = ?"
	args := []any{accountID, src.Kind, src.ID}
	if fanIDs != nil {
		query, args = query+" AND fan_id IN ?", append(args, fanIDs)
	}
	var ids []int64
	if err := tx.Raw(query+" AND state = ? LIMIT ?", append(args, StatePlanned, cancelSlice)...).Scan(&ids).Error; err != nil {
		return 0, fmt.Errorf("cancel deliveries: %w", err)
	}
	if len(ids) == 0 {
		return 0, nil
	}
	slices.Sort(ids)
	return s.finish(tx, now.UnixMilli(), ids, StateCancelled, guard.ReasonCancelled)
}

// OpenKey names a run of a source for a fan.
type OpenKey struct {
	FanID      int64
	Occurrence int64
}

// OpenStep is where a run stands.
type OpenStep struct {
	StepNo  int   // the highest step that has rows
	Rows    int   // how many rows it has
	Open    int   // how many of them have not ended
	Sent    int   // how many of them have arrived, or may have
	DueAt   int64 // the latest due time of those
	LastEnd int64 // when the last of the ended ones ended
}

// Open tells how far a source's runs for fans have come. Runs without rows are missing from the result.
func (s *Store) Open(tx *gorm.DB, accountID int64, src Source, fanIDs []int64) (map[OpenKey]OpenStep, error) {
	out := map[OpenKey]OpenStep{}
	err := database.EachRow(tx, func(rows *sql.Rows) error {
		var k OpenKey
		var step, count, open, sent int
		var due, end int64
		if err := rows.Scan(&k.FanID, &k.Occurrence, &step, &count, &open, &sent, &due, &end); err != nil {
			return err
		}
		if step >= out[k].StepNo {
			out[k] = OpenStep{StepNo: step, Rows: count, Open: open, Sent: sent, DueAt: due, LastEnd: end}
		}
		return nil
	}, "SELECT fan_id, occurrence, step_no, COUNT(*), SUM(CASE WHEN state < ? THEN 1 ELSE 0 END), SUM(CASE WHEN state IN ? THEN 1 ELSE 0 END), MAX(CASE WHEN state < ? THEN due_at ELSE 0 END), MAX(ended_at) "+
		"FROM deliveries WHERE account_id = ? AND source_kind = ? AND source_id = ? AND fan_id IN ? GROUP BY fan_id, occurrence, step_no",
		StateSent, []State{StateSent, StateDelivered, StateUnknown}, StateSent, accountID, src.Kind, src.ID, fanIDs)
	if err != nil {
		return nil, fmt.Errorf("read open deliveries: %w", err)
	}
	return out, nil
}

// Uncounted counts, for each fan, the customer-service sends that the platform may count after an act: those that are marked and have no recorded
// outcome, and those sent or unknown that ended at the fan's time in since or later. It reads the fan's rows through their index.
func (s *Store) Uncounted(tx *gorm.DB, since map[int64]int64) (map[int64]int, error) {
	out := map[int64]int{}
	if len(since) == 0 {
		return out, nil
	}
	ids := make([]int64, 0, len(since))
	first := int64(math.MaxInt64)
	for id, at := range since {
		ids, first = append(ids, id), min(first, at)
	}
	err := database.EachRow(tx, func(rows *sql.Rows) error {
		var fan, end int64
		var state State
		if err := rows.Scan(&fan, &state, &end); err != nil {
			return err
		}
		if state == StateSending || end >= since[fan] {
			out[fan]++
		}
		return nil
	}, "SELECT fan_id, state, ended_at FROM deliveries WHERE fan_id IN ? AND channel = ? AND (state = ? OR state IN ? AND ended_at >= ?)",
		database.SortedSet(ids), guard.ChannelKefu, StateSending, []State{StateSent, StateUnknown}, first)
	if err != nil {
		return nil, fmt.Errorf("count sends around an act: %w", err)
	}
	return out, nil
}
