package fans

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"time"

	"gorm.io/gorm"

	"hongyan/internal/clock"
	"hongyan/internal/database"
)

// ReplyState says what the answer to a push is or will be. The numbers are stored.
type ReplyState uint8

// The states of the answer. It leaves ReplyOpen once, by a conditional update, so that a message goes either as the
// passive reply or by customer-service message, never both.
const (
	ReplyOpen   ReplyState = iota // not decided yet
	ReplyTaken                    // a passive reply is stored in the row: every repeat of the push gets the same
	ReplyClosed                   // the push was answered with "success"
)

// Push is a verified push of the platform, about to be stored.
type Push struct {
	AccountID int64
	DedupeKey string // callback.Event.DedupeKey
	OpenID    string
	Body      []byte // decrypted
	EventAt   int64  // the platform's CreateTime
}

// InboxRow is a stored push.
type InboxRow struct {
	ID int64
	Push
	Origin     Origin
	ReceivedAt int64
	Pending    bool // not yet acted upon to the end
	Tries      int
	ReplyState ReplyState
	Reply      []byte // what answers the push: a wechat.Message as JSON
	// ReplyDeliveryID is the delivery that Reply gives.
	ReplyDeliveryID int64
}

// groupMost bounds how many pushes are stored by one statement.
const groupMost = 200

// Inbox stores pushes once, however often the platform repeats them. Pushes that arrive while others are being stored
// wait for each other and share one statement and one commit.
type Inbox struct {
	db      *database.DB
	clock   clock.Clock
	mu      sync.Mutex
	pending *pushGroup
	turn    chan struct{} // held by the group that is being stored
}

type pushGroup struct {
	pushes []*Push
	rows   []*InboxRow
	err    error
	done   chan struct{}
}

// NewInbox returns the inbox kept in db.
func NewInbox(db *database.DB, clk clock.Clock) *Inbox {
	return &Inbox{db: db, clock: clk, turn: make(chan struct{}, 1)}
}

// storeTimeout bounds how long a push waits to be stored. WeChat repeats a push that was not answered in five seconds.
const storeTimeout = 4 * time.Second

// Put stores a push, if it is not there yet, and returns its row as it stands. It returns after the commit.
func (b *Inbox) Put(ctx context.Context, p *Push) (*InboxRow, error) {
	g, place, leader := b.join(p)
	if leader {
		b.turn <- struct{}{}
		b.closeGroup(g)
		storing, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
		g.rows, g.err = b.store(storing, g.pushes)
		cancel()
		<-b.turn
		close(g.done)
	}
	select {
	case <-g.done:
	case <-ctx.Done():
		return nil, fmt.Errorf("store a push: %w", ctx.Err())
	}
	if g.err != nil {
		return nil, g.err
	}
	return g.rows[place], nil
}

// join adds a push to the group that waits for its turn. Who opens the group leads it.
func (b *Inbox) join(p *Push) (g *pushGroup, place int, leader bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pending == nil {
		b.pending, leader = &pushGroup{done: make(chan struct{})}, true
	}
	g = b.pending
	g.pushes = append(g.pushes, p)
	if len(g.pushes) >= groupMost {
		b.pending = nil
	}
	return g, len(g.pushes) - 1, leader
}

func (b *Inbox) closeGroup(g *pushGroup) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pending == g {
		b.pending = nil
	}
}

const inboxColumns = "id, account_id, origin, dedupe_key, openid, body, event_at, received_at, pending_at IS NOT NULL, tries, reply_state, reply, reply_delivery_id"

func (r *InboxRow) fields() []any {
	return []any{
		&r.ID, &r.AccountID, &r.Origin, &r.DedupeKey, &r.OpenID, &r.Body, &r.EventAt, &r.ReceivedAt, &r.Pending, &r.Tries, &r.ReplyState, &r.Reply, &r.ReplyDeliveryID,
	}
}

