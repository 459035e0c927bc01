package deliveries

import (
	"cmp"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"

	"hongyan/guard"
	"hongyan/internal/database"
	"hongyan/limits"
)

// BatchState is where a batch stands. A finished batch has no row.
type BatchState uint8

// The states of a batch. The numbers are stored.
const (
	BatchWaiting BatchState = iota + 1
	BatchRunning
)

// BatchMost is the most deliveries that travel together.
const BatchMost = 500

// Item is one delivery of a batch.
type Item struct{ ID, FanID int64 }

// Batch is some deliveries that one worker takes at once. The queue carries its id alone.
type Batch struct {
	ID         int64
	AccountID  int64
	Lane       limits.Lane
	State      BatchState
	Attempt    int // how often it was put into the queue
	Owner      string
	LeaseUntil int64
	CreatedAt  int64
	Items      []Item
	// Rows are the deliveries as the dispatcher read them, so that the worker need not: given to CreateBatch and by ClaimBatch only. Marking checks
	// that they are still planned; what else they hold does not change while they are.
	Rows []Delivery
}

// CreateBatch stores a waiting batch of b.Rows, and sets its ID and Items.
func (s *Store) CreateBatch(tx *gorm.DB, b *Batch) error {
	b.Items = itemsOf(b.Rows)
	row := batchRow{
		AccountID: b.AccountID, Lane: uint8(b.Lane), State: uint8(BatchWaiting), Size: len(b.Items), Items: packItems(b.Items), Content: packContent(b.Rows), CreatedAt: b.CreatedAt,
	}
	if err := tx.Create(&row).Error; err != nil {
		return fmt.Errorf("create batch: %w", err)
	}
	b.ID, b.State = row.ID, BatchWaiting
	return nil
}

type batchRow struct {
	ID         int64 `gorm:"primaryKey"`
	AccountID  int64
	Lane       uint8
	State      uint8
	Attempt    int
	Owner      string
	LeaseUntil int64
	Size       int
	Items      []byte
	Content    []byte
	CreatedAt  int64 `gorm:"autoCreateTime:false"`
}

// TableName implements gorm's Tabler.
func (batchRow) TableName() string { return "batches" }

const batchColumns = "id, account_id, lane, state, attempt, owner, lease_until, created_at, items"

func readBatches(tx *gorm.DB, where string, args ...any) ([]Batch, error) {
	var out []Batch
	err := database.EachRow(tx, func(rows *sql.Rows) error {
		var b Batch
		var packed []byte
		err := rows.Scan(&b.ID, &b.AccountID, &b.Lane, &b.State, &b.Attempt, &b.Owner, &b.LeaseUntil, &b.CreatedAt, &packed)
		if err != nil {
			return err
		}
		b.Items, err = unpackItems(packed)
		out = append(out, b)
		return err
	}, "SELECT "+batchColumns+" FROM batches WHERE "+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read batches: %w", err)
	}
	return out, nil
}

// LiveBatches lists an account's batches that wait or run.
func (s *Store) LiveBatches(tx *gorm.DB, accountID int64) ([]Batch, error) {
	return readBatches(tx, "account_id = ?", accountID)
}

// StaleBatches lists batches of all accounts that a worker left: their lease has ended.
func (s *Store) StaleBatches(tx *gorm.DB, now time.Time) ([]Batch, error) {
	return readBatches(tx, "state = ? AND lease_until < ?", BatchRunning, now.UnixMilli())
}

// WaitingBatches lists batches that were created before a time and that nobody has taken: their task may be lost.
func (s *Store) WaitingBatches(tx *gorm.DB, before time.Time) ([]Batch, error) {
	return readBatches(tx, "state = ? AND created_at < ?", BatchWaiting, before.UnixMilli())
}

