package simulator

import (
	"context"
	"slices"
	"time"
)

// receiptQueue holds the receipts that are to be pushed later; the account's mutex guards it.
type receiptQueue struct {
	list    []waitingReceipt // by time, then in order of sending
	running bool             // a goroutine pushes them when they are due
	wake    chan struct{}    // a receipt came that is due before the others
}

type waitingReceipt struct {
	push    *Push
	counted bool // Wait waits for it
}

// receiptPush prepares the push of a receipt; the fan is locked. A receipt that cannot be written is none.
func (s *Simulator) receiptPush(f *fan, e effect, at time.Time, sw *Switches) *Push {
	if !sw.ReceiptFirst {
		at = at.Add(time.Duration(sw.ReceiptDelay))
	}
	p, err := s.newPush(f, ActKind(e.event.Name), e, at)
	if err != nil {
		return nil
	}
	return p
}

// receipt pushes a receipt when its time has come; no lock is held.
func (s *Simulator) receipt(a *account, p *Push, sw *Switches) {
	if sw.ReceiptFirst {
		s.deliverPush(s.push.base, p)
		return
	}
	r := waitingReceipt{push: p, counted: !p.At.After(s.clock.Now())}
	if r.counted {
		s.push.add(1)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	q := &a.template.receipts
	// Behind those of the same moment.
	at, _ := slices.BinarySearchFunc(q.list, p, func(w waitingReceipt, p *Push) int {
		if w.push.At.After(p.At) {
			return 1
		}
		return -1
	})
	q.list = slices.Insert(q.list, at, r)
	if q.wake == nil {
		q.wake = make(chan struct{}, 1)
	}
	wake := q.wake
	if !q.running {
		q.running = s.push.background(func() { s.pushReceipts(a, wake) })
		return
	}
	select {
	case wake <- struct{}{}:
	default:
	}
}

// background runs a goroutine that close waits for; false when the pusher is closed.
func (p *pusher) background(run func()) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if !p.closed {
		p.workers.Go(run)
	}
	return !p.closed
}

// pushReceipts gives receipts to the pushing workers as they fall due, until none is left.
func (s *Simulator) pushReceipts(a *account, wake <-chan struct{}) {
	for {
		r, at, ok := s.nextReceipt(a)
		switch {
		case !ok:
			return
		case r.push == nil:
			if !s.awaitReceipt(at, wake) {
				return
			}
			continue
		}
		err := s.push.enqueue(s.push.base, s, r.push)
		if r.counted {
			s.push.add(-1)
		}
		if err != nil {
			return // the simulator is closed
		}
	}
}

// nextReceipt takes the first receipt that is due; without one it tells when the next will be. ok is false when there
// is none at all.
func (s *Simulator) nextReceipt(a *account) (r waitingReceipt, at time.Time, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	q := &a.template.receipts
	if len(q.list) == 0 {
		q.running = false
		return r, at, false
	}
	if at = q.list[0].push.At; at.After(s.clock.Now()) {
		return r, at, true
	}
	r = q.list[0]
	q.list[0] = waitingReceipt{} // lets go of the push
	q.list = q.list[1:]
	return r, at, true
}

// awaitReceipt waits for a moment on the clock; false when the simulator closes.
func (s *Simulator) awaitReceipt(at time.Time, wake <-chan struct{}) bool {
	timer := s.clock.NewTimer(at.Sub(s.clock.Now()))
	defer timer.Stop()
	if !at.After(s.clock.Now()) {
		return true // the clock was moved before the timer stood
	}
	select {
	case <-timer.C:
	case <-wake:
	case <-s.push.base.Done():
		return false
	}
	return true
}

// DeliverReceipts pushes all receipts of template messages and notices that are still to come, due or not, in their
// order, and returns what became of them. It answers NotFound.
func (s *Simulator) DeliverReceipts(ctx context.Context, appID string) ([]Push, error) {
	a, err := s.account(appID)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	list := a.template.receipts.list
	a.template.receipts.list = nil
	a.mu.Unlock()
	out := make([]Push, 0, len(list))
	for _, r := range list {
		out = append(out, s.deliverPush(ctx, r.push))
		if r.counted {
			s.push.add(-1)
		}
	}
	return out, nil
}