func (b *Inbox) store(ctx context.Context, pushes []*Push) ([]*InboxRow, error) {
	now := b.clock.Now().UnixMilli()
	var out []*InboxRow
	err := b.db.Tx(ctx, func(tx *gorm.DB) error {
		if err := b.insert(tx, now, pushes); err != nil {
			return err
		}
		var err error
		out, err = b.find(tx, pushes)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("store pushes: %w", err)
	}
	return out, nil
}

func (b *Inbox) insert(tx *gorm.DB, now int64, pushes []*Push) error {
	var q strings.Builder
	q.WriteString(b.db.Dialect().InsertIgnore())
	q.WriteString(" inbox (account_id, dedupe_key, openid, body, event_at, received_at, pending_at) VALUES ")
	args := make([]any, 0, 7*len(pushes))
	for i, p := range pushes {
		if i > 0 {
			q.WriteByte(',')
		}
		q.WriteString("(?,?,?,?,?,?,?)")
		args = append(args, p.AccountID, p.DedupeKey, p.OpenID, p.Body, p.EventAt, now, now)
	}
	return tx.Exec(q.String(), args...).Error
}

func (b *Inbox) find(tx *gorm.DB, pushes []*Push) ([]*InboxRow, error) {
	type key struct {
		account int64
		dedupe  string
	}
	keys := map[int64][]string{}
	for _, p := range pushes {
		keys[p.AccountID] = append(keys[p.AccountID], p.DedupeKey)
	}
	found := make(map[key]*InboxRow, len(pushes))
	for account, dedupe := range keys {
		rows, err := scanInbox(tx, "SELECT "+inboxColumns+" FROM inbox WHERE account_id = ? AND dedupe_key IN ?", account, dedupe)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			found[key{r.AccountID, r.DedupeKey}] = r
		}
	}
	out := make([]*InboxRow, len(pushes))
	for i, p := range pushes {
		if out[i] = found[key{p.AccountID, p.DedupeKey}]; out[i] == nil {
			return nil, fmt.Errorf("push %s was not stored", p.DedupeKey)
		}
	}
	return out, nil
}

func scanInbox(tx *gorm.DB, query string, args ...any) ([]*InboxRow, error) {
	var out []*InboxRow
	err := database.EachRow(tx, func(rows *sql.Rows) error {
		r := &InboxRow{}
		if err := rows.Scan(r.fields()...); err != nil {
			return err
		}
		out = append(out, r)
		return nil
	}, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read the inbox: %w", err)
	}
	return out, nil
}

// Claim gives the caller pending rows to act upon until its lease ends: those of ids that nobody else holds. The caller
// must finish them with Done or let the lease run out.
func (b *Inbox) Claim(ctx context.Context, owner string, ids []int64, lease time.Duration) ([]*InboxRow, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	now := b.clock.Now()
	var out []*InboxRow
	err := b.db.Tx(ctx, func(tx *gorm.DB) error {
		// Which rows were free is read under their locks and not recognised by their new owner: two goroutines of one owner may ask in the same millisecond.
		var err error
		among, args := database.Among("id", database.SortedSet(ids))
		out, err = scanInbox(tx, "SELECT "+inboxColumns+" FROM inbox WHERE "+among+" AND pending_at IS NOT NULL AND lease_until < ? ORDER BY id"+b.db.Dialect().ForUpdate(),
			append(args, now.UnixMilli())...)
		if err != nil || len(out) == 0 {
			return err
		}
		free := make([]int64, len(out))
		for i, r := range out {
			free[i] = r.ID
			r.Tries++
		}
		among, args = database.Among("id", free)
		return tx.Exec("UPDATE inbox SET owner = ?, lease_until = ?, tries = tries + 1 WHERE "+among, append([]any{owner, now.Add(lease).UnixMilli()}, args...)...).Error
	})
	if err != nil {
		return nil, fmt.Errorf("claim pushes: %w", err)
	}
	return out, nil
}

// Leftover lists pending rows that nobody holds and that were received before a time: pushes whose process died.
func (b *Inbox) Leftover(ctx context.Context, before time.Time, limit int) ([]int64, error) {
	var ids []int64
	err := b.db.Read(ctx).Raw("SELECT id FROM inbox WHERE pending_at IS NOT NULL AND pending_at < ? AND lease_until < ? ORDER BY pending_at LIMIT ?",
		before.UnixMilli(), b.clock.Now().UnixMilli(), limit).Scan(&ids).Error
	if err != nil {
		return nil, fmt.Errorf("list pending pushes: %w", err)
	}
	return ids, nil
}