// Requeued notes that a waiting batch goes into the queue once more, and sets its new attempt.
func (s *Store) Requeued(tx *gorm.DB, b *Batch) error {
	if err := tx.Exec("UPDATE batches SET attempt = attempt + 1 WHERE id = ? AND state = ?", b.ID, BatchWaiting).Error; err != nil {
		return fmt.Errorf("requeue batch: %w", err)
	}
	b.Attempt++
	return nil
}

// ClaimBatch gives a waiting batch to owner until its lease ends. ok is false when somebody else has it or it is finished.
func (s *Store) ClaimBatch(tx *gorm.DB, id int64, owner string, until time.Time) (b Batch, ok bool, err error) {
	res := tx.Exec("UPDATE batches SET state = ?, owner = ?, lease_until = ? WHERE id = ? AND state = ?", BatchRunning, owner, until.UnixMilli(), id, BatchWaiting)
	if res.Error != nil {
		return b, false, fmt.Errorf("claim batch: %w", res.Error)
	}
	if res.RowsAffected == 0 {
		return b, false, nil
	}
	found, err := readBatches(tx, "id = ?", id)
	if err != nil || len(found) == 0 {
		return b, false, err
	}
	b = found[0]
	var content []byte
	if err := tx.Raw("SELECT content FROM batches WHERE id = ?", id).Row().Scan(&content); err != nil {
		return b, false, fmt.Errorf("read a batch's content: %w", err)
	}
	b.Rows, err = unpackContent(content, &b)
	return b, err == nil, err
}

// RenewBatch extends owner's lease. ok is false when the batch is not owner's any more.
func (s *Store) RenewBatch(tx *gorm.DB, id int64, owner string, until time.Time) (ok bool, err error) {
	res := tx.Exec("UPDATE batches SET lease_until = ? WHERE id = ? AND owner = ? AND state = ?", until.UnixMilli(), id, owner, BatchRunning)
	if res.Error != nil {
		return false, fmt.Errorf("renew batch: %w", res.Error)
	}
	return res.RowsAffected == 1, nil
}

// FinishBatch removes a batch that owner is through with.
func (s *Store) FinishBatch(tx *gorm.DB, id int64, owner string) error {
	if err := tx.Exec("DELETE FROM batches WHERE id = ? AND owner = ?", id, owner).Error; err != nil {
		return fmt.Errorf("finish batch: %w", err)
	}
	return nil
}

// Unrecorded counts the rows that the batch marked and of which nothing is recorded.
func (s *Store) Unrecorded(tx *gorm.DB, b *Batch) (n int, err error) {
	ids := make([]int64, len(b.Items))
	for i, it := range b.Items {
		ids[i] = it.ID
	}
	err = tx.Raw("SELECT COUNT(*) FROM deliveries WHERE id IN ? AND state = ? AND batch_id = ?", ids, StateSending, b.ID).Scan(&n).Error
	if err != nil {
		return 0, fmt.Errorf("count unrecorded deliveries: %w", err)
	}
	return n, nil
}

// StillPlanned reads which of rows are planned as before, in their order.
func (s *Store) StillPlanned(tx *gorm.DB, accountID int64, rows []*Delivery) ([]Delivery, error) {
	ids := make([]int64, len(rows))
	order := make(map[int64]int, len(rows))
	for i, d := range rows {
		ids[i], order[d.ID] = d.ID, i
	}
	found, err := readToSend(tx, accountID, "id IN ? AND +account_id = ? AND state = ?", ids, accountID, StatePlanned)
	slices.SortFunc(found, func(a, b Delivery) int { return cmp.Compare(order[a.ID], order[b.ID]) })
	return found, err
}

// sendColumns is what sending a row takes, and no more: this is the widest read of the send path.
const sendColumns = "id, source_kind, source_id, fan_id, occurrence, step_no, message_no, resend, step_size, channel, class, options, message_id, not_after, attempt, " +
	"COALESCE(lane_at, deadline_at)"

