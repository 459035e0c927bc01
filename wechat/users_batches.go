package wechat

import (
	"errors"
	"fmt"
)

// Batched tells how far a call for a list of fans came.
type Batched struct {
	// Done is how many fans from the start of the list are settled: each was done, or is in
	// Refused. After an error the list is to be repeated from there; of the next batch nothing
	// is known if the error's outcome is OutcomeLost, and the calls that work in batches do no
	// harm when repeated.
	Done    int
	Refused []Refusal
}

// Refusal is a fan whom the platform refused, for a reason of theirs: no fan of this account
// (40003, 49003), no longer following (50005), too many tags (45059). Of class ClassRetry it
// can be tried again later (45169: the fan is being changed by another call).
type Refusal struct {
	OpenID string
	Err    *Error
}

const (
	codeFanBusy = 45169 // another call is changing the same fan
	codePartly  = 45171 // some of the batch were done, some not

	// refusedRun stops a list whose fans are all refused: it is another account's, or the
	// tag is at fault and not the fans.
	refusedRun = 100
)

// inBatches cuts a list into batches and works through it from the start. The platform
// refuses a batch for one bad fan, and does not say reliably which, so a refused batch is
// halved until that fan is alone: some twelve calls for a bad one in fifty. The work ends with
// the first error that is not about a fan, and after 100 refused fans in a row with the last
// one's error.
func inBatches(openids []string, size int, do func(batch []string) error) (Batched, error) {
	for i, openid := range openids {
		if openid == "" {
			return Batched{}, checkOpenID(fmt.Sprintf("openids[%d]", i), openid)
		}
	}
	b := batches{do: do}
	for len(openids) > 0 {
		batch := openids[:min(size, len(openids))]
		if err := b.settle(batch); err != nil {
			return b.out, err
		}
		openids = openids[len(batch):]
	}
	return b.out, nil
}

type batches struct {
	do  func(batch []string) error
	out Batched
	run int // fans refused since one was done
}

func (b *batches) settle(batch []string) error {
	err := b.do(batch)
	if err == nil {
		b.out.Done += len(batch)
		b.run = 0
		return nil
	}
	e, ok := errors.AsType[*Error](err)
	if !ok || !aboutFan(e) {
		return err
	}
	if len(batch) > 1 {
		half := len(batch) / 2
		if err := b.settle(batch[:half]); err != nil {
			return err
		}
		return b.settle(batch[half:])
	}
	b.out.Refused = append(b.out.Refused, Refusal{OpenID: batch[0], Err: e})
	b.out.Done++
	b.run++
	if b.run >= refusedRun {
		return err
	}
	return nil
}

// aboutFan reports whether a batch was refused because of a fan in it.
func aboutFan(e *Error) bool {
	return e.Outcome == OutcomeFailed && (e.Class() == ClassFan || e.Code == codeFanBusy || e.Code == codePartly)
}