// Waiting lists pending rows on which nobody works and that have no passive reply to hand over, oldest first.
func (b *Inbox) Waiting(ctx context.Context, limit int) ([]int64, error) {
	var ids []int64
	err := b.db.Read(ctx).Raw("SELECT id FROM inbox WHERE pending_at IS NOT NULL AND lease_until < ? AND reply_state <> ? ORDER BY pending_at LIMIT ?",
		b.clock.Now().UnixMilli(), ReplyTaken, limit).Scan(&ids).Error
	if err != nil {
		return nil, fmt.Errorf("list waiting pushes: %w", err)
	}
	return ids, nil
}

// OwnWaiting lists own events that nobody is acting upon, oldest first. Nobody rings for them: they are stored in the transactions of those who tell them.
func (b *Inbox) OwnWaiting(ctx context.Context, limit int) ([]int64, error) {
	var ids []int64
	err := b.db.Read(ctx).Raw("SELECT id FROM inbox WHERE pending_at IS NOT NULL AND lease_until < ? AND origin <> ? ORDER BY pending_at LIMIT ?",
		b.clock.Now().UnixMilli(), OriginPlatform, limit).Scan(&ids).Error
	if err != nil {
		return nil, fmt.Errorf("list waiting events: %w", err)
	}
	return ids, nil
}

// Done ends the work on rows: they are pending no more.
func (b *Inbox) Done(tx *gorm.DB, ids []int64) error {
	among, args := database.Among("id", database.SortedSet(ids))
	if err := tx.Exec("UPDATE inbox SET pending_at = NULL WHERE "+among, args...).Error; err != nil {
		return fmt.Errorf("finish pushes: %w", err)
	}
	return nil
}

// Park gives up on a row that failed too often: it is pending no more, and its error is kept for a member to see.
func (b *Inbox) Park(ctx context.Context, id int64, reason string) error {
	if len(reason) > 250 {
		reason = strings.ToValidUTF8(reason[:250], "")
	}
	err := b.db.Tx(ctx, func(tx *gorm.DB) error {
		return tx.Exec("UPDATE inbox SET pending_at = NULL, error = ? WHERE id = ?", reason, id).Error
	})
	if err != nil {
		return fmt.Errorf("park a push: %w", err)
	}
	return nil
}

// TakeReply makes reply the answer to a push, if none was given yet.
func (b *Inbox) TakeReply(tx *gorm.DB, id int64, reply []byte) (bool, error) {
	res := tx.Exec("UPDATE inbox SET reply_state = ?, reply = ? WHERE id = ? AND reply_state = ?", ReplyTaken, reply, id, ReplyOpen)
	if res.Error != nil {
		return false, fmt.Errorf("take the passive reply: %w", res.Error)
	}
	return res.RowsAffected == 1, nil
}

// GiveBy notes which delivery gives the reply to a push.
func (b *Inbox) GiveBy(tx *gorm.DB, id, deliveryID int64) error {
	if err := tx.Exec("UPDATE inbox SET reply_delivery_id = ? WHERE id = ?", deliveryID, id).Error; err != nil {
		return fmt.Errorf("take the passive reply: %w", err)
	}
	return nil
}

// RewriteReply replaces what the reply to a push says, in the transaction in which it was taken.
func (b *Inbox) RewriteReply(tx *gorm.DB, id int64, reply []byte) error {
	if err := tx.Exec("UPDATE inbox SET reply = ? WHERE id = ? AND reply_state = ?", reply, id, ReplyTaken).Error; err != nil {
		return fmt.Errorf("take the passive reply: %w", err)
	}
	return nil
}

// CloseReply decides that a push is answered with "success". If a reply was taken meanwhile, that is returned instead.
func (b *Inbox) CloseReply(ctx context.Context, id int64) (*InboxRow, error) {
	var row *InboxRow
	err := b.db.Tx(ctx, func(tx *gorm.DB) error {
		if err := tx.Exec("UPDATE inbox SET reply_state = ? WHERE id = ? AND reply_state = ?", ReplyClosed, id, ReplyOpen).Error; err != nil {
			return err
		}
		rows, err := scanInbox(tx, "SELECT "+inboxColumns+" FROM inbox WHERE id = ?", id)
		if err == nil && len(rows) == 1 {
			row = rows[0]
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("close the passive reply: %w", err)
	}
	return row, nil
}
