package limits

import "hongyan/internal/clock"

// Retake does to a usage what Reserve did to the row when a message was marked at a time, unix ms.
func (u *Usage) Retake(at int64, t Take) { NewReservations(clock.FromMillis(at)).Take(u, t) }

// Recorrect does to a usage what Settle did to the row when an answer recorded at a time, unix ms, taught something.
func (u *Usage) Recorrect(c Correction, at int64) { u.correct(c, at) }
