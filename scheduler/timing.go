package scheduler

import (
	"cmp"
	"time"

	"hongyan/internal/jobs"
	"hongyan/limits"
)

// Timing says after which silence a process counts as dead, and how often what it left behind is looked for. The zero value of a
// field takes the default; tests that kill processes shorten them.
type Timing struct {
	BatchLease    time.Duration // how long a batch stays with a worker that does not renew
	BatchRenew    time.Duration // how often a worker renews
	DispatchLease time.Duration // how long one process dispatches for an account without renewing
	InboundLease  time.Duration // how long a process may take to act upon a set of pushes
	LeftoverAge   time.Duration // when a push counts as left over by a dead process
	SlotTTL       time.Duration // how long in-flight slots stay with a worker that does not renew them
	SweepEvery    time.Duration // how often what dead processes held is looked for
	JobLease      time.Duration // how long a job stays with a worker that gives no sign of life
	Forgotten     time.Duration // when a batch that nobody has taken goes into the queue again: its ticket may be lost
}

// DefaultTiming is what a server runs with (design 2).
func DefaultTiming() Timing {
	return Timing{
		BatchLease: 30 * time.Second, BatchRenew: 5 * time.Second, DispatchLease: 10 * time.Second, InboundLease: 30 * time.Second,
		LeftoverAge: 20 * time.Second, // after the platform's last repeat of the push
		SlotTTL:     limits.SlotTTL, SweepEvery: 15 * time.Second, JobLease: jobs.DefaultLease, Forgotten: 5 * time.Second,
	}
}

// withDefaults fills in what is not set.
func (t Timing) withDefaults() Timing {
	d := DefaultTiming()
	return Timing{
		BatchLease: cmp.Or(t.BatchLease, d.BatchLease), BatchRenew: cmp.Or(t.BatchRenew, d.BatchRenew),
		DispatchLease: cmp.Or(t.DispatchLease, d.DispatchLease), InboundLease: cmp.Or(t.InboundLease, d.InboundLease),
		LeftoverAge: cmp.Or(t.LeftoverAge, d.LeftoverAge), SlotTTL: cmp.Or(t.SlotTTL, d.SlotTTL), SweepEvery: cmp.Or(t.SweepEvery, d.SweepEvery),
		JobLease: cmp.Or(t.JobLease, d.JobLease), Forgotten: cmp.Or(t.Forgotten, d.Forgotten),
	}
}
