package links

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"gorm.io/gorm"

	"hongyan/internal/fault"
)

// Target is where a tracked address leads, and whose it is.
type Target struct {
	URL        string
	AccountID  int64
	LinkID     int64
	DeliveryID int64
	FanID      int64
	MessageID  int64
}

// Location is the address as a header says it: in ASCII.
func (t Target) Location() string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(t.URL) {
		if c := t.URL[i]; c > ' ' && c <= '~' {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}

// Resolve reads the token of a tracked address. Errors: NotFound for everything that was not made here, whatever is wrong with it; Unavailable. Without a true
// signature nothing is read.
func (s *Store) Resolve(ctx context.Context, token string) (Target, error) {
	t, err := s.signer(ctx)
	if errors.Is(err, errNoKey) {
		return Target{}, noLink()
	}
	if err != nil {
		return Target{}, err
	}
	linkID, deliveryID, ok := t.read(token)
	if !ok {
		return Target{}, noLink()
	}
	l, err := s.linkOf(ctx, linkID)
	if err != nil {
		return Target{}, err
	}
	if l.id == 0 {
		return Target{}, noLink()
	}
	out := Target{URL: l.url, AccountID: l.accountID, LinkID: l.id, DeliveryID: deliveryID}
	out.FanID, out.MessageID, err = s.o.Ledger.DeliveryOf(ctx, l.accountID, deliveryID)
	if fault.Is(err, fault.NotFound) {
		return Target{}, noLink()
	}
	if err != nil {
		return Target{}, fault.Wrap(fault.Unavailable, err, "read the delivery of a link")
	}
	return out, nil
}

func noLink() error { return fault.New(fault.NotFound, "this link leads nowhere") }

// Count counts that a tracked address was opened, by a person or by something else. The first time that a person opens a link of a delivery is told to
// Options.Fans. Of a fan who was erased nothing is counted.
func (s *Store) Count(ctx context.Context, t Target, person bool) error {
	at := s.now()
	err := s.o.DB.Tx(ctx, func(tx *gorm.DB) error {
		there, err := s.o.Fans.Hold(tx, t.AccountID, t.FanID)
		if err != nil || !there {
			return err
		}
		f := figures{others: 1}
		if person {
			f = figures{taps: 1}
		}
		if f.people, err = s.click(tx, t, person, at); err != nil {
			return err
		}
		if err := s.add(tx, t, at, f); err != nil || f.people == 0 {
			return err
		}
		return s.o.Fans.Tapped(tx, Tap{AccountID: t.AccountID, FanID: t.FanID, DeliveryID: t.DeliveryID, LinkID: t.LinkID, URL: t.URL, At: at})
	})
	if err != nil {
		return fmt.Errorf("count a link: %w", err)
	}
	return nil
}

// figures are what one request adds.
type figures struct{ people, taps, others int }

// click counts in the row of the delivery and the link, and returns 1 for the first time that a person opened it. Which that is, a conditional update decides.
func (s *Store) click(tx *gorm.DB, t Target, person bool, at int64) (people int, err error) {
	err = tx.Exec(s.o.DB.Dialect().InsertIgnore()+" link_clicks (delivery_id, link_id, account_id, fan_id, at) VALUES (?, ?, ?, ?, ?)",
		t.DeliveryID, t.LinkID, t.AccountID, t.FanID, at).Error
	if err != nil {
		return 0, err
	}
	const row = " WHERE delivery_id = ? AND link_id = ?"
	if !person {
		return 0, tx.Exec("UPDATE link_clicks SET others = others + 1"+row, t.DeliveryID, t.LinkID).Error
	}
	res := tx.Exec("UPDATE link_clicks SET taps = 1, first_at = ?"+row+" AND taps = 0", at, t.DeliveryID, t.LinkID)
	if res.Error != nil || res.RowsAffected > 0 {
		return 1, res.Error
	}
	return 0, tx.Exec("UPDATE link_clicks SET taps = taps + 1"+row, t.DeliveryID, t.LinkID).Error
}

// add raises the counters that stay.
func (s *Store) add(tx *gorm.DB, t Target, at int64, f figures) error {
	day, err := s.o.Ledger.Day(tx, t.AccountID, at)
	if err != nil {
		return err
	}
	return tx.Exec("INSERT INTO link_figures (account_id, message_id, link_id, day, people, taps, others) VALUES (?, ?, ?, ?, ?, ?, ?)"+
		s.o.DB.Dialect().Upsert([]string{"account_id", "message_id", "link_id", "day"}, "people = people + {people}", "taps = taps + {taps}", "others = others + {others}"),
		t.AccountID, t.MessageID, t.LinkID, day, f.people, f.taps, f.others).Error
}