// readToSend reads planned rows. Who asks for rows by id writes a plus before the account: it keeps SQLite from walking an index of the whole account
// instead of looking the ids up.
func readToSend(tx *gorm.DB, accountID int64, where string, args ...any) ([]Delivery, error) {
	var out []Delivery
	err := database.EachRow(tx, func(rows *sql.Rows) error {
		out = append(out, Delivery{State: StatePlanned})
		d := &out[len(out)-1]
		d.AccountID = accountID
		return rows.Scan(database.Int(&d.ID), database.Int(&d.Source.Kind), database.Int(&d.Source.ID), database.Int(&d.FanID), database.Int(&d.Occurrence),
			database.Int(&d.StepNo), database.Int(&d.MessageNo), database.Int(&d.Resend), database.Int(&d.StepSize), database.Int(&d.Channel), database.Int(&d.Class),
			database.Int(&d.Options), database.Int(&d.MessageID), database.Int(&d.NotAfter), database.Int(&d.Attempt), database.Int(&d.Deadline))
	}, "SELECT "+sendColumns+" FROM deliveries WHERE "+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read deliveries to send: %w", err)
	}
	return out, nil
}

// Recover takes a stale batch from its dead owner, within tx. What it had marked may have been sent and cannot be asked: it becomes unknown, and the
// messages that would have followed in the same step are skipped. What it had not marked is planned as before. Recover
// returns what came to its end; ok is false when the owner came back.
func (s *Store) Recover(tx *gorm.DB, now time.Time, b *Batch) (ended []Ended, ok bool, err error) {
	res := tx.Exec("DELETE FROM batches WHERE id = ? AND state = ? AND owner = ? AND lease_until = ?", b.ID, BatchRunning, b.Owner, b.LeaseUntil)
	if res.Error != nil {
		return nil, false, fmt.Errorf("recover batch: %w", res.Error)
	}
	if res.RowsAffected == 0 {
		return nil, false, nil
	}
	ids := make([]int64, len(b.Items))
	for i, it := range b.Items {
		ids[i] = it.ID
	}
	marked, err := read(tx, "id IN ? AND state = ? AND batch_id = ?", ids, StateSending, b.ID)
	if err != nil || len(marked) == 0 {
		return nil, true, err
	}
	outcomes := make([]Outcome, len(marked))
	for i := range marked {
		outcomes[i] = Outcome{Delivery: &marked[i], State: StateUnknown, Reason: guard.ReasonWorkerDied}
	}
	if err := s.Record(tx, now, outcomes); err != nil {
		return nil, false, err
	}
	for i := range outcomes {
		ended = append(ended, outcomes[i].ended(now.UnixMilli()))
	}
	followers, err := s.skipFollowers(tx, now, marked)
	return append(ended, followers...), true, err
}

// skipFollowers skips the planned messages of the steps in which a message was lost.
func (s *Store) skipFollowers(tx *gorm.DB, now time.Time, lost []Delivery) ([]Ended, error) {
	var ended []Ended
	for i := range lost {
		l := &lost[i]
		if l.StepSize <= 1 {
			continue
		}
		rows, err := read(tx, "account_id = ? AND source_kind = ? AND source_id = ? AND fan_id = ? AND occurrence = ? AND step_no = ? AND message_no > ? AND resend = ? AND state = ?",
			l.AccountID, l.Source.Kind, l.Source.ID, l.FanID, l.Occurrence, l.StepNo, l.MessageNo, l.Resend, StatePlanned)
		if err != nil {
			return nil, err
		}
		stopped := make([]Stopped, len(rows))
		for j := range rows {
			stopped[j] = Stopped{Delivery: &rows[j], Verdict: guard.Verdict{Kind: guard.Skip, Reason: guard.ReasonPreviousFailed}}
		}
		skipped, err := s.Stop(tx, now, stopped)
		if err != nil {
			return nil, err
		}
		ended = append(ended, skipped...)
	}
	return ended, nil
}
